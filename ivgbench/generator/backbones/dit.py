"""What the video DiTs share: Wan, CogVideoX and LTX-Video; and what the two with T5's text encoder share.

Attention is over the whole clip: tokens in the order frame, row, column. "Late" layers, a UNet's decoder, are the
second half of the blocks; the released Peekaboo's mid and up blocks stand for all of them. That is our reading.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from transformers import T5Config, T5EncoderModel

from ivgbench.errors import UserError
from ivgbench.generator.backbones import layout, loading, presets
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.backbones.limits import factors
from ivgbench.generator.backbones.processors import attached
from ivgbench.generator.backbones.sites import Band, Site
from ivgbench.generator.backbones.t5_pieces import reader
from ivgbench.generator.edits.efdm import match_exactly
from ivgbench.generator.edits.masked import Mask
from ivgbench.generator.words import Reader, WordReader


class Half:
    """Which guidance half is evaluated."""

    def __init__(self) -> None:
        self.conditional = True


class MaskedBlock:
    """What the families' processors of attention under a `Mask` share. The guidance halves are evaluated apart.

    match: (masked, unmasked) outputs of the cells, and their frames -> what replaces the masked ones; None for nothing.
    Mask Normalization matches each latent frame by itself, as it does a frame of a UNet.
    """

    def __init__(self, site: Site, mask: Mask, half: Half):
        self.site, self.mask, self.half = site, mask, half
        self.match = matched_by_frame if mask.match else None

    @property
    def on(self) -> bool:
        """Whether the mask is for the half that is evaluated."""
        return self.half.conditional or not self.mask.conditional

    @property
    def matches(self) -> bool:
        return self.match is not None and self.mask.acts and self.on

    def matched(self, masked: torch.Tensor, unmasked: torch.Tensor) -> torch.Tensor:
        """What replaces the masked output of the cells, where it `matches`."""
        if self.match is None:
            raise ValueError("this mask replaces no output")
        return self.match(masked, unmasked, self.frames)

    @property
    def frames(self) -> int:
        """Latent frames of the clip."""
        return self.mask.rules[0].labels.shape[0]

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [B,heads,N,d] in this half."""
        if not self.on:
            return F.scaled_dot_product_attention(query, key, value)
        return self.mask.attend(self.site, query, key, value)

    def kept(self, result: torch.Tensor) -> torch.Tensor:
        """The output [B,N,C] where tokens get one at all, and 0 elsewhere."""
        keep = self.mask.updated(self.site, result.device) if self.on else None
        return result if keep is None else result * keep[:, :, None]


