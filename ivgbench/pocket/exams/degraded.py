"""What FID, KID and JEDi must not be blind to: clips of the world made worse on purpose, step by step.

The same scenes are drawn whole and with one thing wrong, at four strengths; the distance to other scenes that are
whole must rise with each. Frames do not show that a motion stopped or lost its order: those are the video encoder's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ivgbench import world
from ivgbench.metrics import fid, jedi, kid

STRENGTHS = 4


class Scene(NamedTuple):
    """A clip uint8 [F,H,W,3], the same without its sprite, and the sprite's track [F,4]."""

    whole: np.ndarray
    empty: np.ndarray
    track: np.ndarray


def scenes(count: int, first: int) -> list[Scene]:
    """Held-out scenes of one sprite from number `first` on."""
    made = []
    for index in range(first, first + count):
        content = np.random.default_rng([world.SPLIT_SEEDS["held-out"], index, 9])
        colour, shape, ground = (
            str(content.choice(list(kind))) for kind in (world.COLOURS, world.SHAPES, world.BACKGROUNDS)
        )
        track = world.random_track(content)
        # One stream of texture for both: they differ in the sprite alone.
        whole, empty = (
            world.render(sprites, ground, np.random.default_rng([world.SPLIT_SEEDS["held-out"], index, 10]))
            for sprites in ([world.Sprite(colour, shape, track)], [])
        )
        made.append(Scene(whole, empty, track))
    return made


def blurred(scene: Scene, strength: int, _: np.random.Generator) -> np.ndarray:
    """By a Gaussian of 1, 2, 3, 4 pixels."""
    import cv2  # ultralytics brings it

    return np.stack([cv2.GaussianBlur(frame, (0, 0), float(strength)) for frame in scene.whole])


def noisy(scene: Scene, strength: int, rng: np.random.Generator) -> np.ndarray:
    """With noise of 24, 48, 72, 96 levels' standard deviation."""
    noise = rng.normal(0, 24.0 * strength, scene.whole.shape)
    return np.clip(np.rint(scene.whole + noise), 0, 255).astype(np.uint8)


def erased(scene: Scene, strength: int, rng: np.random.Generator) -> np.ndarray:
    """In 2, 4, 6, 8 of the frames the sprite's left half is background."""
    middle = (scene.track[:, 0] + scene.track[:, 2]) / 2 * world.WIDTH
    hit = np.isin(np.arange(world.FRAMES), rng.permutation(world.FRAMES)[: 2 * strength])
    columns = (np.arange(world.WIDTH)[None] < middle[:, None]) & hit[:, None]
    return np.where(columns[:, None, :, None], scene.empty, scene.whole)


def frozen(scene: Scene, strength: int, _: np.random.Generator) -> np.ndarray:
    """Stands still from frame 6, 4, 2, 0 on."""
    last = world.FRAMES - 2 * strength
    return scene.whole[np.minimum(np.arange(world.FRAMES), last)]


def shuffled(scene: Scene, strength: int, rng: np.random.Generator) -> np.ndarray:
    """The first 2, 4, 6, 8 frames in another order."""
    order = np.arange(world.FRAMES)
    order[: 2 * strength] = rng.permutation(order[: 2 * strength])
    return scene.whole[order]


Degradation = Callable[[Scene, int, np.random.Generator], np.ndarray]
OF_FRAMES: dict[str, Degradation] = {"blur": blurred, "noise": noisy, "half-erased sprites": erased}
OF_CLIPS: dict[str, Degradation] = {**OF_FRAMES, "motion stops": frozen, "frames shuffled": shuffled}


Embed = Callable[[np.ndarray], np.ndarray]


def features(clips: list[np.ndarray], embed: Embed) -> np.ndarray:
    """[N,D] of clips. embed: clip -> [F,D] or [D]."""
    return np.concatenate([np.atleast_2d(embed(clip)) for clip in clips]).astype(np.float64)


def series(degrade: Degradation, subject: list[Scene], embed: Embed) -> list[np.ndarray]:
    """Features [N,D] of the scenes at every strength."""
    rows = []
    for strength in range(1, STRENGTHS + 1):
        rng = np.random.default_rng([world.SPLIT_SEEDS["held-out"], 11, strength])
        rows.append(features([degrade(scene, strength, rng) for scene in subject], embed))
    return rows


def _both(embed: Embed, clips: int) -> tuple[list[Scene], np.ndarray, np.ndarray]:
    """`clips` scenes, their features while they are whole, and those of as many others."""
    subject = scenes(clips, 0)
    own, others = (features([scene.whole for scene in some], embed) for some in (subject, scenes(clips, clips)))
    return subject, own, others


def of_frames(embed_video: Embed, clips: int) -> dict[str, list[float]]:
    """FID and KID, whole and at every strength, on all frames of `clips` scenes against as many others."""
    subject, whole, reference = _both(embed_video, clips)
    facts = {}
    for name, degrade in OF_FRAMES.items():
        rows = [whole, *series(degrade, subject, embed_video)]
        facts[f"FID, {name}"] = [fid(row, reference) for row in rows]
        facts[f"KID, {name}"] = [kid(row, reference, 1, len(row))[0] for row in rows]
    return facts


def of_clips(embed_clip: Embed, clips: int) -> dict[str, list[float]]:
    """JEDi, whole and at every strength, of `clips` scenes against as many others."""
    subject, whole, reference = _both(embed_clip, clips)
    return {
        f"JEDi, {name}": [jedi(row, reference) for row in (whole, *series(degrade, subject, embed_clip))]
        for name, degrade in OF_CLIPS.items()
    }
