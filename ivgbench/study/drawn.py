"""What a clip of the pocket world shows, read without a trained eye: where the sprite is, and which words are drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivgbench import world
from ivgbench.errors import UserError
from ivgbench.world import segmentation


class Caption(NamedTuple):
    """The words of a one-subject sentence of the pocket world."""

    background: str
    colour: str
    shape: str


def words(prompt: str) -> Caption:
    """The words of a prompt. UserError for a sentence that is not of the pocket world, or has several subjects."""
    try:
        ((colour, shape),), background = world.parse_caption(prompt)
    except ValueError:
        raise UserError(f"the probes read sentences of the pocket world with one subject, not {prompt!r}") from None
    return Caption(background, colour, shape)


def sprite(video: np.ndarray, caption: Caption) -> tuple[np.ndarray, np.ndarray]:
    """(masks bool [F,H,W], boxes [F,4] xyxy in 0..1) of the largest sprite in the caption's ink.

    A pixel counts whose colour is nearer to the ink than to the ground, along the line between them: unlike a
    segmentation by nearest colour this also reads the blurred pictures of early steps. A frame without one has an empty
    mask and a row of NaN.
    """
    import cv2

    ink, ground = (
        np.array(one, float) for one in (world.COLOURS[caption.colour], world.BACKGROUNDS[caption.background])
    )
    toward = ink - ground
    share = (video.astype(float) - ground) @ toward / (toward @ toward)
    masks, boxes = np.zeros(video.shape[:3], bool), np.full((len(video), 4), np.nan)
    height, width = video.shape[1:3]
    for frame, near in enumerate(share > 0.5):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8), connectivity=8)
        if count < 2:
            continue
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        left, top, wide, high, pixels = stats[largest]
        if pixels >= segmentation.LEAST_PIXELS:
            masks[frame] = labels == largest
            boxes[frame] = left / width, top / height, (left + wide) / width, (top + high) / height
    return masks, boxes


def share_right(video: np.ndarray, caption: Caption) -> np.ndarray:
    """Share of frames whose background, colour and shape are the caption's, [3]; colour and shape of the largest
    sprite, wrong where there is none."""
    right = []
    for frame in video:
        found = segmentation.find(frame)
        colour, shape = (found[0].colour, found[0].shape) if found else ("", "")
        right.append(np.array((segmentation.background_of(frame), colour, shape)) == np.array(caption))
    return np.mean(right, axis=0)


def average_precision(scores: np.ndarray, mask: np.ndarray) -> float:
    """Area under precision over recall of scores against a mask of the same shape, 0..1. NaN for an empty mask.

    Equal scores enter together, so that a constant map has the mask's share of the picture.
    """
    scores, mask = np.asarray(scores, float).ravel(), np.asarray(mask, bool).ravel()
    if not mask.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(mask[order])
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True))
    recalled = hits[last] / hits[-1]
    return float(np.sum(np.diff(recalled, prepend=0) * hits[last] / (last + 1)))
