import copy

import diffusers
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from ivgbench.errors import UserError
from ivgbench.generator import schedulers
from ivgbench.generator.levels import of


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


#: What the library's classes make of the checkpoint's config; the largest number of steps that each can make.
MOST = {"ddim": 999, "dpm": 998, "PNDMScheduler": 999, "EulerDiscreteScheduler": 999, "LCMScheduler": 50,
        "UniPCMultistepScheduler": 998, "DPMSolverSinglestepScheduler": 1000}  # fmt: skip


def scheduler_of(tiny, name):
    """By our name, or a class of the library with the checkpoint's config."""
    if name in ("ddim", "dpm"):
        return tiny.scheduler(name)
    return schedulers.make({**tiny.scheduler_config, "_class_name": name})


@pytest.mark.parametrize(("name", "most"), MOST.items())
def test_steps_that_cannot_be_made_are_refused_and_all_others_are_made(tiny, name, most):
    scheduler = scheduler_of(tiny, name)
    for steps in (20, most):
        schedulers.check(scheduler, steps)
    for steps in {most + 1, 1000, 1001, 10**12} - {most}:
        with pytest.raises(UserError, match=f"cannot make {steps} steps here"):
            schedulers.check(scheduler, steps)
    assert scheduler.num_inference_steps is None, "left as it was"


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        (diffusers.FlowMatchEulerDiscreteScheduler(), "is of the straight path of flow matching, and .* use 'ddim'"),
        (diffusers.PNDMScheduler(), "ValueError"),  # in one step: its first steps need more
        (diffusers.RePaintScheduler(), "missing"),
        (diffusers.DDPMWuerstchenScheduler(), "IndexError"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_scheduler_that_the_sampler_cannot_drive_is_one_line(scheduler, words, case, make):
    with pytest.raises(UserError, match=words) as refused:
        make(case, scheduler=scheduler, steps=1)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_may_name_a_scheduler_that_is_not_here(tiny):
    for name in ("NoSuchScheduler", "AutoencoderKL", None):
        with pytest.raises(UserError, match="is not to be had here; use 'ddim' or 'dpm'"):
            schedulers.make({"_class_name": name})


def test_steps_are_refused_before_any_work(case, make, tiny, monkeypatch):
    monkeypatch.setattr(tiny.text_encoder, "forward", None)
    monkeypatch.setattr(tiny.unet, "forward", None)
    with pytest.raises(UserError, match="DDIMScheduler cannot make 1000 steps"):
        make(case, steps=1000)


def test_numbers_that_are_not_finite_are_seen_beforehand():
    class Broken(diffusers.DDIMScheduler):
        def step(self, output, timestep, sample, **_):
            return (sample * float("nan"),)

    with pytest.raises(UserError, match=r"the scheduler Broken cannot make 4 steps here \(latents are not finite"):
        schedulers.check(Broken(), 4)


FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}


@pytest.mark.parametrize(
    ("scheduler", "goes_back"),
    [
        (diffusers.UniPCMultistepScheduler(), True),
        (diffusers.UniPCMultistepScheduler(disable_corrector=[0, 1]), False),
        (diffusers.UniPCMultistepScheduler(disable_corrector=[1, 2]), True),
        (diffusers.UniPCMultistepScheduler(**FLOW), True),
        (diffusers.DPMSolverSinglestepScheduler(), True),
        (diffusers.DPMSolverSinglestepScheduler(**FLOW), True),
        (diffusers.DPMSolverSinglestepScheduler(solver_order=1), False),
        (diffusers.PNDMScheduler(skip_prk_steps=True), True),
        (diffusers.FlowMatchHeunDiscreteScheduler(), True),
        (diffusers.FlowMatchEulerDiscreteScheduler(), False),
        (diffusers.DPMSolverMultistepScheduler(), False),
        (diffusers.DDIMScheduler(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_step_that_goes_back_behind_the_given_latents_is_known(scheduler, goes_back):
    """Latents moved under one output, or under one clean estimate: some step after the first does not follow."""
    scheduler.set_timesteps(3)
    levels, latents = of(scheduler, torch.device("cpu"), torch.float32), torch.ones(1, 4, 1, 2, 2)
    followed = []
    for level, timestep in list(zip(levels, scheduler.timesteps, strict=True))[:-1]:  # the last one's is all clean
        flow = level.prediction == "flow_prediction"
        outputs = [(given - 0.5 * level.a) / level.b - 0.5 * flow for given in (latents, latents + 0.1)]
        moved = []
        for given, output in ((latents, outputs[0]), (latents + 0.1, outputs[0]), (latents + 0.1, outputs[1])):
            trial = copy.deepcopy(scheduler)
            moved.append((trial, schedulers.step(trial, output, timestep, given)))
        (scheduler, latents), *others = moved
        followed.append(not any(torch.allclose(latents, other, atol=1e-4) for _, other in others))
    assert followed[0] and all(followed) == (not goes_back)
    assert schedulers.steps_from_given(scheduler, len(scheduler.timesteps)) == (not goes_back)
    assert schedulers.steps_from_given(scheduler, 1)


@pytest.mark.parametrize("cls", ["FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler"])
def test_every_class_of_flow_matching_is_on_its_path_and_keeps_the_latents_precision(cls):
    scheduler = getattr(diffusers, cls)()
    assert schedulers.is_flow(scheduler)
    schedulers.check(scheduler, 4)
    scheduler.set_timesteps(4)
    latents = torch.rand(1, 4, 1, 2, 2) + 1 / 3
    draw = {"generator": [torch.Generator().manual_seed(0)]}
    moved = schedulers.step(scheduler, torch.zeros_like(latents).bfloat16(), scheduler.timesteps[0], latents, **draw)
    assert moved.dtype == torch.float32 and not torch.equal(moved, moved.bfloat16().float())
