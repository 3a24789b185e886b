"""The family of ModelScope and ZeroScope, and of the pocket lab: UNet3DConditionModel, CLIPTextModel, AutoencoderKL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from ivgbench.generator.backbones import hashing, presets
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.backbones.limits import factors
from ivgbench.generator.backbones.loading import diffusion_part, text_encoder
from ivgbench.generator.backbones.processors import attached, heads_apart
from ivgbench.generator.backbones.sites import Band, Offer, Site
from ivgbench.generator.backbones.text_states import emptied_after_words
from ivgbench.generator.backbones.unet3d_attention import Batch, compiled, sites
from ivgbench.generator.words import Reader, WordReader

#: Frames decoded at a time: bounds the VAE's memory.
DECODE_SLICE = 8


class UNet3D(Backbone):
    """A latent video UNet. Each frame is decoded by itself: a latent frame is a frame.

    empty_padding: text states after the last word are zero; only of the pocket lab's weights.
    """

    parts: ClassVar[tuple[str, ...]] = ("text_encoder", "unet", "vae")
    masked_bands: ClassVar[frozenset[Band]] = frozenset({"middle", "late"})
    frame_prompts: ClassVar[bool] = True
    offers: ClassVar[frozenset[Offer]] = frozenset({"frames", "signal"})
    flow: ClassVar[bool] = False
    unet: Any

    def _start(self, *arguments: Any, **keywords: Any) -> None:
        super()._start(*arguments, **keywords)
        self.batch = Batch()

    def _load(self, folder: Path, preset: presets.Preset) -> None:
        self.tokenizer = self.reader.tokenizer
        self.empty_padding = hashing.empty_padding(folder, preset)
        self.text_encoder = text_encoder(CLIPTextModel, folder, self.dtype)
        self.unet = diffusion_part(UNet3DConditionModel, folder, "unet", self.dtype)
        self.vae = diffusion_part(AutoencoderKL, folder, "vae", self.dtype) if (folder / "vae").is_dir() else None

    def _build(self, architecture: Mapping[str, Mapping[str, Any]]) -> None:
        self.reader, self.empty_padding = WordReader(), False
        self.text_encoder = CLIPTextModel(CLIPTextConfig(**architecture["text_encoder"]))
        self.unet = UNet3DConditionModel.from_config(dict(architecture["unet"]))
        self.vae = AutoencoderKL.from_config(dict(architecture["vae"]))
        for part in self.modules().values():
            torch.nn.Module.to(part, self.dtype)

    def _measure(self, preset: presets.Preset) -> None:
        # Without a VAE the factor only names the pixel size of a latent cell; 8 is the family's.
        self.vae_scale_factor, self.time_factor = factors(self._configs())
        self.frames = preset.frames
        self.height, self.width = presets.frame_size(preset, self.unet.config, self.vae_scale_factor)
        self.latent_channels = self.unet.config.in_channels
        self.latent_height = self.height // self.vae_scale_factor
        self.latent_width = self.width // self.vae_scale_factor

    @classmethod
    def reader_of(cls, folder: Path) -> Reader:
        return Reader(folder)

    @property
    def denoiser(self) -> Any:
        return self.unet

    @property
    def text_width(self) -> int:
        return self.unet.config.cross_attention_dim

    @torch.no_grad()
    def encode_prompt(self, texts: Sequence[str]) -> torch.Tensor:
        """Last hidden states [N,L,C], padded or cut to the tokenizer's length L (77); no text attention mask.

        With `empty_padding` the states of the end token and of what follows are zero.
        """
        self.bring("text_encoder")
        ids = torch.tensor([self.token_ids(text) for text in texts], device=self.device)
        states = self.text_encoder(ids).last_hidden_state.to(self.dtype)
        return emptied_after_words(states, ids, self.tokenizer.eos_token_id) if self.empty_padding else states

    def denoise(
        self, latents: torch.Tensor, timestep: torch.Tensor, negative: torch.Tensor, positive: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        context = torch.cat([negative, positive])
        unconditional, conditional = self._output(torch.cat([latents, latents]), timestep, context).chunk(2)
        return unconditional, conditional

    def denoise_conditional(
        self, latents: torch.Tensor, timestep: torch.Tensor, positive: torch.Tensor
    ) -> torch.Tensor:
        with self.batch.conditional_alone():
            return self._output(latents, timestep, positive)

    def _output(self, rows: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """What the network makes of rows [B,C,f,h,w] with text states [B,L,C] or [Bf,L,C]."""
        self.bring("unet")
        per_frame = len(context) != len(rows)
        self.batch.shared = 1 if per_frame else rows.shape[2]
        # The denoiser repeats one row per clip over its frames; per-frame rows are put back in after that.
        with _context_in_blocks(self.unet, context) if per_frame else nullcontext():
            shown = context[:: rows.shape[2]] if per_frame else context
            return self.unet(rows, timestep, encoder_hidden_states=shown, return_dict=False)[0]

    def sites(self, shape: tuple[int, int, int]) -> list[Site]:
        return [*sites(self.unet, *shape[1:])]

    def text_maps(self, site: Site, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> torch.Tensor:
        layer = site.layer
        hidden, text = (one.chunk(2)[1] for one in (args[0], keywords["encoder_hidden_states"]))
        query, key = heads_apart(layer, layer.to_q(hidden)), heads_apart(layer, layer.to_k(text))
        return torch.softmax(query @ key.transpose(-1, -2) * layer.scale, dim=-1).float()

    def edited(self, edits: Mapping[Site, Any], clips: int) -> AbstractContextManager[None]:
        return attached(self.unet, compiled(edits, clips, self.batch))

    def slices(self, latents: torch.Tensor) -> Sequence[torch.Tensor]:
        return latents.split(DECODE_SLICE, dim=2)

    def decoded(self, part: torch.Tensor) -> torch.Tensor:
        frames = part[0].transpose(0, 1) / self.vae.config.scaling_factor
        return self.vae.decode(frames, return_dict=False)[0].float()


@contextmanager
def _context_in_blocks(unet: UNet3DConditionModel, context: torch.Tensor) -> Iterator[None]:
    """While open, every block that takes text states gets `context` instead of the repeated rows."""

    def replace(_module: torch.nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
        return (args, {**kwargs, "encoder_hidden_states": context}) if "encoder_hidden_states" in kwargs else None

    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    handles = [block.register_forward_pre_hook(replace, with_kwargs=True) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
