"""The pocket world: coloured sprites on textured backgrounds, with captions and boxes known exactly.

Everything the pocket lab can verify rests on it. It is numpy only, and trains nothing: words, how a scene is drawn,
what happens in scenes; beside them, scenes that mislead a detector, ground truth of a case, and an untrained eye.
"""

from ivgbench.world.drawing import (
    FRAMES,
    HEIGHT,
    WIDTH,
    Sprite,
    paint_background,
    render,
    sprite_alpha,
)
from ivgbench.world.scenes import (
    MAX_OVERLAP,
    SPLIT_SEEDS,
    Clip,
    overlap,
    random_track,
    sample_clip,
    sample_scene,
)
from ivgbench.world.words import BACKGROUNDS, COLOURS, SHAPES, all_captions, caption, parse_caption

#: Raised when a pixel of a scene changes; a test pins hashes of drawn clips. Ground truth is named by it.
WORLD_VERSION = 1

__all__ = [
    "BACKGROUNDS", "COLOURS", "FRAMES", "HEIGHT", "MAX_OVERLAP", "SHAPES", "SPLIT_SEEDS", "WIDTH", "WORLD_VERSION",
    "Clip", "Sprite", "all_captions", "caption", "overlap", "paint_background", "parse_caption", "random_track",
    "render", "sample_clip", "sample_scene", "sprite_alpha",
]  # fmt: skip
