"""Exams for the judges: does the detector see what is not there, and does the pocket CLIP read every word?"""

from __future__ import annotations

import numpy as np

from ivgbench import world
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import PocketYolo
from ivgbench.world.traps import another


def false_alarms(detector: PocketYolo, frames: np.ndarray, phrases: list[str]) -> float:
    """The share of frames in which the detector claims the phrase that is not there, 0..1."""
    claims = [
        np.isfinite(detector.detect(frame[None], phrase).boxes).all()
        for frame, phrase in zip(frames, phrases, strict=True)
    ]
    return float(np.mean(claims))


def prefers_right(judge: ClipModel, frames: np.ndarray, clips: list[world.Clip], swap: str) -> float:
    """How often the right caption beats the one with another "colour" or "shape", 0..1; one swap drawn per frame."""
    rng = np.random.default_rng([world.SPLIT_SEEDS["held-out"], 8])
    images, right = judge.embed_video(frames), 0
    for image, clip in zip(images, clips, strict=True):
        sprite = clip.sprites[0]
        colour = another(rng, world.COLOURS, sprite.colour) if swap == "colour" else sprite.colour
        shape = another(rng, world.SHAPES, sprite.shape) if swap == "shape" else sprite.shape
        true, false = judge.embed_text([clip.caption, world.caption([f"{colour} {shape}"], clip.background)])
        right += bool(image @ true > image @ false)
    return right / len(clips)
