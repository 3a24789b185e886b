"""A check: latents that ivgbench's public API computes, beside latents that it must meet."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ivgbench.generator import Backbone

#: Relative, of trajectories.
TOLERANCES = {"float64": 1e-10, "float32": 1e-4}


@dataclass(frozen=True, eq=False)
class Check:
    """One line of the parity table.

    source: "official" (numbers the released code computed) or "reference" (the second implementation in this folder);
    ours, theirs: arrays whose first axis is the step; tolerance: on the relative error; 0: equal bit for bit.
    """

    name: str
    source: str
    dtype: str
    tolerance: float
    ours: Callable[[], np.ndarray]
    theirs: Callable[[], np.ndarray]

    def errors(self) -> tuple[float, float, int]:
        """(largest absolute error, relative error of the worst step, steps)."""
        theirs, ours = self.theirs(), self.ours()
        assert ours.shape == theirs.shape, f"{self.name}: {ours.shape} and {theirs.shape}"
        ours, theirs = (values.astype(np.float64).reshape(len(values), -1) for values in (ours, theirs))
        absolute, size = np.abs(ours - theirs).max(1), np.abs(theirs).max(1)
        # A NaN is an error without end, not one that compares as small.
        absolute = np.where(np.isnan(absolute), np.inf, absolute)
        return float(absolute.max()), float((absolute / size).max()), len(theirs)


@cache
def backbone(folder: Path, dtype: torch.dtype) -> Backbone:
    return Backbone.from_pretrained(folder, dtype=dtype)
