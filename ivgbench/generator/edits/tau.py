"""The temporal prior tau (Test-Time Domain Adaptation, Eq. 1): how alike a subject is in consecutive frames."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch

#: In the correlation's denominator, as a variance: latents are of order one.
EPSILON = 1e-6

#: Common grid of a pair's crops: the rounded mean or the larger of their sizes in cells, or `FIXED` x `FIXED` bins.
Grid = Literal["mean", "max", "fixed"]
FIXED = 16


def tau(clean: torch.Tensor, boxes: np.ndarray, grid: Grid = "mean") -> torch.Tensor:
    """Mean Pearson correlation of the boxes' contents in consecutive frames, a differentiable scalar in -1..1.

    Per latent channel, mean over channels, over consecutive frames, over subjects. Both crops of a pair are resampled
    to one grid of at least 2 x 2; the paper does not say which. Pairs with an empty box are skipped.

    Args:
        clean: estimate of the clean latents [C,F,h,w].
        boxes: float64 [K,F,4], xyxy in 0..1; zeros for an empty box.
        grid: see `Grid`.
    Returns:
        0-dim tensor; 0 without a graph if there is no pair at all.
    """
    per_subject = []
    for track in boxes:
        pairs = [_pair(clean, frame, track[frame : frame + 2], grid) for frame in range(len(track) - 1)]
        if valid := [value for value in pairs if value is not None]:
            per_subject.append(torch.stack(valid).mean())
    return torch.stack(per_subject).mean() if per_subject else clean.new_zeros(())


def _pair(clean: torch.Tensor, frame: int, boxes: np.ndarray, grid: Grid) -> torch.Tensor | None:
    height, width = clean.shape[-2:]
    scale = np.array([width, height, width, height], dtype=np.float64)
    edges = np.clip(boxes, 0, 1) * scale
    sizes = edges[:, 2:] - edges[:, :2]
    if (sizes <= 0).any():
        return None
    common = {"mean": sizes.mean(axis=0), "max": sizes.max(axis=0), "fixed": np.full(2, FIXED)}[grid]
    columns, rows = (max(2, math.floor(size + 0.5)) for size in common)
    crops = [roi_align(clean[:, frame + i], edges[i], rows, columns) for i in (0, 1)]
    return pearson(*crops)


def pearson(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Correlation of two maps [C,h,w] over their cells, per channel, mean over channels; 1 for identical ones."""
    a, b = (crop.flatten(1) - crop.flatten(1).mean(1, keepdim=True) for crop in (first, second))
    # The epsilon is inside the root: the gradient at a constant crop is finite.
    return ((a * b).mean(1) / torch.sqrt(a.square().mean(1) * b.square().mean(1) + EPSILON**2)).mean()


def roi_align(feature: torch.Tensor, edges: np.ndarray, rows: int, columns: int) -> torch.Tensor:
    """A box of a map [C,h,w] resampled to [C,rows,columns]: ROI Align (He et al. 2017), aligned, bilinear.

    Args:
        edges: x0, y0, x1, y1 in cells. On an axis-aligned box the resampling is a product of two matrices, so it is
            differentiable in any precision.
    """
    down = _axis_weights(edges[1], edges[3], rows, feature.shape[1])
    across = _axis_weights(edges[0], edges[2], columns, feature.shape[2])
    return torch.from_numpy(down).to(feature) @ feature @ torch.from_numpy(across).to(feature).T


def _axis_weights(low: float, high: float, bins: int, size: int) -> np.ndarray:
    """[bins,size]: each bin averages ceil(length/bins) bilinear samples of the cells' centres."""
    length = high - low
    count = max(1, math.ceil(length / bins))
    at = low - 0.5 + (np.arange(bins * count) + 0.5) * length / (bins * count)
    at = np.clip(at, 0, size - 1)
    left = np.minimum(at.astype(int), size - 1)
    right = np.minimum(left + 1, size - 1)
    fraction = at - left
    weights = np.zeros((bins * count, size))
    np.add.at(weights, (np.arange(len(at)), left), 1 - fraction)
    np.add.at(weights, (np.arange(len(at)), right), fraction)
    return weights.reshape(bins, count, size).mean(axis=1)
