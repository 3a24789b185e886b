"""Peekaboo and TrailBlazer through the public API, against official numbers and against a second implementation."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from checks import backbone
from golden import golden_checks, load, peekaboo
from golden_direct_a_video import sampled_text
from requested import reference_checks

GOLDEN = Path(__file__).parents[1] / "golden"
MOVING = "peekaboo/c02_moving_f2"
SHIPPED = [*golden_checks(GOLDEN)[0], peekaboo(GOLDEN / f"{MOVING}.npz", MOVING, "float64", first=2)]
ALL_FIXTURES = os.environ.get("IVGBENCH_GOLDEN")
REFERENCE = reference_checks()
SLOW = ("peekaboo, dpm, 16 steps", "peekaboo, 25 frames", "trailblazer, gate of transformer_in")


def slow_if(condition):
    return pytest.mark.slow if condition else ()


def assert_met(check):
    absolute, relative, _ = check.errors()
    assert relative <= check.tolerance, (
        f"{check.name} in {check.dtype}: relative {relative:.1e}, absolute {absolute:.1e}"
    )


def parameters(checks):
    # Trajectories of eight steps take seconds each: by default one, in float32, beside two steps in float64.
    fast = {(MOVING, "float32"), (f"{MOVING}, first 2", "float64")}
    small = ("edit_units", "freeinit/", "freetraj/", "direct-a-video/", "lvd/", "ditraj/")
    slow = [(c.name, c.dtype) not in fast and not any(name in c.name for name in small) for c in checks]
    named = zip(checks, slow, strict=True)
    return [pytest.param(c, id=f"{c.name}-{c.dtype}", marks=slow_if(is_slow)) for c, is_slow in named]


@pytest.mark.parametrize("check", parameters(SHIPPED))
def test_official_numbers_are_met(check):
    assert_met(check)


@pytest.mark.slow
@pytest.mark.skipif(not ALL_FIXTURES, reason="set IVGBENCH_GOLDEN to the folder of all golden fixtures (not shipped)")
@pytest.mark.parametrize("check", parameters(golden_checks(Path(ALL_FIXTURES))[0]) if ALL_FIXTURES else [])
def test_official_numbers_that_are_not_shipped_are_met(check):
    assert_met(check)


@pytest.mark.parametrize("name", [pytest.param(name, marks=slow_if(name in SLOW)) for name in REFERENCE])
def test_the_second_implementation_agrees(name):
    assert_met(REFERENCE[name])


def test_prompts_are_encoded_as_officially():
    arrays, meta = load(GOLDEN / "peekaboo" / "c02_moving_f2.npz")
    tiny = backbone(GOLDEN / "tiny_t2v", torch.float32)
    assert tiny.token_ids(meta["prompt"]) == arrays["prompt_ids"].tolist()
    assert np.abs(tiny.encode_prompt(["", meta["prompt"]]).numpy() - arrays["text_embeds"]).max() < 3e-6


def test_the_marked_prompt_is_the_releases():
    path = GOLDEN / "direct-a-video" / "run_one_official_prompt.npz"
    assert sampled_text(*load(path)) == load(path)[1]["prompt_sampled"] == "a panda* eating bamboo in a forest*"


def test_a_wrong_shape_or_a_nan_is_no_agreement():
    check = REFERENCE["keyframes"]
    broken = type(check)("broken", "", "float64", 1.0, lambda: check.ours() * np.nan, check.theirs)
    with pytest.raises(AssertionError, match="broken in float64: relative inf"):
        assert_met(broken)
