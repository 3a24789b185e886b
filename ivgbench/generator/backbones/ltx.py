"""The family of LTX-Video: LTXVideoTransformer3DModel, T5EncoderModel, AutoencoderKLLTXVideo, on flow matching's path.

The VAE makes 32 x 32 pixels of 8 frames one latent of 128 channels, and each is a token. Positions are in seconds and
pixels. The padding of a text is hidden from the text attention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel
from diffusers.models.transformers.transformer_ltx import LTXAttention
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.errors import UserError
from ivgbench.generator import pipeline_schedulers
from ivgbench.generator.backbones.cogvideox import rotated
from ivgbench.generator.backbones.dit import MaskedBlock, T5DiT, widened
from ivgbench.generator.backbones.processors import heads_apart, heads_together, project_out
from ivgbench.generator.backbones.sites import Site

#: Tokens of a text. The tokenizer's own limit is another one.
LENGTH = 128
#: Frames of a second, as the positions have it.
FRAME_RATE = 25
#: Of the VAEs from 0.9.1 on, which denoise a little themselves: the timestep they are told, and the share of noise.
DECODE_TIMESTEP, DECODE_NOISE = 0.05, 0.025


#: A block's attentions, and what each reads.
ROLES: tuple[tuple[str, Literal["self", "text"]], ...] = (("attn1", "self"), ("attn2", "text"))


class LtxMasked(MaskedBlock):
    """Processor: attention of an LTX-Video block under a `Mask`, of one guidance half at a time."""

    def __call__(
        self,
        attn: LTXAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(context))
        if image_rotary_emb is not None:  # over all channels: the heads are still together
            query, key = (rotated(one, *image_rotary_emb) for one in (query, key))
        query, key, value = (heads_apart(attn, one) for one in (query, key, attn.to_v(context)))
        if attention_mask is None:
            result = self.attend(query, key, value)
        else:
            read, attention_mask = attention_mask[:, 0] == 0, attention_mask[:, None]
            if self.on:
                result = self.mask.attend_read(self.site, query, key, value, read)
            else:
                result = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        result = heads_together(result)
        if self.matches:
            with torch.no_grad():
                unmasked = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
            result = self.matched(result, heads_together(unmasked))
        return self.kept(project_out(attn, result))


class Ltx(T5DiT):
    """A video DiT of few tokens. Text states past the end of a prompt are zero; zero states are not attended to.

    Latents and guidance are in float32, whatever the denoiser works in, as in the pipeline.

    The VAE works in the backbone's dtype, as in the pipeline, but never in float16, in which no LTX-Video was trained.
    """

    flow: ClassVar[bool] = True
    wide_latents: ClassVar[bool] = True
    masked: ClassVar[type[MaskedBlock]] = LtxMasked
    transformer_class: ClassVar[Any] = LTXVideoTransformer3DModel
    vae_class: ClassVar[Any] = AutoencoderKLLTXVideo

    @staticmethod
    def text_length(config: Mapping[str, Any]) -> int:
        return LENGTH

    @staticmethod
    def check_config(config: Mapping[str, Any], where: str) -> None:
        if (config.get("patch_size", 1), config.get("patch_size_t", 1)) != (1, 1):
            raise UserError(f"{where}: a token of LTX-Video is one latent cell; here it is of several (patch_size)")

    def vae_dtype(self) -> torch.dtype:
        return torch.float32 if self.dtype == torch.float16 else self.dtype

    @property
    def text_width(self) -> int:
        return self.transformer.config.caption_channels

    @classmethod
    def scheduler_of(cls, config: Mapping[str, Any], which: str | SchedulerMixin | None = None) -> SchedulerMixin:
        return super().scheduler_of(config, pipeline_schedulers.of_ltx(config, which))

    def scheduler(
        self, which: str | SchedulerMixin | None = None, shape: tuple[int, int, int] | None = None
    ) -> SchedulerMixin:
        made = super().scheduler(which)
        if isinstance(made, pipeline_schedulers.BySize):
            made.fit(shape or (self.latent_frames(self.frames), self.latent_height, self.latent_width))
        return made

    @torch.no_grad()
    def encode_prompt(self, texts: Sequence[str]) -> torch.Tensor:
        """Last hidden states [N,128,C]; zero after each text's end."""
        ends = torch.tensor([min(len(self.phrase_ids(text)), self.reader.length) for text in texts])
        read = torch.arange(self.reader.length) < ends[:, None]
        return super().encode_prompt(texts) * read.to(self.device)[:, :, None]

    def output(self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        self.bring("transformer")
        frames, height, width = latents.shape[2:]
        at = timestep.expand(len(latents))
        # In one piece, as in the pipeline: in half precision other strides round otherwise.
        packed = latents.flatten(2).transpose(1, 2).to(self.dtype).contiguous()
        scale = self.time_factor / FRAME_RATE, self.vae_scale_factor, self.vae_scale_factor
        made = self.transformer(
            packed, text, at, (text != 0).any(-1).long(), frames, height, width, scale, return_dict=False
        )[0]
        return widened(made).transpose(1, 2).unflatten(2, (frames, height, width))

    def sites(self, shape: tuple[int, int, int]) -> list[Site]:
        return [
            Site(
                f"transformer_blocks.{number}.{role}.processor", self.band(number), "clip", reads, False, shape[1:], 1,
                getattr(block, role),
            )
            for number, block in enumerate(self.blocks)
            for role, reads in ROLES
        ]  # fmt: skip

    def prepared(self, latents: torch.Tensor, stream: torch.Generator | None) -> torch.Tensor:
        """In the VAE's own scale, and with the noise that it is to take away."""
        mean, std = (one.to(latents).view(1, -1, 1, 1, 1) for one in (self.vae.latents_mean, self.vae.latents_std))
        latents = latents * std / self.vae.config.scaling_factor + mean
        if not self.vae.config.timestep_conditioning:
            return latents
        stream = torch.Generator().manual_seed(0) if stream is None else stream
        noise = torch.randn(latents.shape, generator=stream, dtype=torch.float32).to(latents)
        return (1 - DECODE_NOISE) * latents + DECODE_NOISE * noise

    def decoded(self, part: torch.Tensor) -> torch.Tensor:
        timestep = None
        if self.vae.config.timestep_conditioning:
            timestep = torch.tensor([DECODE_TIMESTEP], device=part.device, dtype=self.vae.dtype)
        return self.vae.decode(part.to(self.vae.dtype), timestep, return_dict=False)[0][0].transpose(0, 1).float()
