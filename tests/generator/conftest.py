"""A tiny text-to-video model with random weights, and one small request on it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.generator import Backbone, generate

GOLDEN = Path(__file__).parent.parent / "golden"
FRAMES, HEIGHT, WIDTH = 3, 8, 12


@pytest.fixture(scope="session")
def golden():
    """name -> (arrays, meta) of a fixture in tests/golden."""

    def load(name):
        arrays = dict(np.load(GOLDEN / f"{name}.npz", allow_pickle=False))
        return arrays, json.loads(str(arrays.pop("meta")))

    return load


@pytest.fixture(scope="session")
def tiny_folder():
    return GOLDEN / "tiny_t2v"


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    return Backbone.from_pretrained(tiny_folder)


@pytest.fixture(scope="session")
def tiny64(tiny_folder):
    return Backbone.from_pretrained(tiny_folder, dtype=torch.float64)


@pytest.fixture(scope="session")
def case():
    track = boxes.interpolate({0: (0.1, 0.2, 0.5, 0.8), 2: (0.4, 0.1, 0.9, 0.7)}, FRAMES)
    return Case("moving", "a zebra and a dog on the green grass", (Subject("zebra", track),))


@pytest.fixture(scope="session")
def two(case):
    other = np.tile([0.6, 0.5, 1.0, 1.0], (FRAMES, 1))
    return Case("two", case.prompt, (*case.subjects, Subject("dog", other)))


@pytest.fixture(scope="session")
def make(tiny):
    """generate() with everything small: 2 steps, guidance 4, 8 x 12 latents from the boxes' masks, latents only."""

    def run(case, method="plain", options=None, bb=tiny, **other):
        if "masks" not in other:
            other["masks"] = np.stack([boxes.rasterise(s.boxes, HEIGHT, WIDTH) for s in case.subjects])
        settings = dict(steps=2, guidance_scale=4.0, output="latent") | other
        return generate(bb, case, method=method, method_options=options or {}, **settings)

    return run
