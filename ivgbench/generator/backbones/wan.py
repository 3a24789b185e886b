"""The family of Wan 2.1, and of the pocket lab's DiT: WanTransformer3DModel, UMT5EncoderModel, on flow matching's path.

Attention is over the whole clip: tokens in the order frame, row, column. A latent frame after the first stands for
`time_factor` pixel frames: of AutoencoderKLWan, 4; the pocket lab's VAE is an AutoencoderKL, of single frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention
from transformers import UMT5Config, UMT5EncoderModel

from ivgbench.generator.backbones import loading, sources
from ivgbench.generator.backbones.base import Backbone, Band, Offer, Site
from ivgbench.generator.backbones.processors import attached, check_masks, heads_apart, heads_together, project_out
from ivgbench.generator.backbones.t5 import LENGTH, T5Reader
from ivgbench.generator.edits.efdm import match_exactly
from ivgbench.generator.edits.masked import Mask
from ivgbench.generator.words import Reader, WordReader


class Wan(Backbone):
    """A video DiT. Text states past the end of a prompt are zero, and are attended to.

    The VAE works in float32, whatever the denoiser does. "Late" layers, a UNet's decoder, are the second half of the
    blocks; the released Peekaboo's mid and up blocks stand for all of them. That is our reading.
    """

    parts: ClassVar[tuple[str, ...]] = ("text_encoder", "transformer", "vae")
    masked_bands: ClassVar[frozenset[Band]] = frozenset({"early", "late"})
    frame_prompts: ClassVar[bool] = False
    offers: ClassVar[frozenset[Offer]] = frozenset({"positions"})
    flow: ClassVar[bool] = True

    def _start(self, *arguments: Any, **keywords: Any) -> None:
        super()._start(*arguments, **keywords)
        self.half = Half()

    def _load(self, folder: Path, preset: sources.Preset) -> None:
        self.text_encoder = loading.text_encoder(UMT5EncoderModel, folder, self.dtype)
        self.transformer = loading.sharded(WanTransformer3DModel, folder, "transformer", self.dtype)
        self.vae = None
        if (folder / "vae").is_dir():
            config = sources.read_config(folder / "vae" / "config.json")
            self.vae = loading.sharded(_vae_class(config), folder, "vae", torch.float32)

    def _build(self, architecture: Mapping[str, Mapping[str, Any]]) -> None:
        self.reader = WordReader(LENGTH, start=0)
        self.text_encoder = UMT5EncoderModel(UMT5Config(**architecture["text_encoder"])).to(self.dtype)
        transformer = WanTransformer3DModel.from_config(dict(architecture["transformer"]))
        self.transformer = loading.cast(transformer, self.dtype)
        self.vae = _vae_class(architecture["vae"]).from_config(dict(architecture["vae"]))

    def _measure(self, preset: sources.Preset) -> None:
        if isinstance(self.vae, AutoencoderKL):
            self.vae_scale_factor, self.time_factor = 2 ** (len(self.vae.config.block_out_channels) - 1), 1
        else:
            config = self.vae.config if self.has_vae else None
            self.vae_scale_factor = config.scale_factor_spatial if config else 8
            self.time_factor = config.scale_factor_temporal if config else 4
        self.frames, self.height, self.width = preset.frames, preset.height, preset.width
        self.latent_channels = self.transformer.config.in_channels
        self.latent_height = self.height // self.vae_scale_factor
        self.latent_width = self.width // self.vae_scale_factor

    @classmethod
    def reader_of(cls, folder: Path) -> Reader:
        return T5Reader(folder)

    @property
    def denoiser(self) -> torch.nn.Module:
        return self.transformer

    @property
    def text_width(self) -> int:
        return self.transformer.config.text_dim

    @property
    def cell(self) -> int:
        return self.transformer.config.patch_size[1]

    @torch.no_grad()
    def encode_prompt(self, texts: Sequence[str]) -> torch.Tensor:
        """Last hidden states [N,512,C]; zero after each text's end."""
        if self.device.type == "meta":  # the encoder looks at what its mask holds
            return torch.empty(len(texts), self.reader.length, self.text_width, device=self.device, dtype=self.dtype)
        self.bring("text_encoder")
        ids = torch.tensor([self.token_ids(text) for text in texts])
        ends = [min(len(self.phrase_ids(text)), self.reader.length) for text in texts]
        read = (torch.arange(self.reader.length) < torch.tensor(ends)[:, None]).to(self.device)
        states = self.text_encoder(ids.to(self.device), read.long()).last_hidden_state.to(self.dtype)
        return states * read[:, :, None]

    def denoise(
        self, latents: torch.Tensor, timestep: torch.Tensor, negative: torch.Tensor, positive: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # One half after the other, as the pipeline does: a clip's tokens fill a device by themselves.
        self.half.conditional = False
        try:
            unconditional = self._output(latents, timestep, negative)
        finally:
            self.half.conditional = True
        return unconditional, self._output(latents, timestep, positive)

    def denoise_conditional(
        self, latents: torch.Tensor, timestep: torch.Tensor, positive: torch.Tensor
    ) -> torch.Tensor:
        return self._output(latents, timestep, positive)

    def _output(self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        self.bring("transformer")
        at = timestep.expand(len(latents))
        return self.transformer(latents.to(self.dtype), at, encoder_hidden_states=text, return_dict=False)[0]

    def sites(self, shape: tuple[int, int, int]) -> list[Site]:
        height, width = shape[1] // self.cell, shape[2] // self.cell
        found = []
        for name in self.transformer.attn_processors:
            _, number, role, _ = name.split(".")
            layer = getattr(self.transformer.blocks[int(number)], role)
            band = "late" if 2 * int(number) >= len(self.transformer.blocks) else "early"
            found.append(
                Site(name, band, "clip", "self" if role == "attn1" else "text", False, (height, width), 1, layer)
            )
        return found

    def edited(self, edits: Mapping[Site, Any], clips: int) -> AbstractContextManager[None]:
        check_masks(self.name, edits.values())
        masked = {site.name: WanMasked(site, edit, self.half) for site, edit in edits.items()}
        return attached(self.transformer, masked)

    @contextmanager
    def placed(self, positions: torch.Tensor | None) -> Iterator[None]:
        if positions is None:
            yield
            return

        def turned(rope: torch.nn.Module, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
            """As the module makes them, [N,T,1,d], of other positions."""
            axes = positions.to(rope.freqs_cos.device).flatten(1, 3).unbind(-1)
            sizes = (rope.t_dim, rope.h_dim, rope.w_dim)
            cos, sin = (
                torch.cat([part[at] for part, at in zip(table.split(sizes, dim=1), axes, strict=True)], dim=-1)
                for table in (rope.freqs_cos, rope.freqs_sin)
            )
            return cos[:, :, None], sin[:, :, None]

        handle = self.transformer.rope.register_forward_hook(turned)
        try:
            yield
        finally:
            handle.remove()

    def slices(self, latents: torch.Tensor) -> Sequence[torch.Tensor]:
        return [latents]  # the VAE goes from frame to frame by itself

    def decoded(self, part: torch.Tensor) -> torch.Tensor:
        if isinstance(self.vae, AutoencoderKL):
            frames = part[0].transpose(0, 1).float() / self.vae.config.scaling_factor
            return self.vae.decode(frames, return_dict=False)[0]
        mean, std = (
            torch.tensor(values, device=part.device).view(1, -1, 1, 1, 1)
            for values in (self.vae.config.latents_mean, self.vae.config.latents_std)
        )
        return self.vae.decode(part.float() * std + mean, return_dict=False)[0][0].transpose(0, 1)


def _vae_class(config: Mapping[str, Any]) -> type[torch.nn.Module]:
    """Of a VAE's config."""
    return AutoencoderKL if config.get("_class_name") == "AutoencoderKL" else AutoencoderKLWan


class Half:
    """Which guidance half is evaluated."""

    def __init__(self) -> None:
        self.conditional = True


class WanMasked:
    """Processor: attention of a Wan block under a `Mask`, of one guidance half at a time.

    Mask Normalization matches each latent frame by itself, as it does a frame of a UNet.
    """

    def __init__(self, site: Site, mask: Mask, half: Half):
        self.site, self.mask, self.half = site, mask, half
        self.match = match_exactly if mask.match else None

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(context))
        query, key, value = (heads_apart(attn, one) for one in (query, key, attn.to_v(context)))
        if rotary_emb is not None:
            query, key = (rotated(one, *rotary_emb) for one in (query, key))
        if self.mask.conditional and not self.half.conditional:
            plain = heads_together(torch.nn.functional.scaled_dot_product_attention(query, key, value))
            return project_out(attn, plain.type_as(query))
        result = heads_together(self.mask.attend(self.site, query, key, value))
        if self.match is not None and self.mask.acts:
            with torch.no_grad():
                unmasked = torch.nn.functional.scaled_dot_product_attention(query, key, value)
            frames = self.mask.rules[0].labels.shape[0]
            by_frame = (one.unflatten(1, (frames, -1)).flatten(0, 1) for one in (result, heads_together(unmasked)))
            result = self.match(*by_frame).view_as(result)
        result = project_out(attn, result.type_as(query))
        keep = self.mask.updated(self.site, hidden_states.device)
        return result if keep is None else result * keep[:, :, None]


def rotated(tensor: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding of [B,heads,T,d]: neighbouring numbers are a pair. cos, sin: [1,T,1,d], pairs equal."""
    first, second = tensor.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2].transpose(1, 2), sin[..., 1::2].transpose(1, 2)
    return torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2).type_as(tensor)
