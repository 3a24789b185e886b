"""Kernel Inception Distance (Binkowski et al. 2018) between two sets of frame features. numpy only, float64.

k(x, y) = (<x, y> / D + 1)^3. `kid` is what papers print; `kid_xvideo` leaves out pairs of frames of one video.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ivgbench.errors import UserError
from ivgbench.metrics import kernel
from ivgbench.metrics.kernel import Kernel


def cubic(dimension: int, degree: int = 3) -> Kernel:
    """KID's kernel for features of a dimension."""
    return Kernel(degree, 1 / dimension, 1.0)


def kid(
    x: np.ndarray, y: np.ndarray, subsets: int = 100, subset_size: int = 1000, degree: int = 3, seed: int = 0
) -> tuple[float, float]:
    """Mean and population standard deviation of the unbiased squared MMD over random subsets.

    The deviation tells how much subsets of these features differ; it is no confidence interval. At subset_size = N = M
    no choice is left: the mean is that of torch-fidelity and torchmetrics, and the deviation 0.

    Args:
        x, y: [N,D], [M,D].
        subset_size: drawn from each side without replacement, 2..min(N, M).
        seed: of the subsets.
    """
    x, y = kernel.features(x, y)
    if not 2 <= subset_size <= min(len(x), len(y)) or subsets < 1:
        raise UserError(
            f"KID needs subsets >= 1 and 2 <= subset_size <= {min(len(x), len(y))} (the smaller set), "
            f"got {subsets} and {subset_size}"
        )
    rng = np.random.default_rng(seed)
    rows, columns = (
        np.stack([rng.choice(len(one), subset_size, replace=False) for _ in range(subsets)]) for one in (x, y)
    )
    k = cubic(x.shape[1], degree)
    within = _subset_sums(k, x, x, rows, rows) - k.diagonal(x)[rows].sum(1)
    within += _subset_sums(k, y, y, columns, columns) - k.diagonal(y)[columns].sum(1)
    across = _subset_sums(k, x, y, rows, columns)
    values = within / (subset_size * (subset_size - 1)) - 2 * across / subset_size**2
    return float(values.mean()), float(values.std())


def _subset_sums(k: Kernel, x: np.ndarray, y: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sum of k over every subset's rows [S,m] of x and columns [S,m] of y: [S]."""
    if len(x) * len(y) > rows.size * columns.shape[1]:
        return np.array([k(x[r], y[c]).sum() for r, c in zip(rows, columns, strict=True)])
    # Subsets overlap: each entry of the kernel once, weighed by the subsets it is in.
    return np.diagonal(k.sums(x, y, _drawn(rows, len(x)), _drawn(columns, len(y))))


def _drawn(picks: np.ndarray, total: int) -> np.ndarray:
    """[S,m] indices -> [S,total], 1 where drawn."""
    weights = np.zeros((len(picks), total))
    np.put_along_axis(weights, picks, 1.0, axis=1)
    return weights


def kid_xvideo(
    x: np.ndarray,
    y: np.ndarray,
    x_videos: Sequence[object] | np.ndarray,
    y_videos: Sequence[object] | np.ndarray,
    degree: int = 3,
) -> float:
    """KID over all pairs of frames of different videos; unbiased although frames of one video are alike.

    Args:
        x, y: [N,D], [M,D].
        x_videos, y_videos: which video each frame is of, [N] and [M].
    Returns:
        The squared MMD; NaN when a side has fewer than two videos.
    """
    x, y = kernel.features(x, y)
    sums = kernel.video_sums(x, y, x_videos, y_videos, cubic(x.shape[1], degree))
    return float(kernel.unbiased_mmd(sums)[0])
