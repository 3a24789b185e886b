"""The sampler's settings as one value."""

import pytest

from ivgbench.errors import UserError
from ivgbench.generator.backbones import presets, sources
from ivgbench.generator.sampling import PLAIN, Sampling


def test_what_is_said_goes_before():
    run = Sampling(20, scheduler="dpm", negative_prompt="bad")
    own = Sampling(steps=7, negative_prompt="")
    assert own.over(run) == Sampling(7, None, "dpm", "")
    assert own.over(run).over(PLAIN) == Sampling(7, None, "dpm", "", "", "float32")
    assert own.said() == {"steps": 7, "negative_prompt": ""}


def test_what_generate_is_told_leaves_the_weights_precision_out():
    assert Sampling(7, dtype="float16", size=(48, 80)).arguments() == {"steps": 7, "size": (48, 80)}


def test_a_backbones_own_is_of_its_kind():
    assert presets.PRESETS["pocket"].sampling == Sampling(20, 4.5, "ddim", "", "", "float32", (48, 80))
    assert presets.PRESETS["wan-1.3b"].sampling == Sampling(50, 5.0, "flow", "", "", "float32", (480, 832))
    assert sources.preset("somewhere/else")[1].sampling.size is None


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Sampling(0), "x: steps must be from 1 to 1000, got 0"),
        (Sampling(guidance_scale=float("nan")), "guidance_scale must be a number from 0"),
        (Sampling(guidance_scale=-1), "guidance_scale must be a number from 0"),
        (Sampling(scheduler="euler"), "unknown scheduler 'euler'; one of ddim, dpm, flow, checkpoint"),
        (Sampling(dtype="float64"), "unknown dtype 'float64'"),
        (Sampling(size=(48,)), "size must be height and width in pixels"),
        (Sampling(size=(48, "80")), "size must be height and width in pixels"),
        (Sampling(size=(True, 80)), "size must be height and width in pixels"),
        (Sampling(size=(48, 10**6)), "each from 1 to 8192"),
    ],
)
def test_what_none_could_do_is_refused(one, words):
    with pytest.raises(UserError, match=words):
        one.check("x")
