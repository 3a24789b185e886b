"""The pocket detector: an ultralytics YOLO with one class per colour and shape ("red star"), trained from scratch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from ivgbench import world
from ivgbench.files import file_sha256, write_json
from ivgbench.judges.detectors import quiet_ultralytics
from ivgbench.pocket.training.loop import Schedule, fit
from ivgbench.pocket.training.vae import round_trip
from ivgbench.world import traps

SCHEDULE = Schedule(steps=3600, learning_rate=2e-3, warmup=100, weight_decay=0.01)
BATCH = 32
TRAP_RATE = 1 / 3
SIZE = (96, 160)  # height and width the model sees: multiples of 32, twice the frame
THRESHOLD = 0.1  # as OWL-ViT has it in this benchmark
NAMES = [f"{colour} {shape}" for colour in world.COLOURS for shape in world.SHAPES]
#: A small YOLOv8: three halvings, one more level for context, a single head at stride 8.
ARCHITECTURE = {
    "nc": len(NAMES),
    "backbone": [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "C2f", [32, True]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "C2f", [64, True]],
        [-1, 1, "Conv", [96, 3, 2]],
        [-1, 1, "C2f", [96, True]],
        [-1, 1, "SPPF", [96, 5]],
    ],
    "head": [
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 1, "C2f", [64]],
        [[10], 1, "Detect", ["nc"]],
    ],
}


def build() -> Any:
    """An untrained detector of ultralytics. Its loss weights are ultralytics' defaults."""
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import IterableSimpleNamespace

    model = DetectionModel(dict(ARCHITECTURE), ch=3, verbose=False)
    model.args = IterableSimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    return model


def to_input(frames: np.ndarray) -> torch.Tensor:
    """uint8 [N,H,W,3] -> float32 [N,3,96,160] in 0..1."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
    return F.interpolate(pixels, SIZE, mode="bilinear", align_corners=False)


def sample_scene(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """One frame with no, one or two sprites: uint8 [H,W,3] and (class, box) of each sprite.

    One frame in three shows only a half sprite or a blob, and carries no label.
    """
    if rng.random() < TRAP_RATE:
        return (traps.half_sprite, traps.colour_blob)[rng.integers(2)](rng)[0], []
    count = rng.choice(3, p=[0.1, 0.6, 0.3])
    sprites: list[world.Sprite] = []
    while len(sprites) < count:
        boxes = world.random_track(rng)[[rng.integers(world.FRAMES)]]
        if all(world.overlap(boxes, other.boxes) < world.MAX_OVERLAP for other in sprites):
            sprites.append(world.Sprite(str(rng.choice(list(world.COLOURS))), str(rng.choice(world.SHAPES)), boxes))
    if not sprites:
        return traps.blank(rng)[0], []
    frame = world.render(sprites, str(rng.choice(list(world.BACKGROUNDS))), rng)[0]
    return frame, [(NAMES.index(sprite.phrase), sprite.boxes[0]) for sprite in sprites]


def train(
    work: Path,
    vae: AutoencoderKL,
    seed: int = 9,
    device: str = "cpu",
    steps: int | None = None,
    start: Path | None = None,
) -> torch.nn.Module:
    """Trains on rendered scenes, half of them through the autoencoder and back.

    start: a finished detector's folder to go on from, at half the rate, with a checkpoint and data of its own.
    """
    torch.manual_seed(seed)
    model = build().to(device).train()
    vae = vae.to(device).eval().requires_grad_(False)
    schedule = SCHEDULE if steps is None else replace(SCHEDULE, steps=steps)
    criterion = model.init_criterion()
    name = "detector"
    if start is not None:
        model.load_state_dict(load_file(start / "model.safetensors"))
        name, seed = f"detector-onward-{file_sha256(start / 'model.safetensors')[:8]}", seed + 1
        schedule = replace(schedule, learning_rate=schedule.learning_rate / 2)

    def loss_of(step: int) -> torch.Tensor:
        rng = np.random.default_rng([world.SPLIT_SEEDS["detector"], seed, step])
        scenes = [sample_scene(rng) for _ in range(BATCH)]
        frames = np.stack([frame for frame, _ in scenes])
        frames[::2] = round_trip(vae, frames[::2])
        found = [(index, name, box) for index, (_, labels) in enumerate(scenes) for name, box in labels]
        corners = np.array([box for *_, box in found])
        batch = {
            "batch_idx": torch.tensor([float(index) for index, *_ in found], device=device),
            "cls": torch.tensor([[float(name)] for _, name, _ in found], device=device),
            "bboxes": torch.tensor(
                np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1),
                dtype=torch.float32,
                device=device,
            ),
        }
        return criterion(model(to_input(frames).to(device)), batch)[0].sum() / BATCH

    model.load_state_dict(fit(name, model, loss_of, schedule, work))
    return model.eval()


def save(model: torch.nn.Module, folder: Path) -> None:
    """Writes the architecture as data and half-precision weights; no pickles."""
    write_json(
        folder / "config.json", {"yaml": ARCHITECTURE, "names": NAMES, "size": list(SIZE), "threshold": THRESHOLD}
    )
    # Batch-norm counters stay integers.
    state = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "model.safetensors")
