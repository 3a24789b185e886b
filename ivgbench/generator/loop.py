"""The denoise loop: clips of one batch, round by round, step by step. Methods hook in before and after each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.generator import schedulers
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.levels import of as noise_levels
from ivgbench.generator.levels import schedule as schedule_of
from ivgbench.generator.methods.base import Clip, Method, Network, Run, Setup, counted, standard_normal
from ivgbench.generator.sampling import Decided


class Sample(NamedTuple):
    """What the loop made of N clips: latents [N,C,f,h,w], trajectories [N,steps,C,f,h,w], evaluations and backward
    passes of each."""

    latents: torch.Tensor
    trajectories: torch.Tensor
    nfe: int | float
    backward: int


def sampled(
    bb: Backbone,
    config: Method,
    clips: list[Clip],
    shape: tuple[int, int, int, int],
    sampling: Decided,
    context: torch.Tensor | None = None,
    initial: torch.Tensor | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Sample:
    """N clips in one batch, and what the method makes alone before.

    Args:
        shape: (C,f,h,w) of the latents. context, initial: text states and noise instead of the clips' own.
    """
    if context is None:
        texts = [sampling.negative_prompt] * len(clips) + [config.text(clip) for clip in clips]
        different = list(dict.fromkeys(texts))  # each is read once, however many clips share it
        context = bb.encode_prompt(different)[[different.index(text) for text in texts]]
    if initial is None:
        initial = standard_normal([clip.stream("initial") for clip in clips], (1, *shape))

    def solo(clip: Clip, solo_config: Method, label: str) -> torch.Tensor:
        solo_config.check_words(bb.reader, clip.prompt, clip.suffix, clip.phrases)
        alone = bb.encode_prompt([sampling.negative_prompt, solo_config.text(clip)])
        start = standard_normal([clip.stream(label)], (1, *shape))
        return _rounds(bb, solo_config, [clip], alone, start, sampling, None, None).trajectories[0]

    return _rounds(bb, config, clips, context, initial, sampling, solo, callback)


def _rounds(
    bb: Backbone,
    config: Method,
    clips: list[Clip],
    context: torch.Tensor,
    initial: torch.Tensor,
    sampling: Decided,
    solo: Callable[[Clip, Method, str], torch.Tensor] | None,
    callback: Callable[[int, int], None] | None,
) -> Sample:
    """All rounds of a batch; the trajectories are the last one's."""
    context, scheduler = context.to(bb.device, bb.dtype), _scheduled(bb, sampling, sampling.steps, initial)
    schedule = schedule_of(scheduler, sampling.steps, bb.device, bb.dtype)
    config.check_schedule(schedule, max(len(clip.phrases) for clip in clips))
    setup = Setup(
        bb, clips, _shape(initial), len(scheduler.timesteps), sampling.guidance_scale, schedule.levels, solo,
        schedule,
    )  # fmt: skip
    run, noise = config.start(setup), [clip.stream("scheduler") for clip in clips]
    every = [_scheduled(bb, sampling, steps, initial) for steps in run.rounds()] or [scheduler]
    total, backward = sum(len(one.timesteps) for one in every), 0
    nfe: int | float = run.extra_evaluations()
    initial = run.initial(initial).to(bb.device, bb.latents_dtype)
    latents = initial * schedulers.initial_scale(scheduler)
    for number, scheduler in enumerate(every):
        setup.steps, setup.levels = len(scheduler.timesteps), noise_levels(scheduler, bb.device, bb.dtype)
        if number > 0:
            latents = run.restart(number, initial, latents)
        before = sum(len(one.timesteps) for one in every[:number])
        told = None if callback is None else lambda step, before=before: callback(before + step, total)
        made = _loop(bb, config, run, setup, scheduler, noise, context, latents, told)
        latents, nfe, backward = made.latents, nfe + made.nfe, backward + made.backward
    return made._replace(nfe=counted(nfe), backward=backward)


def _shape(latents: torch.Tensor) -> tuple[int, int, int]:
    """(f,h,w) of latents [N,C,f,h,w]."""
    frames, height, width = latents.shape[2:]
    return frames, height, width


def _scheduled(bb: Backbone, sampling: Decided, steps: int, latents: torch.Tensor) -> SchedulerMixin:
    """A fresh scheduler for such latents, with its timesteps. UserError where it cannot make so many (see `check`)."""
    scheduler = bb.scheduler(sampling.scheduler, _shape(latents))
    if steps != sampling.steps:  # else it was tried before any work
        schedulers.check(scheduler, steps)
    scheduler.set_timesteps(steps, device=bb.device)
    return scheduler


def _loop(
    bb: Backbone,
    config: Method,
    run: Run,
    setup: Setup,
    scheduler: SchedulerMixin,
    noise: list[torch.Generator],
    context: torch.Tensor,
    latents: torch.Tensor,
    callback: Callable[[int], None] | None,
) -> Sample:
    """One way through a scheduler's timesteps, from latents on its scale. callback: called with the steps done."""
    timesteps, levels, clips, guidance = scheduler.timesteps, setup.levels, setup.clips, setup.guidance
    negative, positive = context.chunk(2)
    drawn = schedulers.step_arguments(scheduler, noise)
    trajectory: list[torch.Tensor] = []
    nfe: int | float = 0
    backward = 0

    for step, timestep in enumerate(timesteps):
        own = run.text(step)
        text = positive if own is None else own

        def guided(sample: torch.Tensor, timestep: torch.Tensor = timestep, text: torch.Tensor = text) -> torch.Tensor:
            seen = schedulers.shown(scheduler, sample, timestep)
            unconditional, conditional = bb.denoise(seen, timestep, negative, text)
            # At 1 the sum is the conditional output but for its rounding, which in half precision can be seen.
            return conditional if guidance == 1 else unconditional + guidance * (conditional - unconditional)

        def half(sample: torch.Tensor, timestep: torch.Tensor = timestep, text: torch.Tensor = text) -> torch.Tensor:
            return bb.denoise_conditional(schedulers.shown(scheduler, sample, timestep), timestep, text)

        network = Network(guided, None if levels is None else levels[step], half)
        with bb.edited(run.edits(step), len(clips)), bb.placed(run.positions(step)):
            latents = run.before_step(step, latents, network)
            prediction = guided(latents)
        latents = schedulers.step(scheduler, prediction, timestep, latents, **drawn)
        nfe, backward = nfe + 1 + network.evaluations, backward + network.backward
        # Before the method's own hand on them: what a composition blends is not part of a subject's own path.
        trajectory.append(latents)
        latents = run.after_step(step, latents)
        # Without content (see `cost`) there is nothing to look at.
        if not (latents.is_meta or torch.isfinite(latents).all()):
            raise FloatingPointError(
                f"latents are not finite after step {step + 1} of {len(timesteps)}, method {config.name!r}, "
                f"backbone {bb.name!r} in {bb.dtype}"
            )
        if callback is not None:
            callback(step + 1)
    return Sample(latents, torch.stack(trajectory, dim=1), counted(nfe), backward)
