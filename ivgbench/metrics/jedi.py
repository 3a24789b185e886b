"""JEDi (Luo et al. 2024, "Beyond FVD"): squared MMD between clip features of a video encoder. numpy only, float64.

k(x, y) = (<x, y> / D)^2, values x 100. One feature per clip.
"""

from __future__ import annotations

import numpy as np

from ivgbench.metrics import kernel
from ivgbench.metrics.kernel import Kernel

SCALE = 100.0


def quadratic(dimension: int) -> Kernel:
    """JEDi's kernel for features of a dimension."""
    return Kernel(2, 1 / dimension, 0.0)


def jedi(x: np.ndarray, y: np.ndarray) -> float:
    """The released definition: biased, diagonals included, x 100. x [N,D], y [M,D].

    With this kernel it is 100 || E[x x^T] - E[y y^T] ||^2 / D^2 (Frobenius): two D x D matrices, whatever N and M are.
    It falls with the number of clips even where both sets have one distribution, so compare equal numbers only.
    """
    x, y = kernel.features(x, y)
    difference = x.T @ x / len(x) - y.T @ y / len(y)
    return SCALE * float(np.square(difference).sum()) / x.shape[1] ** 2


def jedi_unbiased(x: np.ndarray, y: np.ndarray) -> float:
    """The same without the diagonals (a U-statistic), x 100: 0 on average where both sets have one distribution."""
    return SCALE * float(kernel.unbiased_mmd(clip_sums(x, y))[0])


def clip_sums(x: np.ndarray, y: np.ndarray) -> kernel.VideoSums:
    """The kernel between all clips, for `kernel.interval`."""
    x, y = kernel.features(x, y)
    return kernel.video_sums(x, y, range(len(x)), range(len(y)), quadratic(x.shape[1]))
