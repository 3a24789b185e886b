"""Ground truth of a pocket case: its caption rendered in its boxes. The ceiling of every metric."""

from __future__ import annotations

import numpy as np

from ivgbench import world
from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.files import digest


def render_case(case: Case, seed: int, split: str = "report") -> np.ndarray:
    """What a perfect method would answer: uint8 [F,H,W,3].

    `seed` decides texture phase and light, in the stream of `split`. Raises UserError when the prompt is no sentence of
    the pocket world.
    """
    try:
        pairs, background = world.parse_caption(case.prompt)
    except ValueError as fault:
        raise UserError(f"case {case.id}: cannot render its ground truth: {fault}") from None
    by_phrase = {subject.words: subject.track for subject in case.subjects}
    missing = [f"{c} {s}" for c, s in pairs if f"{c} {s}" not in by_phrase]
    if missing:
        raise UserError(f"case {case.id}: no boxes for {missing[0]!r}, so its ground truth cannot be rendered")
    sprites = [world.Sprite(colour, shape, by_phrase[f"{colour} {shape}"]) for colour, shape in pairs]
    # Each case has its own light and texture phase, and keeps them wherever it stands in a suite.
    stream = [world.SPLIT_SEEDS[split], seed, int(digest(case.content())[:12], 16)]
    return world.render(sprites, background, np.random.default_rng(stream))
