"""The clip of a backbone: how many latents stand for its frames and cells, and the video that a VAE makes of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from ivgbench.errors import UserError
from ivgbench.generator.backbones import limits
from ivgbench.generator.backbones.parts import Parts


class Video(Parts):
    """What of a backbone is about frames and latents; latents are [N,C,f,h,w].

    Attributes:
        frames, height, width: default clip, in frames and pixels; other sizes work where the case gives them.
        latent_channels, latent_height, latent_width, vae_scale_factor: latents are [1,C,f,height/factor,width/factor].
        latents_dtype: of the latents between evaluations.
        time_factor: pixel frames that a latent frame after the first stands for.
        wide_latents: whether latents are at least float32, whatever the weights are, as the family's pipeline has them.
    """

    wide_latents: ClassVar[bool] = False

    frames: int
    height: int
    width: int
    latent_channels: int
    latent_height: int
    latent_width: int
    vae_scale_factor: int
    time_factor: int = 1

    @property
    def latents_dtype(self) -> torch.dtype:
        return torch.promote_types(self.dtype, torch.float32) if self.wide_latents else self.dtype

    @property
    def cell(self) -> int:
        """Rows, and columns, of latents that are one cell to a method: what the network makes a token of."""
        return 1

    def latent_frames(self, frames: int) -> int:
        """Latent frames of so many pixel frames. UserError where the VAE has none for their number."""
        latent, rest = divmod(frames - 1, self.time_factor)
        if rest:
            raise UserError(
                f"backbone {self.name!r} makes clips of {self.time_factor}k+1 frames, not of {frames}: use "
                f"{frames - rest} or {frames - rest + self.time_factor}"
            )
        return latent + 1

    def latent_boxes(self, track: np.ndarray) -> np.ndarray:
        """A box for each latent frame [f,4] from those of the pixel frames [F,4].

        The first latent frame is the first frame; each other one stands for `time_factor` frames, and has their mean
        box.
        """
        later = track[1:].reshape(-1, self.time_factor, 4).mean(axis=1)
        return np.concatenate([track[:1], later])

    @property
    def limits(self) -> limits.Limits:
        """Which frames it can make."""
        return limits.of_parts(self._configs())

    @property
    def has_vae(self) -> bool:
        return getattr(self, "vae", None) is not None

    def check_video(self, frames: int) -> None:
        """Refuses where no video can be made of so many latent frames."""
        if not self.has_vae:
            raise UserError(f"backbone {self.name!r} has no VAE: only output='latent' works")

    def decode(self, latents: torch.Tensor, stream: torch.Generator | None = None) -> np.ndarray:
        """Frames uint8 [F,H,W,3] of latents [1,C,f,h,w], which the VAE decodes a slice at a time.

        stream: of the clip, for a VAE that is given noise; None: always the same.
        """
        self.check_video(latents.shape[2])
        self.bring("vae")
        with torch.no_grad():
            latents = self.prepared(latents.to(self.device, self.latents_dtype), stream)
            pixels = torch.cat([self.decoded(part) for part in self.slices(latents)])
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def prepared(self, latents: torch.Tensor, stream: torch.Generator | None) -> torch.Tensor:
        """Latents [1,C,f,h,w] as the VAE is to decode them."""
        return latents

    @abstractmethod
    def slices(self, latents: torch.Tensor) -> Sequence[torch.Tensor]:
        """Latents [1,C,f,h,w] cut into what the VAE decodes at a time: bounds its memory."""

    @abstractmethod
    def decoded(self, part: torch.Tensor) -> torch.Tensor:
        """Pixels [F,3,H,W] in -1..1, float32, of one slice."""
