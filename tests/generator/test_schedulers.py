import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from ivgbench.generator import schedulers


def trajectory(scheduler, take, latents, steps=6):
    """Latents after each step under a network that is linear in them, so that no rounding hides behind another."""
    scheduler.set_timesteps(steps)
    states = []
    for timestep in scheduler.timesteps:
        latents = take(scheduler, 0.3 * latents, timestep, latents)
        states.append(latents)
    return torch.stack(states)


def the_librarys(scheduler, prediction, timestep, latents):
    return scheduler.step(prediction, timestep, latents, return_dict=False)[0]


@pytest.mark.parametrize("config", [{}, {"prediction_type": "v_prediction"}, {"solver_order": 3}])
def test_dpm_keeps_float64(config):
    """The whole schedule is linear in the start, and says so to the last digits only where nothing is rounded."""

    def make():
        return DPMSolverMultistepScheduler(final_sigmas_type="sigma_min", **config)

    first, second = torch.randn(2, 1, 4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def defect(take):
        one, two, both = (trajectory(make(), take, start) for start in (first, second, first + second))
        return ((one + two - both).abs().max() / both.abs().max()).item()

    assert defect(schedulers.step) < 1e-14 < 1e-9 < defect(the_librarys)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("which", ["dpm", "ddim"])
def test_other_dtypes_and_schedulers_are_the_librarys(which, dtype, tiny):
    latents = torch.randn(1, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    ours, theirs = (trajectory(tiny.scheduler(which), take, latents) for take in (schedulers.step, the_librarys))
    assert torch.equal(ours, theirs) and ours.dtype == dtype


def test_an_algorithm_that_is_not_dpm_plus_plus_is_left_alone():
    latents = torch.randn(1, 4, 2, 3, 3, dtype=torch.float64)
    ours, theirs = (
        trajectory(
            DPMSolverMultistepScheduler(algorithm_type="dpmsolver", final_sigmas_type="sigma_min"), take, latents
        )
        for take in (schedulers.step, the_librarys)
    )
    assert torch.equal(ours, theirs)
