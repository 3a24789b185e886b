"""The noise path: one pair (a, b) for each step, x = a z0 + b n, of variance-preserving and of flow schedules alike.

Variance-preserving: a = sqrt(alpha_bar), b = sqrt(1 - alpha_bar). Flow: a = 1 - sigma, b = sigma. What a network puts
out is linear in the clean latents z0 and the noise n, so that guided outputs convert as plain ones do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.errors import UserError
from ivgbench.generator import schedulers

#: Of alpha_bar: less is none. A schedule without a signal at its end has 0 there; the library's DPM-Solver++ writes
#: 2^-24, the least that others have is above 1e-3.
NO_SIGNAL = 1e-6


@dataclass(frozen=True, eq=False)
class Level:
    """The noise of one step.

    a, b: scales of the clean latents and of the noise, 0-dim, at least float32; variance: b squared, as the schedule
    has it and not rounded through a root. prediction: what the network puts out, as diffusers' schedulers name it:
    "epsilon" (n), "v_prediction" (a n - b z0), "sample" (z0) or "flow_prediction" (n - z0).
    """

    a: torch.Tensor
    b: torch.Tensor
    variance: torch.Tensor
    prediction: str

    def clean(self, latents: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """The estimate of z0 from the network's output at these latents: never by way of the noise, which cannot tell
        z0 where a is 0."""
        self._check()
        if self.prediction == "epsilon":
            return (latents - self.b * output) / self.a
        if self.prediction == "v_prediction":
            return self.a * latents - self.b * output
        return output if self.prediction == "sample" else latents - self.b * output

    def noise(self, latents: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """The estimate of n."""
        self._check()
        if self.prediction == "epsilon":
            return output
        if self.prediction == "v_prediction":
            return self.a * output + self.b * latents
        return (latents - self.a * output) / self.b if self.prediction == "sample" else latents + self.a * output

    def _check(self) -> None:
        if self.prediction not in ("epsilon", "v_prediction", "sample", "flow_prediction"):
            raise UserError(
                f"prediction type {self.prediction!r} has no noise estimate here; use a method without inner steps"
            )


def of(scheduler: SchedulerMixin, device: torch.device, dtype: torch.dtype) -> list[Level] | None:
    """The level of each step of a scheduler whose timesteps are set; None where its latents are on another scale.

    Args:
        dtype: of the latents; levels are at least float32.
    """
    wide = torch.promote_types(dtype, torch.float32)
    if schedulers.is_flow(scheduler):
        # By step: such a scheduler may have alphas as well, which are not those of its path.
        sigmas = scheduler.sigmas[: len(scheduler.timesteps)].to(device, wide)
        return [Level(1 - sigma, sigma, sigma**2, "flow_prediction") for sigma in sigmas]
    alphas = _alphas(scheduler)
    if alphas is None:
        return None
    return [_level(scheduler, alphas[int(timestep)].to(device, wide)) for timestep in scheduler.timesteps]


def at(scheduler: SchedulerMixin, timestep: torch.Tensor, device: torch.device, dtype: torch.dtype) -> Level:
    """The level of one timestep that such a scheduler shows its network; of a flow's, which is sigma in thousandths."""
    if not schedulers.is_flow(scheduler):
        scheduler.timesteps = timestep.reshape(1)
        levels = of(scheduler, device, dtype)
        if levels is None:
            raise ValueError(f"{type(scheduler).__name__} keeps its latents on a scale of its own")
        return levels[0]
    sigma = timestep.to(device, torch.promote_types(dtype, torch.float32)) / scheduler.config.num_train_timesteps
    return Level(1 - sigma, sigma, sigma**2, "flow_prediction")


def last(scheduler: SchedulerMixin, device: torch.device, dtype: torch.dtype) -> Level | None:
    """The level of the last training timestep, at or beyond that of any step; None as in `of`, and where the path ends
    in noise alone: flow matching's, and those without a signal at their end (zero terminal SNR)."""
    alphas = None if schedulers.is_flow(scheduler) else _alphas(scheduler)
    if alphas is None or float(alphas[-1]) < NO_SIGNAL:
        return None
    return _level(scheduler, alphas[-1].to(device, torch.promote_types(dtype, torch.float32)))


@dataclass(frozen=True, eq=False)
class Schedule:
    """What a method can know of a scheduler before its first step.

    asked: the steps that the sampler was asked for, of which a scheduler may make more. levels: see `of`.
    last: see `last`. keeps_hand: see `schedulers.steps_from_given`.
    """

    asked: int
    levels: list[Level] | None
    last: Level | None
    keeps_hand: bool

    def check_hand(self, method: str) -> None:
        """UserError where what a method does to the latents between two steps would be lost."""
        if not self.keeps_hand:
            raise UserError(
                f"{method} moves the latents, and the scheduler's corrector, or the second half of its step, would "
                f"undo it: use another one ('ddim' or 'dpm'; 'flow' where the backbone is of flow matching), or turn "
                f"its corrector off"
            )


def schedule(scheduler: SchedulerMixin, asked: int, device: torch.device, dtype: torch.dtype) -> Schedule:
    """Of a scheduler whose timesteps are set."""
    keeps_hand = schedulers.steps_from_given(scheduler, len(scheduler.timesteps))
    return Schedule(asked, of(scheduler, device, dtype), last(scheduler, device, dtype), keeps_hand)


def _alphas(scheduler: SchedulerMixin) -> torch.Tensor | None:
    alphas = getattr(scheduler, "alphas_cumprod", None)
    # Schedulers that keep their latents on another scale (Euler's sigmas) have alphas, but not for these latents.
    return None if alphas is None or float(schedulers.initial_scale(scheduler)) != 1 else alphas


def _level(scheduler: SchedulerMixin, alpha: torch.Tensor) -> Level:
    return Level(torch.sqrt(alpha), torch.sqrt(1 - alpha), 1 - alpha, scheduler.config.prediction_type)
