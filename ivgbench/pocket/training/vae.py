"""The pocket autoencoder: diffusers' AutoencoderKL, factor 4, trained on single frames of the world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from ivgbench import world
from ivgbench.boxes import rasterise
from ivgbench.files import file_sha256, write_text
from ivgbench.pocket.training.loop import Schedule, fit, half_precision

SCHEDULE = Schedule(steps=8000, learning_rate=6e-4, warmup=100, ema=0.995)
BATCH = 4
SPRITE_WEIGHT = 4.0
LATENT_NOISE = 0.05
KL_WEIGHT = 1e-6  # any more and latent channels die: small sprites are worth little to the pixel loss
CONFIG = dict(
    block_out_channels=(24, 48, 64),
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    layers_per_block=1,
    latent_channels=4,
    norm_num_groups=8,
    sample_size=world.WIDTH,
    scaling_factor=1.0,
    mid_block_add_attention=False,  # the frame's global structure is the denoiser's work
)


def to_tensor(frames: np.ndarray) -> torch.Tensor:
    """uint8 [N,H,W,3] -> float32 [N,3,H,W] in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def round_trip(vae: AutoencoderKL, frames: np.ndarray) -> np.ndarray:
    """uint8 [N,H,W,3] encoded and decoded: what the frames look like at best when the model draws them."""
    device = next(vae.parameters()).device
    vae = vae.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    pixels = to_tensor(frames).to(device, memory_format=torch.channels_last)
    with half_precision(device.type):
        decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
    pixels = ((decoded.float() + 1) * 127.5).round().clamp(0, 255)
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def whiten(vae: AutoencoderKL, frames: np.ndarray) -> None:
    """Turns and scales the latent axes so that they are uncorrelated with unit variance on `frames`.

    The autoencoder computes the same function: the map goes into its last encoder convolution and the inverse into
    its first decoder one, both 1x1. A denoiser then meets no axis that drowns in noise before the others.
    """
    z = vae.encode(to_tensor(frames)).latent_dist.mean.double().transpose(0, 1).flatten(1)
    mean = z.mean(1)
    values, axes = torch.linalg.eigh(torch.cov(z))
    forward = (axes / values.sqrt()).T  # whitened = forward @ (z - mean)
    channels = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    matrix = quant.weight[:channels, :, 0, 0].double()
    quant.weight[:channels, :, 0, 0] = (forward @ matrix).float()
    quant.bias[:channels] = (forward @ (quant.bias[:channels].double() - mean)).float()
    inverse = torch.linalg.inv(forward)
    matrix = post.weight[:, :, 0, 0].double()
    post.bias.copy_((post.bias.double() + matrix @ mean).float())
    post.weight[:, :, 0, 0] = (matrix @ inverse).float()


def sample_batch(step: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames [N,3,H,W] in -1..1 and pixel weights [N,1,H,W]: a sprite covers little of a frame but is its subject."""
    rng = np.random.default_rng([seed, step])
    # Two subjects as often as one: an autoencoder that only ever saw one colour at a time mixes two.
    scenes = [
        world.sample_scene("vae", step * BATCH + i, second=0.5, only=int(rng.integers(world.FRAMES)))
        for i in range(BATCH)
    ]
    inside = np.stack(
        [
            rasterise(np.concatenate([sprite.boxes for sprite in scene.sprites]), world.HEIGHT, world.WIDTH).any(0)
            for scene in scenes
        ]
    )
    frames = np.concatenate([scene.video for scene in scenes])
    return to_tensor(frames), 1 + (SPRITE_WEIGHT - 1) * torch.from_numpy(inside).float()[:, None]


def train(work: Path, steps: int | None = None, seed: int = 0, start: Path | None = None) -> AutoencoderKL:
    """Trains the autoencoder; its latents come out white, so its scaling factor is 1.

    start: a finished autoencoder's folder whose decoder alone goes on, on scenes of its own: latents stay what they
    were, and with them everything that was trained on them.
    """
    torch.manual_seed(seed)
    vae = AutoencoderKL(**CONFIG).to(memory_format=torch.channels_last)  # twice as fast on a CPU
    schedule = SCHEDULE if steps is None else replace(SCHEDULE, steps=steps)
    name, first = "vae", 0
    if start is not None:
        weights = start / "diffusion_pytorch_model.safetensors"
        vae.load_state_dict(load_file(weights))
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
        name, first = f"vae-decoder-{file_sha256(weights)[:8]}", 1_000_000

    def loss_of(step: int) -> torch.Tensor:
        pixels, weight = sample_batch(first + step, seed)
        pixels = pixels.to(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        with half_precision("cpu"):
            posterior = vae.encode(pixels).latent_dist
            latents = posterior.mode()
            noise = LATENT_NOISE * torch.randn(latents.shape, generator=generator)
            recon = vae.decode(latents + noise).sample
        error = recon.float() - pixels
        edges = sum(error.diff(dim=d).abs().mean() for d in (2, 3))
        kl = posterior.kl().float().mean()
        return (weight * (error.abs() + 2 * error.square())).mean() + edges + KL_WEIGHT * kl

    vae.load_state_dict(fit(name, vae, loss_of, schedule, work))
    vae.eval()
    if start is not None:
        return vae
    whiten(vae, np.concatenate([world.sample_clip("vae", 10_000_000 + i).video[:1] for i in range(256)]))
    return vae


def save(vae: AutoencoderKL, folder: Path) -> None:
    """Writes it in half precision, without the place that it was loaded from: weights are known by the hash of their
    files, and that must not depend on where they were trained."""
    vae.half().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    write_text(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
