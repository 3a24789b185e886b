"""Prompts with boxes of their own kind, three tracks each: the layout of Peekaboo's IMC set as the paper uses it.

`SCENES` are 34 sentences of our own, twelve that stand still and twenty-two that move as the set has it, for those
without the released file. Like the paper we run every prompt in both splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ivgbench.cases import Case, Subject, Suite, check_case
from ivgbench.suites.tracks import Kind, imc_dynamic, imc_static

#: Frames of a ZeroScope clip.
FRAMES = 24
TRACKS = 3
#: Seeds of the boxes of the two splits.
SEEDS = {"static": 11, "dynamic": 12}


class Scene(NamedTuple):
    """A prompt, its subject's words, and what boxes suit it."""

    prompt: str
    phrase: str
    kind: Kind


_SMALL, _MEDIUM = 0.25, 0.3
_SQUARE, _WIDE, _TALL = 0, 1, 2
_X, _Y = 0, 1
SCENES: tuple[Scene, ...] = (
    Scene("A heron stands on a wooden pier at dawn.", "heron", Kind(_MEDIUM, _TALL)),
    Scene("A tabby cat naps on a sunny windowsill.", "tabby cat", Kind(_SMALL, _WIDE)),
    Scene("A turtle rests on a mossy log.", "turtle", Kind(_SMALL, _WIDE)),
    Scene("A sheep nibbles clover on a green hillside.", "sheep", Kind(_MEDIUM, _WIDE)),
    Scene("A giraffe browses leaves beside an acacia.", "giraffe", Kind(_MEDIUM, _TALL)),
    Scene("A polar bear sits on drifting ice.", "polar bear", Kind(_MEDIUM, _WIDE)),
    Scene("A teapot steams on a kitchen table.", "teapot", Kind(_SMALL, _SQUARE)),
    Scene("A tractor is parked in a wheat field.", "tractor", Kind(_MEDIUM, _WIDE)),
    Scene("A scarecrow watches over a pumpkin patch.", "scarecrow", Kind(_MEDIUM, _TALL)),
    Scene("A toucan rests among tropical leaves.", "toucan", Kind(_SMALL, _TALL)),
    Scene("A bison stands in tall prairie grass.", "bison", Kind(_MEDIUM, _WIDE)),
    Scene("A snowman smiles in a quiet backyard.", "snowman", Kind(_MEDIUM, _TALL)),
    Scene("A zebra trots across a dusty plain.", "zebra", Kind(_MEDIUM, _WIDE, _X)),
    Scene("A cyclist rides along a beach promenade.", "cyclist", Kind(_MEDIUM, _WIDE, _X)),
    Scene("A yellow taxi drives down a rainy avenue.", "yellow taxi", Kind(_MEDIUM, _WIDE, _X)),
    Scene("A ferry crosses a calm harbour.", "ferry", Kind(_MEDIUM, _WIDE, _X)),
    Scene("A goose glides over a misty pond.", "goose", Kind(_SMALL, _WIDE, _X)),
    Scene("A motorcycle speeds through a desert canyon.", "motorcycle", Kind(_MEDIUM, _WIDE, _X)),
    Scene("A tram rolls past old brick houses.", "tram", Kind(_MEDIUM, _WIDE, _X)),
    Scene("A seagull sails above the cliffs.", "seagull", Kind(_SMALL, _WIDE, _X)),
    Scene("A crab scuttles over warm sand.", "crab", Kind(_SMALL, _WIDE, _X)),
    Scene("A skier crosses a snowy slope.", "skier", Kind(_SMALL, _TALL, _X)),
    Scene("A red balloon rises above the rooftops.", "red balloon", Kind(_SMALL, _TALL, _Y)),
    Scene("A climber ascends a granite wall.", "climber", Kind(_SMALL, _TALL, _Y)),
    Scene("A lizard runs up a stone wall.", "lizard", Kind(_SMALL, _TALL, _Y)),
    Scene("A paraglider descends towards a green valley.", "paraglider", Kind(_MEDIUM, _TALL, _Y)),
    Scene("A jellyfish drifts up through dark water.", "jellyfish", Kind(_MEDIUM, _TALL, _Y)),
    Scene("A drone lands on a concrete roof.", "drone", Kind(_SMALL, _SQUARE, _Y)),
    Scene("A whale surfaces in a blue bay.", "whale", Kind(_MEDIUM, _WIDE, _Y)),
    Scene("A feather sinks slowly past a lantern.", "feather", Kind(_SMALL, _SQUARE, _Y)),
    Scene("A firefighter slides down a metal pole.", "firefighter", Kind(_MEDIUM, _TALL, _Y)),
    Scene("A caterpillar climbs a thin green stem.", "caterpillar", Kind(_SMALL, _TALL, _Y)),
    Scene("A glass elevator moves up a tower.", "glass elevator", Kind(_MEDIUM, _TALL, _Y)),
    Scene("A kite soars up from a windy meadow.", "kite", Kind(_SMALL, _SQUARE, _Y)),
)


def draw(name: str, scenes: Sequence[Scene], split: str, description: str, frames: int = FRAMES) -> Suite:
    """A suite of three tracks per scene by the IMC rule, the same every time, whatever else is drawn."""
    rule = {"static": imc_static, "dynamic": imc_dynamic}[split]
    cases = []
    for index, scene in enumerate(scenes):
        rng = np.random.default_rng([SEEDS[split], index])
        for letter in "abc"[:TRACKS]:
            track = np.clip(np.round(rule(rng, frames, scene.kind), 4), 0, 1)
            subject = Subject(scene.phrase, track)
            case = Case(f"{name}-{index:02d}{letter}", scene.prompt, (subject,), {"split": split, "rule": "imc"})
            cases.append(check_case(case, f"suite {name}", frames))
    return Suite(name, frames, tuple(cases), description)


def make(name: str) -> Suite:
    """Draws scenes-static or scenes-dynamic anew."""
    split = name.removeprefix("scenes-")
    return draw(
        name, SCENES, split, f"{len(SCENES)} sentences of our own, {TRACKS} boxes each by the imc rule, {split}"
    )


NAMES = tuple(f"scenes-{split}" for split in SEEDS)
