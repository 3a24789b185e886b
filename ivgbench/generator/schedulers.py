"""Schedulers and their steps as the sampler takes them.

Exact in float64, with the clips' own randomness, DPM as released, and tried out before the first network evaluation.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import diffusers
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    FlowMatchLCMScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.errors import UserError, first_line, named_line
from ivgbench.generator.sampling import CHECKPOINT

#: On flow matching's path whatever their config says. Their steps give latents the dtype of the network's output.
FLOW = (FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler, FlowMatchLCMScheduler)
#: The library's classes whose step may go back to latents of a step before: correctors, and steps made in parts. By
#: name: some need a package that may not be here.
GOING_BACK = {
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
}


class ReleasedDpm(DPMSolverMultistepScheduler):
    """DPM-Solver++ 2M with the coefficients of diffusers 0.21.4, which both releases ran on.

    There alpha and sigma of a step are those of the training schedule; the library now computes them from their
    rounded ratio, 6e-8 apart. To be made with final_sigmas_type "sigma_min", where the old one ends.
    """

    def _sigma_to_alpha_sigma_t(self, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ratios = ((1 - self.alphas_cumprod) / self.alphas_cumprod) ** 0.5
        found = (ratios == sigma).nonzero()
        if len(found) == 0:  # sigmas of another spacing (Karras) are not in the schedule
            return super()._sigma_to_alpha_sigma_t(sigma)
        return self.alpha_t[found[0, 0]], self.sigma_t[found[0, 0]]


class FlowEuler(FlowMatchEulerDiscreteScheduler):
    """Euler's method on the straight path, with the noise levels of Wan's and FLUX's references.

    The library's own levels, asked for by their number alone, are shifted twice (huggingface/diffusers issue 13243).
    """

    def set_timesteps(self, steps: int, device: Any = None) -> None:
        super().set_timesteps(sigmas=[1 - step * (1 - 1 / 1000) / steps for step in range(steps)], device=device)


def make(config: Mapping[str, Any], which: str | SchedulerMixin | None = None) -> SchedulerMixin:
    """A fresh scheduler.

    Args:
        config: the checkpoint's scheduler_config.json.
        which: None or "checkpoint" (the checkpoint's class), "ddim", "dpm" (`ReleasedDpm`, ending at the smallest
            training sigma as TrailBlazer's release does), "flow" (`FlowEuler` with the checkpoint's shift), or an
            instance, which is copied.
    Raises:
        UserError: an unknown one.
    """
    if isinstance(which, SchedulerMixin):
        return copy.deepcopy(which)
    # The file's own keys only: another class's defaults (timestep_spacing) must not travel along.
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    if which == "ddim":
        return from_known_keys(DDIMScheduler, own)
    if which == "dpm":
        return from_known_keys(ReleasedDpm, {**own, "final_sigmas_type": "sigma_min"})
    if which == "flow":
        return FlowEuler(shift=shift_of(own))
    if which in (None, CHECKPOINT):
        return from_known_keys(_published(config.get("_class_name")), own)
    raise UserError(f"unknown scheduler {which!r}; use 'ddim', 'dpm', 'flow', or leave it out for the checkpoint's own")


def shift_of(config: Mapping[str, Any]) -> float:
    """By how much a flow's noise levels are shifted: classes of the library have two names for it."""
    return float(config.get("flow_shift") or config.get("shift") or 1.0)


def _published(name: Any) -> type[SchedulerMixin]:
    """The library's class that a checkpoint names."""
    cls = getattr(diffusers, str(name), None)
    # In the place of a class that needs a package that is not here, the library has one that is no scheduler.
    if not (inspect.isclass(cls) and issubclass(cls, SchedulerMixin)):
        raise UserError(f"the checkpoint's scheduler {name!r} is not to be had here; use 'ddim' or 'dpm'")
    return cls


def from_known_keys(cls: type[SchedulerMixin], config: Mapping[str, Any]) -> SchedulerMixin:
    """A scheduler of what a config says that its class knows. UserError where it can make nothing of it."""
    known = cls._get_init_keys(cls)
    try:
        return cls.from_config({key: value for key, value in config.items() if key in known})
    except ImportError:  # a package that is not installed
        raise
    except Exception as fault:  # a value that the class does not know fails in any way
        raise UserError(
            f"the checkpoint's scheduler_config.json makes no {cls.__name__}: {first_line(fault)}"
        ) from None


def name_of(scheduler: SchedulerMixin) -> str:
    """The name of the class that somebody asked for: not of one of ours that stands in front of it."""
    return next(cls.__name__ for cls in type(scheduler).__mro__ if not cls.__module__.startswith("ivgbench."))


def is_flow(scheduler: SchedulerMixin) -> bool:
    """Whether a scheduler's latents are on the straight path x = (1 - sigma) z0 + sigma n, as flow matching has it."""
    predicts = scheduler.config.get("prediction_type") == "flow_prediction"
    return isinstance(scheduler, FLOW) or bool(scheduler.config.get("use_flow_sigmas", predicts))


