"""Noise with another's slow, coarse part: mixing in the frequency domain (FreeInit, Wu et al., ECCV 2024).

As released (TianxingWu/FreeInit at 410286d), where FreeTraj has it from.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

Filter = Literal["butterworth", "gaussian", "ideal", "box"]
#: "official": what the release does. "intent": what it is meant to do, see `low_pass`.
Rule = Literal["official", "intent"]
#: Over frames, rows and columns.
AXES = (-3, -2, -1)


def low_pass(
    shape: tuple[int, int, int],
    filter: Filter = "butterworth",
    order: float = 4.0,
    d_s: float = 0.25,
    d_t: float = 0.25,
    rule: Rule = "official",
) -> torch.Tensor:
    """How much of each frequency stays: float32 [F,h,w] in 0..1, the slowest in the middle (after fftshift).

    Args:
        shape: (F,h,w). order: of the Butterworth filter.
        d_s, d_t: cutoff over rows and columns, and over frames, of the highest frequency 1; 0 lets nothing through.
        rule: of the release's three oddities. "official": "ideal" ends at a squared radius of 2 d_s; "box" has the
            width of the rows for columns too and ends one cell early, hence does not lie around the middle; an odd
            size is half a cell off the middle. "intent": "ideal" ends at d_s^2; "box" reaches as many cells to each
            side as d_s and d_t of half the size are, rounded; every size has its middle.
    """
    if d_s == 0 or d_t == 0:
        return torch.zeros(shape)
    if filter == "box":
        return torch.from_numpy(_box(shape, d_s, d_t, rule).astype(np.float32))
    if rule == "official":  # off the middle where a size is odd; written as there, to the last digit
        over = [2 * np.arange(size) / size - 1 for size in shape]
    else:
        over = [2 * (np.arange(size) - size // 2) / size for size in shape]
    frames, rows, columns = np.meshgrid(*over, indexing="ij", sparse=True)
    squared = (d_s / d_t * frames) ** 2 + rows**2 + columns**2
    if filter == "butterworth":
        kept = 1 / (1 + (squared / d_s**2) ** order)
    elif filter == "gaussian":
        kept = np.exp(-squared / (2 * d_s**2))
    else:
        kept = (squared <= (2 * d_s if rule == "official" else d_s**2)).astype(np.float64)
    return torch.from_numpy(kept.astype(np.float32))


def _box(shape: tuple[int, int, int], d_s: float, d_t: float, rule: Rule) -> np.ndarray:
    widths = [round(size // 2 * cutoff) for size, cutoff in zip(shape, (d_t, d_s, d_s), strict=True)]
    kept = np.zeros(shape, dtype=bool)
    if rule == "intent":
        kept[tuple(slice(n // 2 - width, n // 2 + width + 1) for n, width in zip(shape, widths, strict=True))] = True
        return kept
    # Where there are more rows than columns their width may begin before the first one: counted from the end then.
    widths[2] = widths[1]
    kept[tuple(slice(n // 2 - width, n // 2 + width) for n, width in zip(shape, widths, strict=True))] = True
    return kept


def mix(slow: torch.Tensor, fast: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """The low frequencies of one and the high ones of the other: the real part of F^-1(F(slow) L + F(fast) (1 - L)).

    Args:
        slow, fast: [...,F,h,w], float32 or float64. kept: L as `low_pass` gives it, the same for all of them.
    Returns:
        The same shape and dtype. What is imaginary (of "box", and of odd sizes) is dropped, as released.
    """
    kept = torch.fft.ifftshift(kept.to(slow.device), dim=AXES)
    mixed = torch.fft.fftn(slow, dim=AXES) * kept + torch.fft.fftn(fast, dim=AXES) * (1 - kept)
    return torch.fft.ifftn(mixed, dim=AXES).real
