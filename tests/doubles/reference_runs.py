"""Small runs against references, and folders of videos to compare with."""

from fake_lab import FakeLab, InlineEngine

from ivgbench import world
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store
from ivgbench.store.video import encode

SPEC = RunSpec(
    "r", (MethodSpec("plain", {"shift": 0.3}),), cases=2, suites=("static",), reference_videos=10,
    frame_encoders=("clip", "cells"), video_encoder="cells",
)  # fmt: skip


def clip(index, frames=8, lossless=True):
    return encode(world.sample_clip("held-out", index).video[:frames], lossless)


def run(root, *sources, **changes):
    lab = FakeLab(root / "log")
    plan = make_plan(RunSpec(**{**SPEC.__dict__, "references": tuple(map(str, sources)), **changes}), lab)
    return runner.run(plan, Store(root), lab, InlineEngine())


def rows(root):
    return {(row["reference"], row["label"]): row for row in Store(root).set_rows("r")}


def fill(folder, *indices):
    folder.mkdir(parents=True, exist_ok=True)
    for index in indices:
        (folder / f"{index}.mkv").write_bytes(clip(index))
    return folder
