"""One scheduler step as the sampler takes it: in the latents' own precision, with the clips' own randomness."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.generator.methods.base import Clip


def step_arguments(scheduler: SchedulerMixin, clips: list[Clip]) -> dict[str, Any]:
    """Stochastic schedulers draw from the clips' own streams, so that they repeat as well."""
    if "generator" not in inspect.signature(scheduler.step).parameters:
        return {}
    return {"generator": [clip.stream("scheduler") for clip in clips]}


def step(
    scheduler: SchedulerMixin, prediction: torch.Tensor, timestep: torch.Tensor, latents: torch.Tensor, **arguments: Any
) -> torch.Tensor:
    """Latents [N,C,F,h,w] after the scheduler's step, in their own dtype.

    The library's DPM-Solver++ rounds the latents to float32 inside its step, which the release it is compared with
    (diffusers 0.21.4) did not. In float64 what that loses is added back; other dtypes are the library's step alone.
    """
    moved = scheduler.step(prediction, timestep, latents, return_dict=False, **arguments)[0]
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
