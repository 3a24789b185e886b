"""An installed package that adds a method, a detector and encoders, made in a folder.

    python tests/plugin_package.py FOLDER && PYTHONPATH=FOLDER make test

runs all tests with it installed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import invalidate_caches
from pathlib import Path

#: A method that dims the first latents, and judges that look at brightness only.
LAMP = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ivgbench.generator.methods.base import Method, Run, option


class Dimmed(Run):
    def __init__(self, by):
        self.by = by

    def before_step(self, step, latents, noise):
        return latents * (1 - self.by) if step == 0 else latents


@dataclass(frozen=True)
class Lamp(Method):
    name: ClassVar[str] = "lamp"
    version: ClassVar[int] = 3
    by: float = option(0.25, 0.0, 1.0)

    def start(self, setup):
        return Dimmed(self.by)


class Finder:
    id = "lamp-finder-1"

    def __init__(self, device):
        pass

    def detect(self, video, phrase):
        return np.tile([0.25, 0.25, 0.75, 0.75], (len(video), 1)), np.ones(len(video))


class Grey:
    id = "lamp-grey-1"

    def __init__(self, device):
        pass

    def embed_video(self, video):
        return video.reshape(len(video), 4, -1).mean(2) / 255


class GreyFilm(Grey):
    id = "lamp-film-1"

    def embed_clip(self, video):
        return self.embed_video(video).mean(0)
"""
POINTS = {
    "ivgbench.methods": {"lamp": "lamp:Lamp"},
    "ivgbench.detectors": {"lamp-finder": "lamp:Finder"},
    "ivgbench.frame_encoders": {"lamp-grey": "lamp:Grey"},
    "ivgbench.video_encoders": {"lamp-film": "lamp:GreyFilm"},
}


def install(
    folder: Path, code: str = LAMP, points: Mapping[str, Mapping[str, str]] = POINTS, name: str = "lamp"
) -> Path:
    """Puts the package `name` 1.2, a module of that name, into a folder; it is installed where that is on the path.

    points: entry points, group -> name -> "module:attribute".
    """
    about = folder / f"{name}-1.2.dist-info"
    about.mkdir(parents=True)
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
    lines = [line for group, one in points.items() for line in (f"[{group}]", *(f"{key} = {one[key]}" for key in one))]
    (about / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    invalidate_caches()  # a folder that has been looked into is not looked into again within a tick of its clock
    return folder


def nothing() -> None:
    """What a worker process starts with."""


def called(state: None, method: str) -> str:
    """What a worker process calls a method."""
    from ivgbench.registry import METHODS

    return METHODS.called(method)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