def steps_from_given(scheduler: SchedulerMixin, steps: int) -> bool:
    """Whether a scheduler's steps start from the latents they are given. A corrector, and the second half of a step
    that is made in halves, go back to those of the step before, so that a method's hand on the latents would be
    lost."""
    if isinstance(scheduler, UniPCMultistepScheduler):  # which asks at each step whether the one before is in the list
        return set(range(steps - 1)) <= set(scheduler.config.disable_corrector)
    in_one_part = steps == 1 or scheduler.config.get("solver_order") == 1
    return in_one_part or not {cls.__name__ for cls in type(scheduler).__mro__} & GOING_BACK


def initial_scale(scheduler: SchedulerMixin) -> Any:
    """What the initial noise is multiplied by."""
    return getattr(scheduler, "init_noise_sigma", 1.0)


def shown(scheduler: SchedulerMixin, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """The latents as the network sees them."""
    scale = getattr(scheduler, "scale_model_input", None)
    return latents if scale is None else scale(latents, timestep)


def check(scheduler: SchedulerMixin, steps: int) -> None:
    """Refuses a number of steps that a scheduler cannot make, by making them once with a few random numbers.

    Libraries fail at it in many ways: at the start, in the first step or the last, or with numbers that are not
    finite. The scheduler is left as it was.

    Raises:
        UserError: with what went wrong.
    """
    trial, name = copy.deepcopy(scheduler), name_of(scheduler)
    try:
        why = _first_fault(trial, steps)
    except Exception as fault:  # whatever a class of the library, or the caller's own, raises
        why = named_line(fault, 120)
    if why:
        raise UserError(
            f"the scheduler {name} cannot make {steps} steps here ({why}); give another number of steps, "
            f"or another scheduler"
        )


def _first_fault(scheduler: SchedulerMixin, steps: int) -> str | None:
    levels = getattr(scheduler.config, "num_train_timesteps", None)
    if levels is not None and steps > levels:
        return f"it has {levels} noise levels"
    draw = torch.Generator().manual_seed(0)
    scheduler.set_timesteps(steps, device="cpu")
    arguments = step_arguments(scheduler, [draw])
    latents = torch.randn(1, 4, 1, 2, 2, generator=draw) * initial_scale(scheduler)
    for at in scheduler.timesteps:
        if hasattr(scheduler, "alphas_cumprod") and not 0 <= at < len(scheduler.alphas_cumprod):
            return f"it asks for noise level {float(at):g} of 0 to {len(scheduler.alphas_cumprod) - 1}"
        latents = step(
            scheduler, torch.randn(shown(scheduler, latents, at).shape, generator=draw), at, latents, **arguments
        )
        if not torch.isfinite(latents).all():
            return f"latents are not finite at noise level {float(at):g}"
    return None


def step_arguments(scheduler: SchedulerMixin, streams: list[torch.Generator]) -> dict[str, Any]:
    """Stochastic schedulers draw from the clips' own streams, so that they repeat as well. eta is 0, as the library's
    pipelines have it: one of its classes (TCD) has another default."""
    given = {"generator": streams, "eta": 0.0}
    return {name: given[name] for name in given if name in inspect.signature(scheduler.step).parameters}


def step(
    scheduler: SchedulerMixin, prediction: torch.Tensor, timestep: torch.Tensor, latents: torch.Tensor, **arguments: Any
) -> torch.Tensor:
    """Latents [N,C,F,h,w] after the scheduler's step, in their own dtype.

    The library's DPM-Solver++ rounds the latents to float32 inside its step, which diffusers 0.21.4 did not. In
    float64 what that loses is added back; other dtypes are the library's step alone.
    """
    if isinstance(scheduler, FLOW):
        prediction = prediction.to(latents.dtype)
    moved = scheduler.step(prediction, timestep, latents, return_dict=False, **arguments)[0].to(latents.dtype)
    exact = isinstance(scheduler, FlowEuler) and not scheduler.config.get("stochastic_sampling")
    if latents.dtype == torch.float64 and exact:
        before, after = scheduler.sigmas[scheduler.step_index - 1 : scheduler.step_index + 1].double()
        return latents + (after - before) * prediction
    if (
        latents.dtype != torch.float64
        or not isinstance(scheduler, DPMSolverMultistepScheduler)
        or scheduler.config.algorithm_type != "dpmsolver++"
    ):
        return moved
    before, after = scheduler.sigmas[scheduler.step_index - 1 : scheduler.step_index + 1]
    # What the latents are multiplied by in an update of any order; the rest of it is made in float64 already.
    share = scheduler._sigma_to_alpha_sigma_t(after)[1] / scheduler._sigma_to_alpha_sigma_t(before)[1]
    return moved + (share * latents - share * latents.float())
