"""Scheduler steps as the sampler takes them: exact in float64, with the clips' own randomness, and DPM as released."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_utils import SchedulerMixin


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


def step_arguments(scheduler: SchedulerMixin, streams: list[torch.Generator]) -> dict[str, Any]:
    """Stochastic schedulers draw from the clips' own streams, so that they repeat as well."""
    return {"generator": streams} if "generator" in inspect.signature(scheduler.step).parameters else {}


def step(
    scheduler: SchedulerMixin, prediction: torch.Tensor, timestep: torch.Tensor, latents: torch.Tensor, **arguments: Any
) -> torch.Tensor:
    """Latents [N,C,F,h,w] after the scheduler's step, in their own dtype.

    The library's DPM-Solver++ rounds the latents to float32 inside its step, which diffusers 0.21.4 did not. In
    float64 what that loses is added back; other dtypes are the library's step alone.
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
