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


def others(prompts: Sequence[str], captions: np.ndarray) -> dict[str, np.ndarray]:
    """For each prompt of a suite the mean of the captions [D] of all cases with another text; NaN where there is none.

    By it the floor of a clip costs the same however many captions there are: `floor` of it is `shuffled`.

    Args:
        prompts, captions: as in `shuffled`.
    """
    if len(prompts) != len(captions):
        raise UserError(f"{len(prompts)} prompts but {len(captions)} caption features")
    captions = _unit(floats(captions, "caption features"), "caption")
    texts, of = np.unique(np.asarray(prompts, dtype=object), return_inverse=True)
    own = np.zeros((len(texts), captions.shape[1]))
    np.add.at(own, of, captions)
    apart = len(prompts) - np.bincount(of)
    left = own.sum(0) - own
    means = np.divide(left, apart[:, None], out=np.full_like(left, np.nan), where=apart[:, None] > 0)
    return dict(zip(texts, means, strict=True))


def floor(frames: np.ndarray, others: np.ndarray) -> float:
    """`shuffled` for frames [F,D], normalised, and the mean [D] of the `others` of their prompt."""
    frames = _unit(floats(frames, "frame features"), "frame")
    if not len(frames) or frames.shape[1:] != others.shape:
        raise UserError(f"need frame features [F,D] and a mean of captions [D], got {frames.shape} and {others.shape}")
    return 100 * float((frames @ others).mean())


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
    return _unit(frames, "frame") @ _unit(captions, "caption").T


def _unit(vectors: np.ndarray, name: str) -> np.ndarray:
    """The vectors [N,D], after checking that they are of unit length. Written so that NaN is caught too."""
    if vectors.ndim != 2 or not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3).all():
        raise UserError(f"the {name} features are not of unit length; normalise them")
    return vectors
