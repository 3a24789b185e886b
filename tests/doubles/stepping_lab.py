"""The lab without models, telling its steps as the real one does; and a studio over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fake_lab import FakeLab

from ivgbench.store.runs import Store


class SteppingLab(FakeLab):
    """`gate` is called with the number of each step before it is told."""

    gate = staticmethod(lambda step: None)

    def generate(self, backbone: str, job: Any, callback: Any = None) -> Any:
        for step in range(1, 1 + job.sampling.steps):
            self.gate(step)
            callback(step, job.sampling.steps)
        return super().generate(backbone, job)


def maker(folder: Path) -> Any:
    """What makes clips in a folder. Its `fake.gate` may be set."""
    from ivgbench.studio.making import Maker

    lab = SteppingLab(folder / "log")
    made = Maker(lab, Store(folder / "runs"))
    made.fake = lab
    return made
