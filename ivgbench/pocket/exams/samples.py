"""Plain samples of the reporting captions, kept in blocks, so that a sampling that was stopped goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from ivgbench import world
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.files import write_atomic
from ivgbench.generator import Backbone
from ivgbench.generator.backbones import hashing, layout, presets, sources
from ivgbench.generator.backbones.base import family
from ivgbench.generator.sampler import generate_batch

BLOCK = 4


def base_model(name: str, weights: Path | None = None, device: str = "cpu") -> Backbone:
    """A pocket backbone, as its preset says.

    Args:
        name: of `presets.POCKETS`. weights: a folder of its kind; None: the one that ships.
    Raises:
        UserError: there are none, files are missing, or they are of another kind.
    """
    folder = sources.locate(name if weights is None else weights)
    preset, kind = presets.PRESETS[name], layout.family(folder)
    if kind != preset.family:
        raise UserError(f"{folder} has weights of the family {kind}; the backbone {name!r} is of {preset.family}")
    return family(kind)(folder, name, preset, device=device, dtype=torch.float32)


def exam_folder(work: Path, name: str, weights: Path | None = None) -> Path:
    """Where samples of a pocket backbone's weights, and what was measured on them, are kept.

    Other weights, steps or guidance: another folder.
    """
    preset = presets.PRESETS[name]
    version = hashing.weights_hash(sources.locate(name if weights is None else weights))[:12]
    return work / "exam" / f"{version}-{preset.steps}x{preset.guidance:g}"


def truth(index: int, subjects: int) -> world.Clip:
    """Clip `index` of the reporting split with one or two subjects."""
    return world.sample_scene("report", index, second=float(subjects > 1))


def sample(backbone: Backbone, folder: Path, clips: int, subjects: int) -> np.ndarray:
    """Plain samples of the first reporting captions, uint8 [N,F,H,W,3]; blocks that are in `folder` are not remade."""
    videos = []
    for first in range(0, clips, BLOCK):
        path = folder / f"subjects-{subjects}" / f"{first:05d}.npy"
        if not path.exists():
            shown = [truth(first + i, subjects) for i in range(BLOCK)]
            cases = [
                Case(str(i), clip.caption, tuple(Subject(sprite.phrase, sprite.boxes) for sprite in clip.sprites))
                for i, clip in enumerate(shown)
            ]
            made = generate_batch(backbone, cases, "plain", seeds=range(first, first + BLOCK))
            block = np.stack([clip.pixels for clip in made])
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, partial(np.save, arr=block))
            if first % 32 == 0:
                print(f"exam: {subjects} subject(s), {first + BLOCK} of {clips} clips", flush=True)
        videos.append(np.load(path))
    return np.concatenate(videos)[:clips]


def sheet(videos: np.ndarray, captions: list[str], path: Path, columns: int = 8) -> None:
    """Writes a PNG: first, middle and last frame of each video under its caption, never smoothed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picked = videos[:, [0, world.FRAMES // 2, world.FRAMES - 1]]
    rows = -(-len(videos) // columns)
    figure = Figure(figsize=(columns * 2.6, rows * 0.75), dpi=100)
    FigureCanvasAgg(figure)
    for place, (frames, text) in enumerate(zip(picked, captions, strict=True)):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(np.concatenate(list(frames), axis=1), interpolation="nearest")
        axes.set_title(text, fontsize=5, pad=2)
        axes.set_axis_off()
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.975, 0.04, 0.25)
    write_atomic(path, lambda handle: figure.savefig(handle, format="png", metadata={"Software": None}))
