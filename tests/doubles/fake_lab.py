"""A lab without models: white boxes on black, found by looking for white. Importable by worker processes."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivgbench import boxes
from ivgbench.engines.base import failure_of, telling
from ivgbench.errors import UserError
from ivgbench.generator.sampling import Decided
from ivgbench.registry import METHODS
from ivgbench.runs.lab import Facts, Made, Resolved

if TYPE_CHECKING:
    from ivgbench.judges import base

HEIGHT, WIDTH = 48, 80


def unit(*parts: object) -> np.ndarray:
    """A unit vector [8] that depends on nothing but its arguments."""
    seed = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    vector = np.frombuffer(seed, dtype=np.uint8).astype(np.float64)[:8] + 1
    return vector / np.linalg.norm(vector)


@dataclass
class Detector:
    """Knows every phrase but "blue ring", unless told."""

    knows_rings: bool = False
    id = "white-box-1"

    def detect(self, video: np.ndarray, phrase: str) -> tuple[np.ndarray, np.ndarray]:
        if phrase == "blue ring" and not self.knows_rings:
            raise UserError("the detector does not know 'blue ring'")
        found = np.full((len(video), 4), np.nan)
        for frame, picture in enumerate(video[..., 0] > 128):
            if picture.any():
                rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
                edges = (columns[0] / WIDTH, rows[0] / HEIGHT, (columns[-1] + 1) / WIDTH, (rows[-1] + 1) / HEIGHT)
                found[frame] = edges
        return found, np.nan_to_num(found[:, 0] * 0 + 0.9)


class Clip:
    def __init__(self, id: str = "hash-clip-1"):
        self.id = id

    def squashed(self) -> Clip:
        return Clip("hash-clip-1-squash")

    def embed_video(self, video: np.ndarray) -> np.ndarray:
        return np.stack([unit(frame.mean().round(3)) for frame in video])

    def embed_text(self, texts: list[str]) -> np.ndarray:
        return np.stack([unit(text) for text in texts])

    def cuts(self, text: str) -> bool:
        return len(text) > 77


@dataclass
class Encoder:
    """Features that are simple functions of the pixels. Notes every video it sees."""

    log: Path
    id: str

    def embed_video(self, video: np.ndarray) -> np.ndarray:
        with self.log.open("a") as handle:
            handle.write(f"{self.id}\n")
        cells = video[:, :48, :80].reshape(len(video), 4, 12, 4, 20, 3).mean((2, 4)) / 255
        return cells.reshape(len(video), -1)

    def embed_clip(self, video: np.ndarray) -> np.ndarray:
        frames = self.embed_video(video)
        return np.concatenate([frames.mean(0), frames[-1] - frames[0]])


@dataclass
class FakeLab:
    """`broken`: case id -> "raise", "die" (the process) or "full" (the disk). `log`: a file, a line per clip made."""

    log: Path
    broken: dict[str, str] = field(default_factory=dict)
    weights: str = "w1"
    knows_rings: bool = False

    requested = "cpu"

    def device(self) -> str:
        return "cpu"

    def default_workers(self) -> int:
        return 1

    def start_worker(self) -> dict[str, object]:
        if "start" in self.broken:
            raise UserError("no weights here")
        return {"threads": 1, "device": "fake"}

    def facts(self, spec: object, needed: bool = True) -> Facts:
        return Facts("pocket", self.weights, Decided(3, 6.0, "ddim", "", "", "float32", (HEIGHT, WIDTH)), 8)

    def costs(self, spec: object) -> Callable[[Any], Any]:
        from ivgbench.generator.cost import Cost  # not for the worker processes, which import this file

        return lambda job: Cost(job.sampling.steps, 1, 10**12, (2**30, 2**30, 2**30), (2**31, 2**30))

    def check(self, spec: object, jobs: object) -> None:
        pass

    def resolve(self, method: str, options: dict) -> Resolved:
        return Resolved(METHODS.canonical(method), {"shift": 0.0, **options}, options, 1)

    def backbone(self, name: str, dtype: str, lora: str = "") -> str:
        return f"{name} in {dtype}"

    def generate(self, backbone: str, job: Any, callback: Callable[[int, int], None] | None = None) -> Made:
        self.note(job.case.id)
        if callback is not None:
            callback(1, job.sampling.steps)
        how = self.broken.get(job.case.id)
        if how == "raise":
            raise FloatingPointError("latents are not\nfinite")
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "full":
            raise OSError(28, "No space left on device", "video.mkv")
        return self.draw(job.case, job.options["shift"], job.sampling.steps)

    def generate_batch(
        self, backbone: str, jobs: list, callback: Callable[[int, int], None] | None = None
    ) -> list[Made]:
        self.note(f"batch:{len(jobs)}")
        return [self.generate(backbone, job, callback) for job in jobs]

    def room(self, workers: int) -> Callable[[Any], int]:
        return lambda job: 3 if job.method == "plain" else 1

    def free_memory(self) -> None:
        self.note("freed")

    def draw(self, case: Any, shift: float, nfe: int) -> Made:
        track = np.clip(np.add(case.subjects[0].boxes, [shift, 0, shift, 0]), 0, 1)
        masks = boxes.rasterise(track, HEIGHT, WIDTH)
        return Made(np.repeat(masks[..., None], 3, -1).astype(np.uint8) * 255, nfe, 0)

    def note(self, text: str) -> None:
        with self.log.open("a") as handle:
            handle.write(f"{text}\n")

    def made(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def world_version(self) -> str:
        return "world-1"

    def ground_truth(self, case: Any, seed: int) -> Made:
        self.note(f"truth:{case.id}")
        return self.draw(case, 0.0, 0)

    def detector(self, name: str) -> base.Detector:
        return Detector(self.knows_rings)

    def clip(self, name: str) -> base.Clip:
        return Clip()

    def frame_encoder(self, name: str, clip: str) -> base.FrameEncoder:
        return Clip() if name == "clip" else Encoder(self.log.with_name("embedded"), f"cells-{name}")

    def video_encoder(self, name: str) -> base.VideoEncoder:
        return Encoder(self.log.with_name("embedded"), f"clip-{name}")

    def detector_id(self, name: str) -> str:
        return Detector.id

    def clip_ids(self, name: str) -> tuple[str, str]:
        return Clip().id, Clip().squashed().id

    def frame_encoder_id(self, name: str, clip: str) -> str:
        return Clip().id if name == "clip" else f"cells-{name}"

    def video_encoder_id(self, name: str) -> str:
        return f"clip-{name}"


class InlineEngine:
    """Items one after another in this process; stops for good after `limit` items, as if killed."""

    workers = 1

    def __init__(self, limit: int | None = None):
        self.limit = limit

    def run(
        self,
        start: Callable[[], Any],
        work: Callable[[Any, Any], Any],
        items: Iterable[Any],
        tries: Callable[[Any], int] | None = None,
        hear: Callable[[int, int, int], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        state = start() if length_hint(items) else None
        for index, item in enumerate(items):
            if self.limit is not None:
                if self.limit == 0:
                    raise KeyboardInterrupt
                self.limit -= 1
            try:
                with telling((lambda *far, at=index: hear(at, *far)) if hear else lambda *far: None):
                    outcome = work(state, item)
                yield index, outcome
            except Exception as fault:
                yield index, failure_of(fault)
