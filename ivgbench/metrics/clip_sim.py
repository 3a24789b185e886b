"""CLIP-SIM: how well frames match their prompt, beside what any prompt would get. Pure functions, numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ivgbench.arrays import floats
from ivgbench.errors import UserError


def clip_sim(frames: np.ndarray, caption: np.ndarray) -> float:
    """100 x mean cosine of a clip's frames [F,D] with its caption [D], -100..100; no clamp per frame.

    Features must be L2-normalised, as `features.ClipModel` returns them.
    Raises:
        UserError: shapes that do not fit, or features that are not of unit length.
    """
    return 100 * float(_cosines(frames, np.asarray(caption)[None]).mean())


def shuffled(frames: np.ndarray, prompt: str, prompts: Sequence[str], captions: np.ndarray) -> float:
    """The chance level of `clip_sim` for a clip: the same frames against the captions of other cases.

    The mean over every case whose text differs from this clip's: what a random swap of captions gives on average,
    without drawing one.

    Args:
        frames: [F,D], normalised.
        prompt: the clip's own prompt.
        prompts: the prompts of all N cases of the suite.
        captions: their features [N,D], normalised.
    Returns:
        100 x mean cosine, or NaN where no other case has another text.
    """
    if len(prompts) != len(captions):
        raise UserError(f"{len(prompts)} prompts but {len(captions)} caption features")
    others = np.array([other != prompt for other in prompts], dtype=bool)
    if not others.any():
        return float("nan")
    return 100 * float(_cosines(frames, np.asarray(captions)[others]).mean())


def attained(value: float, floor: float, ceiling: float) -> float:
    """Share of the attainable: 0 at the shuffled-caption floor, 1 at the ground truth. NaN unless ceiling > floor."""
    return (value - floor) / (ceiling - floor) if ceiling > floor else float("nan")


def _cosines(frames: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """[F,D] x [N,D] -> [F,N] in float64, after checking that both are unit vectors of one length."""
    frames, captions = floats(frames, "frame features"), floats(captions, "caption features")
    if frames.ndim != 2 or captions.ndim != 2 or frames.shape[1] != captions.shape[1] or not len(frames):
        raise UserError(
            f"need frame features [F,D] and caption features [D], got {frames.shape} and {captions.shape[1:]}"
        )
    for name, vectors in (("frame", frames), ("caption", captions)):
        # Written so that NaN is caught too.
        if not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3).all():
            raise UserError(f"the {name} features are not of unit length; normalise them")
    return frames @ captions.T
