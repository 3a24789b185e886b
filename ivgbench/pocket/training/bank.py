"""The clips that the text-to-video model learns from, as latents: encoded once, then drawn from many times.

Encoding a frame costs a third of a training step on it, and the world is small: thousands of clips, seen a few times
each, teach as much as fresh ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL

from ivgbench import world
from ivgbench.files import write_atomic
from ivgbench.pocket.training.loop import half_precision
from ivgbench.pocket.training.vae import to_tensor

CLIPS = 16_000
SHARD = 500
CAPTION_DROPOUT = 0.1


def _shard(work: Path, number: int) -> Path:
    return work / "bank" / f"{number:04d}.npz"


@torch.no_grad()
def encode_shard(work: Path, vae: AutoencoderKL, number: int) -> None:
    """Renders and encodes clips [number * SHARD, (number + 1) * SHARD) of the training split, unless that is done."""
    path = _shard(work, number)
    if path.exists():
        return
    device = next(vae.parameters()).device
    vae = vae.to(memory_format=torch.channels_last)
    clips = [world.sample_scene("text-to-video", number * SHARD + i) for i in range(SHARD)]
    latents = []
    for clip in clips:
        pixels = to_tensor(clip.video).to(device, memory_format=torch.channels_last)  # twice as fast on a CPU
        with half_precision(device.type):
            mode = vae.encode(pixels).latent_dist.mode()
        latents.append((mode.float() * vae.config.scaling_factor).half().cpu().numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"latents": np.stack(latents), "captions": np.array([clip.caption for clip in clips])}
    write_atomic(path, lambda handle: np.savez(handle, **arrays))


def load_bank(work: Path, vae: AutoencoderKL, clips: int = CLIPS) -> tuple[torch.Tensor, list[str]]:
    """Latents float16 [clips,F,4,h,w] and their captions; shards that are missing in `work` are made first."""
    latents: list[torch.Tensor] = []
    captions: list[str] = []
    for number in range(-(-clips // SHARD)):
        encode_shard(work, vae, number)
        with np.load(_shard(work, number)) as shard:
            latents.append(torch.from_numpy(shard["latents"]))
            captions.extend(str(text) for text in shard["captions"])
        if (number + 1) % 8 == 0:
            print(f"bank: {len(captions)} of {clips} clips", flush=True)
    return torch.cat(latents)[:clips], captions[:clips]


class Batch(NamedTuple):
    """What a training step sees: clean latents [B,4,F,h,w] and noise of their shape, the captions, and how noisy each
    clip is to be: levels [B] in 0..1, every batch from all of the range."""

    clean: torch.Tensor
    noise: torch.Tensor
    captions: list[str]
    levels: torch.Tensor


def batches(
    bank: tuple[torch.Tensor, list[str]], size: int, frames: int, two: float | None = None
) -> Callable[[np.random.Generator], Batch]:
    """A function that draws batches of the bank: `size` clips, or some random frames of each, in order.

    two: share of scenes with two subjects; None: as the bank has them.
    """
    latents, captions = bank
    second = np.array([" and " in caption for caption in captions])
    groups = np.flatnonzero(~second), np.flatnonzero(second)

    def draw(rng: np.random.Generator) -> Batch:
        if two is None:
            picks = rng.integers(len(captions), size=size)
        else:
            picks = np.array([rng.choice(groups[int(share < two)]) for share in rng.random(size)])
        shown = latents[picks]
        if frames == 1:
            shown = shown[torch.arange(size), rng.integers(world.FRAMES, size=size)].unsqueeze(1)
        elif frames < world.FRAMES:
            kept = np.sort(rng.permuted(np.tile(np.arange(world.FRAMES), (size, 1)), axis=1)[:, :frames])
            shown = shown[torch.arange(size)[:, None], kept]
        clean = shown.float().transpose(1, 2)
        prompts = ["" if rng.random() < CAPTION_DROPOUT else captions[pick] for pick in picks]
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        noise = torch.randn(clean.shape, generator=generator)
        levels = (torch.arange(size) + torch.rand(size, generator=generator)) / size
        return Batch(clean, noise, prompts, levels)

    return draw
