"""Where suites come from: seeded generators of box tracks, the pocket world's suites, and finding suite files.

Two published rules draw boxes, each for a static and a dynamic split:

* `imc`: Peekaboo's interactive motion control set (canvas 224, 16 frames), brought to F frames by linear resampling.
* `trailblazer`: TrailBlazer's generators (constant boxes; keyframes that alternate between two ends).

The rules are known from the released code; neither release fixes its seeds, so the boxes here are ours, drawn once
and committed with a checksum. Content (colour, shape, background) is drawn from a stream of its own: it is
independent of the boxes. numpy only.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ivgbench import boxes
from ivgbench.cases import Case, Subject, Suite, check_case, load_suite_file
from ivgbench.errors import UserError
from ivgbench.pocket import world

CASES = 48
#: Frames of a clip in the released IMC records; its speeds and jitter are per frame of such a clip.
IMC_FRAMES = 16
IMC_CANVAS = 224
#: Least share of the canvas that a moving IMC box travels: the least measured in the released records. A box that
#: starts at the edge it moves towards is drawn again, since a dynamic case that stands still measures nothing.
IMC_LEAST_TRAVEL = 0.04
#: Start and end of TrailBlazer's dynamic tracks; each is used in both directions.
TRAILBLAZER_ENDS = (
    ((0.0, 0.35, 0.3, 0.65), (0.7, 0.35, 1.0, 0.65)),
    ((0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 1.0, 1.0)),
    ((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)),
)


def _inside(corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Boxes [F,4] of one size with these upper left corners [F,2], moved (never cut) until they are in the frame."""
    corners = np.clip(corners, 0, 1 - size)
    return np.clip(np.concatenate([corners, corners + size], axis=1), 0, 1)


