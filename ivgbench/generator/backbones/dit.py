"""What the video DiTs of T5's text encoder share, CogVideoX and LTX-Video.

Attention is over the whole clip: tokens in the order frame, row, column. "Late" layers, a UNet's decoder, are the
second half of the blocks; the released Peekaboo's mid and up blocks stand for all of them. That is our reading.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import T5Config, T5EncoderModel

from ivgbench.generator.backbones import loading, sources
from ivgbench.generator.backbones.base import Backbone, Band
from ivgbench.generator.backbones.t5_pieces import reader
from ivgbench.generator.edits.efdm import match_exactly
from ivgbench.generator.words import Reader, WordReader


class VideoDiT(Backbone):
    """A transformer, a T5EncoderModel that sees the padding too, and a VAE of the whole clip.

    The guidance halves are evaluated one after the other: a clip's tokens fill a device by themselves.
    """

    parts: ClassVar[tuple[str, ...]] = ("text_encoder", "transformer", "vae")
    masked_bands: ClassVar[frozenset[Band]] = frozenset({"early", "late"})
    frame_prompts: ClassVar[bool] = False
    #: Classes of the denoiser and the VAE.
    transformer_class: ClassVar[type[torch.nn.Module]]
    vae_class: ClassVar[type[torch.nn.Module]]
    #: The VAE's factors in time and space, where it is not there to say.
    factors: ClassVar[tuple[int, int]]

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

    def _load(self, folder: Path, preset: sources.Preset) -> None:
        file = folder / "transformer" / "config.json"
        self.check_config(sources.read_config(file), str(file))
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

    @abstractmethod
    def vae_factors(self) -> tuple[int, int]:
        """The factors in time and space of the VAE that is there."""

    def _measure(self, preset: sources.Preset) -> None:
        self.time_factor, self.vae_scale_factor = self.vae_factors() if self.has_vae else self.factors
        self.frames, self.height, self.width = preset.frames, preset.height, preset.width
        self.latent_channels = self.transformer.config.in_channels
        self.latent_height = self.height // self.vae_scale_factor
        self.latent_width = self.width // self.vae_scale_factor

    @classmethod
    def reader_of(cls, folder: Path) -> Reader:
        file = folder / "transformer" / "config.json"
        config = sources.read_config(file)
        cls.check_config(config, str(file))
        return reader(folder, cls.text_length(config))

    @property
    def denoiser(self) -> torch.nn.Module:
        return self.transformer

    @property
    def cell(self) -> int:
        return self.transformer.config.patch_size

    @torch.no_grad()
    def encode_prompt(self, texts: Sequence[str]) -> torch.Tensor:
        """Last hidden states [N,L,C]; the encoder attends to the padding, as in the pipelines."""
        self.bring("text_encoder")
        ids = torch.tensor([self.token_ids(text) for text in texts], device=self.device)
        return self.text_encoder(ids).last_hidden_state.to(self.dtype)

    def band(self, block: int) -> Band:
        """Where a block is, of those of the denoiser."""
        return "late" if 2 * block >= len(self.transformer.transformer_blocks) else "early"

    def slices(self, latents: torch.Tensor) -> Sequence[torch.Tensor]:
        return [latents]  # what the VAE has seen of one frame is needed for the next


def matched_by_frame(masked: torch.Tensor, unmasked: torch.Tensor, frames: int) -> torch.Tensor:
    """Mask Normalization of cells' outputs [B,f*h*w,C], of each latent frame by itself, as of a frame of a UNet."""
    by_frame = (one.unflatten(1, (frames, -1)).flatten(0, 1) for one in (masked, unmasked))
    return match_exactly(*by_frame).view_as(masked)
