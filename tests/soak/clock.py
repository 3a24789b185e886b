"""Clocks that are set back, and files that say they are from the future, from long ago, or all of one moment."""

from __future__ import annotations

import os
import time
from random import Random

from scene import Scene

DAY = 86400


def set_back(scene: Scene, rng: Random, times: int) -> None:
    """Half of the run is made today, the rest yesterday, last year, or tomorrow; then the files' times change."""
    while scene.times < times:
        for shift in (-DAY, -365 * DAY, DAY):
            scene.run(cases=1)
            scene.look()
            ended = scene.run(SOAK_CLOCK=str(shift * rng.uniform(0.5, 1)))
            scene.times += 1
            scene.expect(ended.code == 0, f"exit code {ended.code}: {ended.line()}")
            scene.look()
            moment = time.time() + shift
            for file in scene.root.rglob("*.*"):
                if file.is_file() and rng.random() < 0.7:
                    os.utime(file, (moment, moment))
            scene.begin_again()


FAULTS = {"clock set back": (set_back, 6)}
