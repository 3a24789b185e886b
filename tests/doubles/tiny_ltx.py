"""A tiny LTX-Video with random weights, written as diffusers does, its denoiser in two shards."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel
from tiny_wan import enlarged, tokenizer, written
from transformers import T5Config, T5EncoderModel


def parts(timestep_conditioning: bool = False) -> dict[str, Any]:
    """The same weights each time. timestep_conditioning: the VAE is of the kind of 0.9.1."""
    torch.manual_seed(0)
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=12, cross_attention_dim=24,
        num_layers=4, caption_channels=16,
    )  # fmt: skip
    enlarged(transformer)
    vae = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1), scaling_factor=1.5,
        timestep_conditioning=timestep_conditioning,
    )  # fmt: skip
    vae.latents_mean.copy_(torch.linspace(-0.5, 0.5, 8))
    vae.latents_std.copy_(torch.linspace(0.5, 2, 8))
    config = T5Config(vocab_size=16, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return {
        "transformer": transformer,
        "vae": vae.eval(),
        "text_encoder": T5EncoderModel(config).eval(),
        "tokenizer": tokenizer(),
        "scheduler": FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True,
            base_shift=0.95,
            max_shift=2.05,
            base_image_seq_len=1024,
            max_image_seq_len=4096,
            shift_terminal=0.1,
        ),
    }


def write(folder: Path, timestep_conditioning: bool = False) -> Path:
    return written(folder, parts(timestep_conditioning), "LTXPipeline", "60KB")
