"""Workers without enough memory: batches are halved, and what never fits is a failed row."""

from __future__ import annotations

from random import Random

from quick_lab import FAULT
from scene import Scene

from ivgbench.store.runs import Store


def too_little(scene: Scene, rng: Random, times: int) -> None:
    """Memory for one clip, asked for eight at a time: MemoryError in the worker."""
    _in_batches(scene, times, "memory", "too little memory for")


def killed_for_it(scene: Scene, rng: Random, times: int) -> None:
    """The system kills a worker that makes more than one clip at once."""
    _in_batches(scene, times, "oom", "are made again")


def _in_batches(scene: Scene, times: int, fault: str, words: str) -> None:
    while scene.times < times:
        ended = scene.run("--batch-size", "8", **{FAULT: fault})
        scene.times += 1
        scene.expect(ended.code == 0, f"exit code {ended.code}: {ended.line()}")
        scene.expect(words in ended.told, "batches are not made smaller")
        scene.begin_again()


def never_fits(scene: Scene, rng: Random, times: int) -> None:
    """A case whose worker dies each time: a failed row that says why, and all others done."""
    while scene.times < times:
        ended = scene.run("--batch-size", "4", **{FAULT: "never"})
        scene.times += 1
        scene.expect(ended.code == 1, f"exit code {ended.code}: {ended.line()}")
        rows = {row["job"]: row["status"] for row in Store(scene.root).load_rows("r")[0]}
        reasons = sorted(set(rows.values()) - {"ok", "undefined"})
        scene.expect(len(reasons) == 1 and "killed by signal 9 (out of memory?)" in reasons[0], f"rows say {reasons}")
        scene.look()
        scene.begin_again()


FAULTS = {"too little memory": (too_little, 3), "killed for memory": (killed_for_it, 3), "never fits": (never_fits, 2)}
