"""The family of Wan 2.1, and of the pocket lab's DiT: WanTransformer3DModel, UMT5EncoderModel, on flow matching's path.

Attention is over the whole clip: tokens in the order frame, row, column. A latent frame after the first stands for
`time_factor` pixel frames: of AutoencoderKLWan, 4; the pocket lab's VAE is an AutoencoderKL, of single frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention
from transformers import UMT5Config, UMT5EncoderModel

from ivgbench.errors import UserError
from ivgbench.generator.backbones import layout, loading, presets
from ivgbench.generator.backbones.dit import MaskedBlock, VideoDiT
from ivgbench.generator.backbones.processors import heads_apart, heads_together, project_out
from ivgbench.generator.backbones.sites import Offer, Site
from ivgbench.generator.backbones.t5 import LENGTH, T5Reader
from ivgbench.generator.words import Reader, WordReader


class WanMasked(MaskedBlock):
    """Processor: attention of a Wan block under a `Mask`."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        query, key, value = projected(attn, hidden_states, encoder_hidden_states, rotary_emb)
        result = heads_together(self.attend(query, key, value))
        if self.matches:
            with torch.no_grad():
                unmasked = heads_together(F.scaled_dot_product_attention(query, key, value))
            result = self.matched(result, unmasked)
        return self.kept(project_out(attn, result.type_as(query)))


def projected(
    attn: WanAttention,
    hidden: torch.Tensor,
    context: torch.Tensor | None,
    rotary: tuple[torch.Tensor, torch.Tensor] | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries [B,heads,N,d], keys and values [B,heads,M,d] of a layer, normed and turned."""
    context = hidden if context is None else context
    query, key = attn.norm_q(attn.to_q(hidden)), attn.norm_k(attn.to_k(context))
    query, key, value = (heads_apart(attn, one) for one in (query, key, attn.to_v(context)))
    if rotary is not None:
        query, key = (rotated(one, *rotary) for one in (query, key))
    return query, key, value


def rotated(tensor: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding of [B,heads,T,d]: neighbouring numbers are a pair. cos, sin: [1,T,1,d], pairs equal."""
    first, second = tensor.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2].transpose(1, 2), sin[..., 1::2].transpose(1, 2)
    return torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2).type_as(tensor)


class Wan(VideoDiT):
    """A video DiT. Text states past the end of a prompt are zero, and are attended to.

    Latents and the VAE are in float32, whatever the denoiser works in; guidance is in the denoiser's dtype. So does the
    pipeline.
    """

    offers: ClassVar[frozenset[Offer]] = frozenset({"positions"})
    flow: ClassVar[bool] = True
    wide_latents: ClassVar[bool] = True
    masked: ClassVar[type[MaskedBlock]] = WanMasked

    def _load(self, folder: Path, preset: presets.Preset) -> None:
        self.text_encoder = loading.text_encoder(UMT5EncoderModel, folder, self.dtype)
        self.transformer = loading.sharded(WanTransformer3DModel, folder, "transformer", self.dtype)
        self.vae = None
        if (folder / "vae").is_dir():
            config = layout.read_config(folder / "vae" / "config.json")
            _check_scale(config, folder / "vae" / "config.json")
            self.vae = loading.sharded(_vae_class(config), folder, "vae", torch.float32)

    def _build(self, architecture: Mapping[str, Mapping[str, Any]]) -> None:
        self.reader = WordReader(LENGTH, start=0)
        self.text_encoder = UMT5EncoderModel(UMT5Config(**architecture["text_encoder"])).to(self.dtype)
        transformer = WanTransformer3DModel.from_config(dict(architecture["transformer"]))
        self.transformer = loading.cast(transformer, self.dtype)
        self.vae = _vae_class(architecture["vae"]).from_config(dict(architecture["vae"]))

    @classmethod
    def reader_of(cls, folder: Path) -> Reader:
        return T5Reader(folder)

    @property
    def blocks(self) -> torch.nn.ModuleList:
        return self.transformer.blocks

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

    def output(self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        self.bring("transformer")
        at = timestep.expand(len(latents))
        return self.transformer(latents.to(self.dtype), at, encoder_hidden_states=text, return_dict=False)[0]

    def sites(self, shape: tuple[int, int, int]) -> list[Site]:
        height, width = shape[1] // self.cell, shape[2] // self.cell
        found = []
        for name in self.transformer.attn_processors:
            _, number, role, _ = name.split(".")
            layer = getattr(self.blocks[int(number)], role)
            reads: Literal["self", "text"] = "self" if role == "attn1" else "text"
            found.append(Site(name, self.band(int(number)), "clip", reads, False, (height, width), 1, layer))
        return found

    def text_maps(self, site: Site, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> torch.Tensor | None:
        if not self.half.conditional:
            return None
        query, key, _ = projected(site.layer, args[0], args[1], None)
        probs = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1).float()
        cells = site.grid[0] * site.grid[1]
        return probs[0].unflatten(1, (-1, cells)).transpose(0, 1)

    @contextmanager
    def placed(self, positions: torch.Tensor | None) -> Iterator[None]:
        if positions is None:
            yield
            return

        def turned(rope: Any, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
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

    def decoded(self, part: torch.Tensor) -> torch.Tensor:
        if isinstance(self.vae, AutoencoderKL):
            frames = part[0].transpose(0, 1).float() / self.vae.config.scaling_factor
            return self.vae.decode(frames, return_dict=False)[0]
        mean, std = (
            torch.tensor(values, device=part.device).view(1, -1, 1, 1, 1)
            for values in (self.vae.config.latents_mean, self.vae.config.latents_std)
        )
        return self.vae.decode(part.float() * std + mean, return_dict=False)[0][0].transpose(0, 1)


def _check_scale(config: Mapping[str, Any], file: Path) -> None:
    """Refuses a VAE whose config does not scale each of its channels."""
    for name in ("latents_mean", "latents_std"):
        values, channels = config.get(name), config.get("z_dim", 16)
        if values is not None and (not isinstance(values, list) or len(values) != channels):
            raise UserError(f"{file}: {name} must be a list of {channels} numbers, one for each channel")


def _vae_class(config: Mapping[str, Any]) -> Any:
    """Of a VAE's config."""
    return AutoencoderKL if config.get("_class_name") == "AutoencoderKL" else AutoencoderKLWan
