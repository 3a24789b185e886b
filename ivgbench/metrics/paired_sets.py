"""FID and KID of several methods on the same cases, resampled together: what their differences are judged by.

The unit is the case: all its clips, of every method, are drawn or left out together. numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ivgbench.errors import UserError
from ivgbench.metrics import kernel
from ivgbench.metrics.fid import Gaussian, against
from ivgbench.metrics.kid import cubic


def fid_draws(
    clips: Sequence[np.ndarray], cases: Sequence[int], reference: Gaussian, weights: np.ndarray
) -> np.ndarray:
    """FID of the frames of a method's clips, as they are and in every resample: [1 + R].

    Args:
        clips: features [F,D] of each clip.
        cases: the case of each clip, 0..C-1.
        weights: [R,C], how often each case counts (`stats.case_weights`): the same for methods that are compared.
    """
    _check(clips, cases, weights)
    everything = np.concatenate(clips)
    frames = np.concatenate([np.full(len(clip), case) for clip, case in zip(clips, cases, strict=True)])
    # One at a time: all resamples together take gigabytes.
    drawn = (everything[np.repeat(np.arange(len(frames)), row[frames].astype(int))] for row in weights)
    return np.array([against(everything, reference), *(against(x, reference) for x in drawn)])


def kid_draws(
    clips: Sequence[np.ndarray],
    cases: Sequence[int],
    reference: np.ndarray,
    reference_videos: Sequence[object] | np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """The same for KID over pairs of frames of different clips (`kid.kid_xvideo`): [1 + R]."""
    _check(clips, cases, weights)
    x = np.concatenate(clips)
    owner = np.repeat(np.arange(len(clips)), [len(clip) for clip in clips])
    sums = kernel.video_sums(x, reference, owner, reference_videos, cubic(x.shape[1]))
    of_clips = np.concatenate([np.ones((1, len(clips))), weights[:, np.asarray(cases)]])
    return kernel.unbiased_mmd(sums, of_clips)


def _check(clips: Sequence[np.ndarray], cases: Sequence[int], weights: np.ndarray) -> None:
    if len(clips) != len(cases) or set(cases) != set(range(weights.shape[1])):
        raise UserError(f"{len(clips)} clips of {len(set(cases))} cases, but weights for {weights.shape[1]}")
