"""The pocket frame encoder that read no caption: an autoencoder that takes noise out of frames of the world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from ivgbench import world
from ivgbench.judges.frame_encoders import Denoiser
from ivgbench.pocket.training.loop import Schedule, fit, half_precision
from ivgbench.pocket.training.vae import round_trip, to_tensor

SCHEDULE = Schedule(steps=1500, learning_rate=2e-3, warmup=100, weight_decay=0.01)
BATCH = 32
THROUGH_AUTOENCODER = 16
NOISE = 0.2  # largest standard deviation; frames are in -1..1


def train(work: Path, vae: AutoencoderKL, seed: int = 13, device: str = "cpu", steps: int | None = None) -> Denoiser:
    """Absolute error of the frame behind noise of a random strength; half of the frames through the autoencoder."""
    torch.manual_seed(seed)
    model = Denoiser().to(device)
    vae = vae.to(device).eval().requires_grad_(False)
    schedule = SCHEDULE if steps is None else Schedule(**{**SCHEDULE.__dict__, "steps": steps})

    def loss_of(step: int) -> torch.Tensor:
        rng = np.random.default_rng([world.SPLIT_SEEDS["denoiser"], seed, step])
        first = seed * 10**7 + step * BATCH
        picks = [(first + i, int(rng.integers(world.FRAMES))) for i in range(BATCH)]
        frames = np.concatenate([world.sample_clip("denoiser", index, only).video for index, only in picks])
        frames[:THROUGH_AUTOENCODER] = round_trip(vae, frames[:THROUGH_AUTOENCODER])
        clean = to_tensor(frames).to(device)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        strength = NOISE * torch.rand(BATCH, 1, 1, 1, generator=generator)
        noise = strength * torch.randn(clean.shape, generator=generator)
        with half_precision(device):
            restored = model(clean + noise.to(device))
        return (restored.float() - clean).abs().mean()

    model.load_state_dict(fit("denoiser", model, loss_of, schedule, work))
    return model.eval()


def save(model: Denoiser, folder: Path) -> None:
    """Writes half-precision weights."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.half().contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors"
    )
