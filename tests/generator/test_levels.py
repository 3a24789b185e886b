"""Noise levels: the same clean latents and noise, whatever the network puts out and whichever path it is on."""

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from ivgbench.errors import UserError
from ivgbench.generator.levels import Level, of

CPU = torch.device("cpu")


def level(kind, a=0.6):
    """A level with a + b = 1 for flow, a^2 + b^2 = 1 else."""
    a = torch.tensor(a, dtype=torch.float64)
    variance = (1 - a) ** 2 if kind == "flow_prediction" else 1 - a**2
    return Level(a, variance.sqrt(), variance, kind)


def output(one, clean, noise):
    return {
        "epsilon": noise,
        "v_prediction": one.a * noise - one.b * clean,
        "sample": clean,
        "flow_prediction": noise - clean,
    }[one.prediction]


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow_prediction"])
def test_every_prediction_gives_the_same_estimates(kind):
    one = level(kind)
    clean, noise = torch.randn(2, 6, dtype=torch.float64)
    x = one.a * clean + one.b * noise
    torch.testing.assert_close(one.clean(x, output(one, clean, noise)), clean)
    torch.testing.assert_close(one.noise(x, output(one, clean, noise)), noise)


@pytest.mark.parametrize("kind", ["v_prediction", "flow_prediction"])
def test_pure_noise_has_a_clean_estimate(kind):
    one = level(kind, a=0.0)
    clean, noise = torch.randn(2, 6, dtype=torch.float64)
    torch.testing.assert_close(one.clean(noise, output(one, clean, noise)), clean)


def test_another_prediction_is_refused():
    with pytest.raises(UserError, match="'depth' has no noise estimate"):
        level("depth").noise(torch.zeros(1), torch.zeros(1))


def test_the_levels_of_a_variance_preserving_schedule_are_its_alphas():
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(4)
    for one, timestep in zip(of(scheduler, CPU, torch.float16), scheduler.timesteps, strict=True):
        assert one.variance == 1 - scheduler.alphas_cumprod[timestep] and one.a.dtype == torch.float32
        assert float(one.a**2 + one.b**2) == pytest.approx(1)


def test_the_levels_of_a_flow_are_its_sigmas_by_step():
    for scheduler in (
        FlowMatchEulerDiscreteScheduler(shift=3),
        # It has alphas as well, which are not those of its path.
        UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3),
    ):
        scheduler.set_timesteps(4)
        found = of(scheduler, CPU, torch.float32)
        assert [float(one.b) for one in found] == [float(sigma) for sigma in scheduler.sigmas[:4]]
        assert all(float(one.a + one.b) == pytest.approx(1) for one in found)


def test_latents_on_another_scale_have_no_level():
    scheduler = EulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    assert of(scheduler, CPU, torch.float32) is None
