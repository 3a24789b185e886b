"""The pocket video encoder: V-JEPA's architecture, small, taught to tell how a sprite moves and what shape it has.

It judges clips for JEDi. A third of its training clips went through the autoencoder and back. While it learns, its
tokens also say where the sprite is: without that, two hundred steps left it at chance.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from ivgbench import world
from ivgbench.files import file_sha256, write_json
from ivgbench.judges.video_encoders import to_pixels
from ivgbench.judges.vjepa import Config, VideoTransformer
from ivgbench.pocket.training.loop import Schedule, fit, half_precision
from ivgbench.pocket.training.vae import round_trip

SCHEDULE = Schedule(steps=1500, learning_rate=1e-3, matrix_rate=3e-3, warmup=60, weight_decay=0.05)
BATCH = 16
THROUGH_AUTOENCODER = 5
MOTIONS = ("still", "right", "left", "down", "up")
CONFIG = Config(
    dim=96,
    depth=4,
    heads=4,
    size=(world.FRAMES, world.HEIGHT, world.WIDTH),
    patch=(2, 8, 8),
    classes=len(MOTIONS) + len(world.SHAPES),
)


def motion(boxes: np.ndarray) -> str:
    """Where a track [F,4] goes: the axis on which its centre travels more pixels, or "still"."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 * (world.WIDTH, world.HEIGHT)
    right, down = centres[-1] - centres[0]
    if max(abs(right), abs(down)) < 1e-6:
        return "still"
    if abs(right) > abs(down):
        return "right" if right > 0 else "left"
    return "down" if down > 0 else "up"


class Pupil(torch.nn.Module):
    """The transformer, and the layer by which its tokens are asked where the sprite is; only the former is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = VideoTransformer(CONFIG)
        self.where = torch.nn.Linear(CONFIG.dim, 1)
        torch.nn.init.trunc_normal_(self.transformer.probe.pooler.query_tokens, std=0.02)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Scores of motions [B,5], shapes [B,5] and tokens [B,N]."""
        tokens = self.transformer.encoder(pixels)
        told = self.transformer.probe.linear(self.transformer.probe(tokens))
        return *told.split([len(MOTIONS), len(world.SHAPES)], 1), self.where(tokens)[..., 0]


def lesson(clips: list[world.Clip]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What is true of clips: index of the motion [B], of the shape [B], and the sprite's share of each token [B,N]."""
    sprites = [clip.sprites[0] for clip in clips]
    alpha = torch.tensor(np.stack([world.sprite_alpha(one.shape, one.boxes) for one in sprites]), dtype=torch.float32)
    shares = F.avg_pool3d(alpha[:, None], CONFIG.patch).flatten(1)
    motions = torch.tensor([MOTIONS.index(motion(one.boxes)) for one in sprites])
    return motions, torch.tensor([world.SHAPES.index(one.shape) for one in sprites]), shares


def train(
    work: Path,
    vae: AutoencoderKL,
    seed: int = 11,
    device: str = "cpu",
    steps: int | None = None,
    start: Path | None = None,
) -> VideoTransformer:
    """Cross-entropy of motion, shape and place; encoder and probe learn together.

    start: a finished encoder's folder to go on from, at half the rates, with a checkpoint and data of its own.
    """
    torch.manual_seed(seed)
    model = Pupil().to(device)
    vae = vae.to(device).eval().requires_grad_(False)
    schedule = SCHEDULE if steps is None else replace(SCHEDULE, steps=steps)
    name = "video"
    if start is not None:
        model.transformer.load_state_dict(load_file(start / "model.safetensors"))
        name, seed = f"video-onward-{file_sha256(start / 'model.safetensors')[:8]}", seed + 100
        matrices = None if schedule.matrix_rate is None else schedule.matrix_rate / 2
        schedule = replace(schedule, learning_rate=schedule.learning_rate / 2, matrix_rate=matrices)

    def loss_of(step: int) -> torch.Tensor:
        clips = [world.sample_clip("video", seed * 10**7 + step * BATCH + i) for i in range(BATCH)]
        videos = np.stack([clip.video for clip in clips])
        some = videos[:THROUGH_AUTOENCODER]
        videos[:THROUGH_AUTOENCODER] = round_trip(vae, some.reshape(-1, *some.shape[2:])).reshape(some.shape)
        pixels = torch.cat([to_pixels(video, CONFIG.size) for video in videos]).to(device)
        motions, shapes, shares = (one.to(device) for one in lesson(clips))
        with half_precision(device):
            told = [scores.float() for scores in model(pixels)]
        place = F.binary_cross_entropy_with_logits(told[2], shares)
        return F.cross_entropy(told[0], motions) + F.cross_entropy(told[1], shapes) + place

    model.load_state_dict(fit(name, model, loss_of, schedule, work))
    return model.transformer.eval()


def save(model: VideoTransformer, folder: Path) -> None:
    """Writes the sizes and half-precision weights."""
    write_json(folder / "config.json", CONFIG._asdict())
    save_file(
        {name: value.half().contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors"
    )