def _imc_box(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Upper left corner and size of an IMC box: side .25 (small) or .3 (medium, large), one axis x 1.33 if oblong."""
    size = np.full(2, rng.choice([0.25, 0.3, 0.3]))
    aspect = rng.integers(3)  # square, wide, tall
    if aspect:
        size[aspect - 1] *= 1.33
    corner = rng.choice([0.1, 0.25, 0.45, 0.7], size=2) + rng.uniform(-0.01, 0.01, 2)
    return np.clip(corner, 0, 1 - size), size


def imc_static(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Peekaboo IMC, stationary: a random walk of at most 1 % of the canvas per frame and axis. Float64 [F,4]."""
    corner, size = _imc_box(rng)
    walk = np.cumsum(rng.uniform(-0.01, 0.01, (IMC_FRAMES, 2)), axis=0)
    return boxes.resample(_inside(corner + walk - walk[0], size), frames)


def imc_dynamic(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Peekaboo IMC, moving: constant speed min(8|12|16 px, distance to the edge / 16) per frame along one axis.

    Up or down in 60 % (45 of the 75 released records), left or right otherwise; +-1 % jitter on the other axis.
    Float64 [F,4].
    """
    while True:
        corner, size = _imc_box(rng)
        axis = int(rng.random() < 0.6)  # 0: x, 1: y
        sign = rng.choice([-1.0, 1.0])
        distance = 1 - size[axis] - corner[axis] if sign > 0 else corner[axis]
        speed = min(rng.choice([8, 12, 16]) / IMC_CANVAS, distance / IMC_FRAMES)
        if speed * (IMC_FRAMES - 1) >= IMC_LEAST_TRAVEL:
            break
    corners = np.tile(corner, (IMC_FRAMES, 1))
    corners[:, axis] += sign * speed * np.arange(IMC_FRAMES)
    corners[:, 1 - axis] += rng.uniform(-0.01, 0.01, IMC_FRAMES)
    return boxes.resample(_inside(corners, size), frames)


def trailblazer_static(rng: np.random.Generator, frames: int) -> np.ndarray:
    """TrailBlazer, "Static bbox": left, top ~ U(0,.5), sides ~ U(.2,.5), two decimals, the same in all frames."""
    corner, size = np.round(rng.uniform(0, 0.5, 2), 2), np.round(rng.uniform(0.2, 0.5, 2), 2)
    return np.tile(np.clip(np.round(np.concatenate([corner, corner + size]), 2), 0, 1), (frames, 1))


def trailblazer_dynamic(rng: np.random.Generator, frames: int) -> np.ndarray:
    """TrailBlazer, "Dynamic bbox": 2..6 keyframes at int(linspace(0, F, K)), alternating between two ends. [F,4].

    As in the release the last keyframe lies one frame beyond the clip.
    """
    ends = TRAILBLAZER_ENDS[rng.integers(len(TRAILBLAZER_ENDS))][:: rng.choice([-1, 1])]
    at = np.linspace(0, frames, rng.integers(2, 7)).astype(int)
    return boxes.interpolate({int(frame): ends[k % 2] for k, frame in enumerate(at)}, frames + 1)[:frames]


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
    """The 48 captions of the reporting or of the tuning suites; no caption is in both lists."""
    every = world.all_captions()
    tuning = _balanced(every, CASES, [world.SPLIT_SEEDS["tuning"], 0])
    if content == "tuning":
        return tuning
    taken = set(tuning)
    return _balanced([text for text in every if text not in taken], CASES, [world.SPLIT_SEEDS["report"], 0])


def make_suite(name: str) -> Suite:
    """Draws a pocket suite anew: the same cases every time. UserError for an unknown name.

    All reporting suites share their 48 captions, as the paper runs both splits on the same prompts.
    """
    if name not in RECIPES:
        raise UserError(f"there is no recipe for a suite {name!r}; known: {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    rng = np.random.default_rng([world.SPLIT_SEEDS[recipe.content], recipe.seed])
    cases = []
    for index, prompt in enumerate(captions(recipe.content)):
        colour, shape, background = _words(prompt)
        track = np.clip(np.round(recipe.track(rng, world.FRAMES), 4), 0, 1)
        words = {"colour": colour, "shape": shape, "background": background}
        metadata = {"split": recipe.split, "rule": recipe.rule, **words}
        case = Case(f"{name}-{index:02d}", prompt, (Subject(f"{colour} {shape}", track),), metadata)
        cases.append(check_case(case, f"suite {name}", world.FRAMES))
    description = f"{CASES} captions of the pocket world, boxes by the {recipe.rule} rule, {recipe.split}"
    return Suite(name, world.FRAMES, tuple(cases), description)


def folder() -> Path:
    """Where the shipped suite files are: package data of an installed wheel, or data/suites of a checkout."""
    package = Path(__file__).resolve().parent
    for place in (package / "_data" / "suites", package.parent / "data" / "suites"):
        if place.is_dir():
            return place
    raise UserError(f"the shipped suites are missing: there is neither {place} nor the package's copy of it")


def names() -> list[str]:
    """Names of the shipped suites."""
    return sorted(path.stem for path in folder().glob("*.jsonl"))


def load_suite(name_or_path: str | Path, backbone: str = "pocket") -> Suite:
    """A suite by its name, by "static" or "dynamic" (that of the backbone), or from a JSONL file; checked.

    Raises:
        UserError: unknown name, or a missing or damaged file.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".jsonl") or "/" in text:
        return load_suite_file(Path(name_or_path))
    name = f"{backbone}-{text}" if text in ("static", "dynamic") else text
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, [*known, "static", "dynamic"], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
        raise UserError(f"unknown suite {name!r}; {hint} (or give a .jsonl file)")
    return load_suite_file(folder() / f"{name}.jsonl")


def write_all(target: Path | None = None) -> list[Path]:
    """Draws every suite and writes it as JSONL: after the world's words, or a rule, changed by hand."""
    target = folder() if target is None else target
    paths = []
    for name in RECIPES:
        paths.append(target / f"{name}.jsonl")
        make_suite(name).save(paths[-1])
    return paths
