"""The family of CogVideoX 2b and 5b: CogVideoXTransformer3DModel, T5EncoderModel, AutoencoderKLCogVideoX.

Text and video are one sequence, the text first, and each block has one attention over it. The noise path is
variance-preserving with no signal at its end; the network puts out v. 2b's positions are added once, 5b's rotate
queries and keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.errors import UserError
from ivgbench.generator import pipeline_schedulers
from ivgbench.generator.backbones.dit import MaskedBlock, T5DiT, widened
from ivgbench.generator.backbones.processors import heads_apart, heads_together, project_out
from ivgbench.generator.backbones.sites import Site


class CogMasked(MaskedBlock):
    """Processor: the attention of a CogVideoX block under a `Mask` of text and cells, of one guidance half at a time.

    Mask Normalization is of the cells' outputs; the text's are left as they are.
    """

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        length = encoder_hidden_states.shape[1]
        whole = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = (heads_apart(attn, project(whole)) for project in (attn.to_q, attn.to_k, attn.to_v))
        query, key = (one if norm is None else norm(one) for one, norm in ((query, attn.norm_q), (key, attn.norm_k)))
        if image_rotary_emb is not None:
            query, key = (
                torch.cat([one[:, :, :length], rotated(one[:, :, length:], *image_rotary_emb)], dim=2)
                for one in (query, key)
            )
        result = heads_together(self.attend(query, key, value))
        if self.matches:
            with torch.no_grad():
                unmasked = heads_together(F.scaled_dot_product_attention(query, key, value))
            cells = self.matched(result[:, length:], unmasked[:, length:])
            result = torch.cat([result[:, :length], cells], dim=1)
        result = project_out(attn, result)
        return result[:, length:], result[:, :length]


def rotated(tensor: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding of [...,T,d]: neighbouring numbers are a pair. cos, sin: [...,T,d], pairs equal."""
    first, second = tensor.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([-second, first], dim=-1).flatten(-2)
    return (tensor.float() * cos + turned * sin).type_as(tensor)


class CogVideoX(T5DiT):
    """A video DiT with joint attention. No text token is masked, not even the padding: it is the network's way.

    Guidance is in float32, and latents are in the backbone's dtype, as in the pipeline.

    The VAE works in the backbone's dtype, as in the pipeline. It takes two latent frames at a time, so that videos have
    8k+1 frames, an odd number of latent ones.
    """

    flow: ClassVar[bool] = False
    masked: ClassVar[type[MaskedBlock]] = CogMasked
    transformer_class: ClassVar[Any] = CogVideoXTransformer3DModel
    vae_class: ClassVar[Any] = AutoencoderKLCogVideoX

    @staticmethod
    def text_length(config: Mapping[str, Any]) -> int:
        return config.get("max_text_seq_length", 226)

    @staticmethod
    def check_config(config: Mapping[str, Any], where: str) -> None:
        if config.get("patch_size_t") is not None:
            raise UserError(
                f"{where}: CogVideoX 1.5 has other tokens and positions; CogVideoX-2b and -5b can be loaded"
            )
        channels = config.get("in_channels", 16)
        if config.get("out_channels", 16) != channels or config.get("use_learned_positional_embeddings"):
            raise UserError(f"{where}: this CogVideoX starts from an image; the text-to-video ones can be loaded")

    @property
    def text_width(self) -> int:
        return self.transformer.config.text_embed_dim

    def check_video(self, frames: int) -> None:
        super().check_video(frames)
        if frames > 1 and frames % 2 == 0:
            made, step = (frames - 1) * self.time_factor + 1, self.time_factor
            raise UserError(
                f"backbone {self.name!r} makes videos of {2 * step}k+1 frames, not of {made}: use {made - step} or "
                f"{made + step}"
            )

    @classmethod
    def scheduler_of(cls, config: Mapping[str, Any], which: str | SchedulerMixin | None = None) -> SchedulerMixin:
        return super().scheduler_of(config, pipeline_schedulers.of_cogvideox(config, which))

    def output(self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        self.bring("transformer")
        shown, at = latents.transpose(1, 2).to(self.dtype), timestep.expand(len(latents))  # frames first
        positions = self._positions(*latents.shape[2:]) if self._rotates else None
        made = self.transformer(shown, text, at, image_rotary_emb=positions, return_dict=False)[0]
        return widened(made).transpose(1, 2)

    @property
    def _rotates(self) -> bool:
        return self.transformer.config.use_rotary_positional_embeddings

    def _positions(self, frames: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """cos and sin of the video's positions, [f*h*w,d] each: those of the trained grid, stretched to this one."""
        config = self.transformer.config
        grid = height // config.patch_size, width // config.patch_size
        trained = config.sample_width // config.patch_size, config.sample_height // config.patch_size
        return get_3d_rotary_pos_embed(
            config.attention_head_dim, get_resize_crop_region_for_grid(grid, *trained), grid, frames, device=self.device
        )

    def sites(self, shape: tuple[int, int, int]) -> list[Site]:
        grid = shape[1] // self.cell, shape[2] // self.cell
        return [
            Site(
                f"transformer_blocks.{number}.attn1.processor", self.band(number), "clip", "joint", False, grid, 1,
                block.attn1,
            )
            for number, block in enumerate(self.blocks)
        ]  # fmt: skip

    def decoded(self, part: torch.Tensor) -> torch.Tensor:
        latents = (part / self.vae.config.scaling_factor).to(self.vae.dtype)
        return self.vae.decode(latents, return_dict=False)[0][0].transpose(0, 1).float()
