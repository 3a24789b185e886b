"""Several commands at once in one folder."""

from __future__ import annotations

import time
from random import Random

from scene import PATIENCE, Scene


def same_name(scene: Scene, rng: Random, times: int) -> None:
    """The same run, twice."""
    _together(scene, rng, times, [{}, {}])


def sharing_jobs(scene: Scene, rng: Random, times: int) -> None:
    """Two runs with names of their own, of which one has half of the other's cases."""
    _together(scene, rng, times, [{}, {"name": "s", "cases": 1}])


def shards(scene: Scene, rng: Random, times: int) -> None:
    """The two halves of a run."""
    _together(scene, rng, times, [{"more": ("--shard", "0/2")}, {"more": ("--shard", "1/2")}])


def _together(scene: Scene, rng: Random, times: int, asked: list[dict]) -> None:
    while scene.times < times:
        running = []
        for one in asked:
            running.append(scene.start(*one.get("more", ()), **{name: one[name] for name in one if name != "more"}))
            time.sleep(rng.uniform(0, 1.5))
        codes = [process.wait(PATIENCE) for process in running]
        scene.times += 1
        scene.expect(codes == [0] * len(codes), f"exit codes {codes}")
        scene.begin_again()


FAULTS = {"two of one name": (same_name, 4), "two that share jobs": (sharing_jobs, 4), "two shards": (shards, 4)}