class VideoDiT(Backbone):
    """A text encoder, a transformer, and a VAE of the whole clip.

    The guidance halves are evaluated one after the other, as the pipelines of some do: a clip's tokens fill a device by
    themselves.

    masked: the processor of the family's attention under masks.
    """

    parts: ClassVar[tuple[str, ...]] = ("text_encoder", "transformer", "vae")
    decoder: ClassVar[str] = (
        "the second half of its blocks, and for the mid and up blocks of Peekaboo's release all of them"
    )
    masked_bands: ClassVar[frozenset[Band]] = frozenset({"early", "late"})
    frame_prompts: ClassVar[bool] = False
    masked: ClassVar[type[MaskedBlock]]
    transformer: Any

    def _start(self, *arguments: Any, **keywords: Any) -> None:
        super()._start(*arguments, **keywords)
        self.half = Half()

    def _measure(self, preset: presets.Preset) -> None:
        self.vae_scale_factor, self.time_factor = factors(self._configs())
        if preset.height is None or preset.width is None:
            raise ValueError(f"the preset of {self.name!r} says no size of the frames")
        self.frames, self.height, self.width = preset.frames, preset.height, preset.width
        self.latent_channels = self.transformer.config.in_channels
        self.latent_height = self.height // self.vae_scale_factor
        self.latent_width = self.width // self.vae_scale_factor

    @property
    def denoiser(self) -> Any:
        return self.transformer

    @property
    def blocks(self) -> torch.nn.ModuleList:
        """The transformer's, in order."""
        return self.transformer.transformer_blocks

    def band(self, block: int) -> Band:
        """Where a block is, of those of the denoiser."""
        return "late" if 2 * block >= len(self.blocks) else "early"

    def denoise(
        self, latents: torch.Tensor, timestep: torch.Tensor, negative: torch.Tensor, positive: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.half.conditional = False
        try:
            unconditional = self.output(latents, timestep, negative)
        finally:
            self.half.conditional = True
        return unconditional, self.output(latents, timestep, positive)

    def denoise_conditional(
        self, latents: torch.Tensor, timestep: torch.Tensor, positive: torch.Tensor
    ) -> torch.Tensor:
        return self.output(latents, timestep, positive)

    @abstractmethod
    def output(self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """The transformer's, of one guidance half: [N,C,f,h,w]. Arguments as in `denoise`."""

    def edited(self, edits: Mapping[Site, Any], clips: int) -> AbstractContextManager[None]:
        for edit in edits.values():
            if not isinstance(edit, Mask):
                raise UserError(
                    f"backbone {self.name!r} is a video DiT, whose attention takes masks only, and the method edits it "
                    f"otherwise ({type(edit).__name__}); use another method, or a backbone with a UNet"
                )
        return attached(
            self.transformer, {site.name: self.masked(site, edit, self.half) for site, edit in edits.items()}
        )

    def slices(self, latents: torch.Tensor) -> Sequence[torch.Tensor]:
        return [latents]  # what the VAE has seen of one frame is needed for the next


class T5DiT(VideoDiT):
    """One with a T5EncoderModel that sees the padding too."""

    #: Classes of the denoiser and the VAE.
    transformer_class: ClassVar[Any]
    vae_class: ClassVar[Any]

    @staticmethod
    @abstractmethod
    def text_length(config: Mapping[str, Any]) -> int:
        """Tokens that the text encoder is given, by the denoiser's config."""

    @staticmethod
    @abstractmethod
    def check_config(config: Mapping[str, Any], where: str) -> None:
        """Refuses a denoiser of the family's class that is something else. UserError with `where` it is."""

    def vae_dtype(self) -> torch.dtype:
        """What the VAE works in."""
        return self.dtype

    def _load(self, folder: Path, preset: presets.Preset) -> None:
        file = folder / "transformer" / "config.json"
        self.check_config(layout.read_config(file), str(file))
        self.text_encoder = loading.text_encoder(T5EncoderModel, folder, self.dtype)
        self.transformer = loading.sharded(self.transformer_class, folder, "transformer", self.dtype)
        self.vae = None
        if (folder / "vae").is_dir():
            self.vae = loading.sharded(self.vae_class, folder, "vae", self.vae_dtype())

    def _build(self, architecture: Mapping[str, Mapping[str, Any]]) -> None:
        config = architecture["transformer"]
        self.check_config(config, "the denoiser's config")
        self.reader = WordReader(self.text_length(config), start=0)
        self.text_encoder = T5EncoderModel(T5Config(**architecture["text_encoder"])).to(self.dtype)
        self.transformer = loading.cast(self.transformer_class.from_config(dict(config)), self.dtype)
        self.vae = loading.cast(self.vae_class.from_config(dict(architecture["vae"])), self.vae_dtype())

    @classmethod
    def reader_of(cls, folder: Path) -> Reader:
        file = folder / "transformer" / "config.json"
        config = layout.read_config(file)
        cls.check_config(config, str(file))
        return reader(folder, cls.text_length(config))

    @property
    def cell(self) -> int:
        return self.transformer.config.patch_size

    @torch.no_grad()
    def encode_prompt(self, texts: Sequence[str]) -> torch.Tensor:
        """Last hidden states [N,L,C]; the encoder attends to the padding, as in the pipelines."""
        self.bring("text_encoder")
        ids = torch.tensor([self.token_ids(text) for text in texts], device=self.device)
        return self.text_encoder(ids).last_hidden_state.to(self.dtype)


def widened(output: torch.Tensor) -> torch.Tensor:
    """A network's output at least in float32, in which some pipelines guide and step."""
    return output.to(torch.promote_types(output.dtype, torch.float32))


def matched_by_frame(masked: torch.Tensor, unmasked: torch.Tensor, frames: int) -> torch.Tensor:
    """Mask Normalization of cells' outputs [B,f*h*w,C], of each latent frame by itself, as of a frame of a UNet."""
    by_frame = (one.unflatten(1, (frames, -1)).flatten(0, 1) for one in (masked, unmasked))
    return match_exactly(*by_frame).view_as(masked)
