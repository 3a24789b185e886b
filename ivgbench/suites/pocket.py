"""The pocket world's suites: its captions with boxes of either rule, drawn once and committed with a checksum.

Content (colour, shape, background) is drawn from a stream of its own: it is independent of the boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ivgbench import world
from ivgbench.cases import Case, Subject, Suite, check_case
from ivgbench.suites.tracks import imc_dynamic, imc_static, trailblazer_dynamic, trailblazer_static

#: Content -> how many captions; and the stream of `world.SPLIT_SEEDS` that captions and boxes are drawn from.
#: "claims" is a larger reporting set: 96 cases a split tell differences apart that 48 do not.
CASES = {"report": 48, "claims": 96, "tuning": 48}
STREAMS = {"report": "report", "claims": "report", "tuning": "tuning"}


class Recipe(NamedTuple):
    """How a suite is drawn. `seed` names the stream of its boxes, `content` the stream of its captions."""

    rule: str
    split: str
    track: Callable[[np.random.Generator, int], np.ndarray]
    content: str
    seed: int


RECIPES: dict[str, Recipe] = {
    "pocket-static": Recipe("imc", "static", imc_static, "report", 1),
    "pocket-dynamic": Recipe("imc", "dynamic", imc_dynamic, "report", 2),
    "pocket-trailblazer-static": Recipe("trailblazer", "static", trailblazer_static, "report", 3),
    "pocket-trailblazer-dynamic": Recipe("trailblazer", "dynamic", trailblazer_dynamic, "report", 4),
    "pocket-claims-static": Recipe("imc", "static", imc_static, "claims", 5),
    "pocket-claims-dynamic": Recipe("imc", "dynamic", imc_dynamic, "claims", 6),
    "pocket-tuning-static": Recipe("imc", "static", imc_static, "tuning", 1),
    "pocket-tuning-dynamic": Recipe("imc", "dynamic", imc_dynamic, "tuning", 2),
}


def _balanced(pool: list[str], count: int, seed: list[int]) -> list[str]:
    """`count` captions of the pool in an order whose every beginning has colours, shapes and backgrounds in balance."""
    rng = np.random.default_rng(seed)
    left = [pool[k] for k in rng.permutation(len(pool))]
    used: tuple[Counter, ...] = (Counter(), Counter(), Counter())
    sizes = (len(world.COLOURS), len(world.SHAPES), len(world.BACKGROUNDS))
    chosen = []
    for _ in range(count):
        words = {text: _words(text) for text in left}
        best = min(left, key=lambda text: sum(n * u[w] ** 2 for n, u, w in zip(sizes, used, words[text], strict=True)))
        left.remove(best)
        chosen.append(best)
        for counter, word in zip(used, words[best], strict=True):
            counter[word] += 1
    return chosen


def _words(text: str) -> tuple[str, str, str]:
    ((colour, shape),), background = world.parse_caption(text)
    return colour, shape, background


def captions(content: str) -> list[str]:
    """The captions of the reporting ("report", "claims") or of the tuning suites; what is tuned on is not reported."""
    every = world.all_captions()
    tuning = _balanced(every, CASES["tuning"], [world.SPLIT_SEEDS["tuning"], 0])
    if content == "tuning":
        return tuning
    taken = set(tuning)
    drawn = {"report": 0, "claims": 1}[content]
    pool = [text for text in every if text not in taken]
    return _balanced(pool, CASES[content], [world.SPLIT_SEEDS["report"], drawn])


def make(name: str) -> Suite:
    """Draws a pocket suite anew: the same cases every time.

    Suites of one content share their captions, as the paper runs both splits on the same prompts.
    """
    recipe = RECIPES[name]
    rng = np.random.default_rng([world.SPLIT_SEEDS[STREAMS[recipe.content]], recipe.seed])
    cases = []
    for index, prompt in enumerate(captions(recipe.content)):
        colour, shape, background = _words(prompt)
        track = np.clip(np.round(recipe.track(rng, world.FRAMES), 4), 0, 1)
        words = {"colour": colour, "shape": shape, "background": background}
        metadata = {"split": recipe.split, "rule": recipe.rule, **words}
        case = Case(f"{name}-{index:02d}", prompt, (Subject(f"{colour} {shape}", track),), metadata)
        cases.append(check_case(case, f"suite {name}", world.FRAMES))
    description = f"{len(cases)} captions of the pocket world, boxes by the {recipe.rule} rule, {recipe.split}"
    return Suite(name, world.FRAMES, tuple(cases), description)
