"""A tiny CogVideoX with random weights, written as diffusers does, its denoiser in two shards."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from tiny_wan import enlarged, tokenizer, written
from transformers import T5Config, T5EncoderModel

#: Of the published 2b (sin-cos positions) and 5b (rotary): what their schedulers, VAEs and positions differ in.
KINDS = {"2b": (3.0, 1.15258426, False), "5b": (1.0, 0.7, True)}
LENGTH = 16


def parts(kind: str = "2b") -> dict[str, Any]:
    """The same weights each time."""
    shift, scaling, rotary = KINDS[kind]
    torch.manual_seed(0)
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, time_embed_dim=8,
        text_embed_dim=16, num_layers=4, sample_width=12, sample_height=8, sample_frames=9,
        max_text_seq_length=LENGTH, use_rotary_positional_embeddings=rotary,
    )  # fmt: skip
    enlarged(transformer)
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2, sample_height=64,
        sample_width=96, scaling_factor=scaling,
    )  # fmt: skip
    config = T5Config(vocab_size=16, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return {
        "transformer": transformer,
        "vae": vae.eval(),
        "text_encoder": T5EncoderModel(config).eval(),
        "tokenizer": tokenizer(),
        "scheduler": CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            snr_shift_scale=shift,
            clip_sample=False,
        ),
    }


def write(folder: Path, kind: str = "2b") -> Path:
    return written(folder, parts(kind), "CogVideoXPipeline", "100KB")
