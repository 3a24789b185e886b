"""The denoise loop: one flat function from cases to clips. Methods hook in before and after each scheduler step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.generator import inputs, schedulers
from ivgbench.generator import settings as named_settings
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.levels import of as noise_levels
from ivgbench.generator.levels import schedule as schedule_of
from ivgbench.generator.methods.base import Clip, Method, Network, Run, Setup, check_fits, counted, standard_normal
from ivgbench.generator.sampling import Decided
from ivgbench.texts import short


@dataclass(frozen=True, eq=False)
class GeneratedClip:
    """What `generate` returns.

    video: uint8 [F,H,W,3], or None with output="latent"; latents: [1,C,F,h,w] on the CPU;
    trajectory: latents after each step [steps,C,F,h,w], or None; nfe: network evaluations (a guided pair counts once,
    its conditional half alone a half); backward: backward passes through the network.
    """

    video: np.ndarray | None
    latents: torch.Tensor
    trajectory: torch.Tensor | None
    nfe: int | float
    backward: int

    @property
    def pixels(self) -> np.ndarray:
        """The video of a clip that has one. ValueError with output="latent"."""
        if self.video is None:
            raise ValueError('made with output="latent", a clip has no video')
        return self.video


def generate(
    bb: Backbone,
    case: Case,
    method: str = "tid",
    method_options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    seed: int = 0,
    scheduler: str | SchedulerMixin | None = None,
    negative_prompt: str = "",
    prompt_suffix: str = "",
    latents: torch.Tensor | np.ndarray | None = None,
    masks: torch.Tensor | np.ndarray | None = None,
    prompt_embeds: torch.Tensor | np.ndarray | None = None,
    output: Literal["video", "latent"] = "video",
    return_trajectory: bool = False,
    callback: Callable[[int, int], None] | None = None,
    settings: str | None = None,
    size: tuple[int, int] | None = None,
) -> GeneratedClip:
    """Makes one clip.

    Args:
        case: prompt and subjects; a phrase may be None or absent from the prompt (research use; see `rules`).
        method, method_options: a registered method and its config's fields, on top of its settings.
        settings: named settings that the method has on the backbone (`generator.settings`); None for the backbone's
            default.
        steps, guidance_scale: None for the backbone's defaults.
        scheduler: None or "checkpoint" (the checkpoint's), "ddim", "dpm", "flow", or a diffusers scheduler.
        prompt_suffix: appended to the prompt before encoding.
        latents: initial noise [1,C,F,h,w] instead of the seed's.
        masks: [K,F,h,w] on latent cells, bool or finite numbers (0 is outside), instead of the subjects' boxes, which
            may then be None.
        prompt_embeds: [2,L,C], or [2F,L,C] for per-frame prompts: unconditional rows first.
        callback: called with (steps done, steps) after each step.
        size: (height, width) of the frames in pixels; None for the backbone's, or what latents or masks say.
    Raises:
        UserError: arguments that do not fit each other, the method or the backbone.
        FloatingPointError: the latents became NaN or infinite, with step and method.
    """
    return generate_batch(
        bb, [case], method, method_options, steps, guidance_scale, [seed], scheduler, negative_prompt, prompt_suffix,
        latents, None if masks is None else [masks], prompt_embeds, output, return_trajectory, callback, settings, size,
    )[0]  # fmt: skip


def generate_batch(
    bb: Backbone,
    cases: Sequence[Case],
    method: str = "tid",
    method_options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    seeds: Sequence[int] = (0,),
    scheduler: str | SchedulerMixin | None = None,
    negative_prompt: str = "",
    prompt_suffix: str = "",
    latents: torch.Tensor | np.ndarray | None = None,
    masks: Sequence[torch.Tensor | np.ndarray] | None = None,
    prompt_embeds: torch.Tensor | np.ndarray | None = None,
    output: Literal["video", "latent"] = "video",
    return_trajectory: bool = False,
    callback: Callable[[int, int], None] | None = None,
    settings: str | None = None,
    size: tuple[int, int] | None = None,
) -> list[GeneratedClip]:
    """Makes N clips in one batch: as `generate`, with a case, a seed, masks and a row of latents [N,C,F,h,w] for each.

    All clips have the same number of frames and cells. Matrix kernels block larger batches differently: latents agree
    with those of `generate` to about 1e-5 relative, not bit for bit; methods that do not batch are run clip by clip.
    """
    if not isinstance(bb, Backbone):
        raise UserError(f"bb must be a backbone that is loaded, as Backbone.from_pretrained gives it, got {short(bb)}")
    config = named_settings.resolve(bb.name, method, settings, method_options)
    check_fits(config, bb.offers, bb.name)
    cases = inputs.listed(cases, "cases")
    seeds = [inputs.whole(seed, "a seed") for seed in inputs.listed(seeds, "seeds")]
    cells = None if masks is None else [inputs.tensor(one, "masks") for one in inputs.listed(masks, "masks")]
    for one in cells or ():
        inputs.check_finite(one, "masks")
    return_trajectory = inputs.flag(return_trajectory, "return_trajectory")
    inputs.function(callback, "callback")
    if len(cases) == 0 or len(seeds) != len(cases) or (cells is not None and len(cells) != len(cases)):
        raise UserError(f"a batch needs one seed (and set of masks) per case: {len(cases)} cases, {len(seeds)} seeds")
    inputs.check_texts(cases, negative_prompt=negative_prompt, prompt_suffix=prompt_suffix)
    latents = None if latents is None else inputs.tensor(latents, "latents")
    prompt_embeds = None if prompt_embeds is None else inputs.tensor(prompt_embeds, "prompt_embeds")
    steps = inputs.whole(bb.default_steps if steps is None else steps, "steps")
    if steps < 1:
        raise UserError(f"steps must be at least 1, got {short(steps)}")
    if output not in ("video", "latent"):
        raise UserError(f"output must be 'video' or 'latent', got {output!r}")
    guidance = inputs.finite(bb.default_guidance if guidance_scale is None else guidance_scale, "guidance_scale")
    shape = inputs.geometry(bb, cases, latents, cells, inputs.frame_size(size))
    if output == "video":
        bb.check_video(shape[1])
    if latents is not None:
        inputs.check_finite(latents.to(bb.dtype), "latents")
    if prompt_embeds is not None:
        inputs.check_embeds(prompt_embeds, bb, len(cases), shape[1])
    clips = [
        inputs.clip_of(bb, case, seed, prompt_suffix, shape, None if cells is None else cells[index])
        for index, (case, seed) in enumerate(zip(cases, seeds, strict=True))
    ]
    for clip in clips:
        config.check_words(bb.reader, clip.prompt, prompt_suffix, clip.phrases)
    dtype = str(bb.dtype).removeprefix("torch.")
    sampling = Decided(steps, guidance, scheduler, negative_prompt, prompt_suffix, dtype)
    schedulers.check(bb.scheduler(scheduler, shape[1:]), steps)
    # The rows of each clip: all unconditional ones come first.
    embeds = None if prompt_embeds is None else prompt_embeds.unflatten(0, (2, len(cases), -1))
    made = []
    for part in [slice(len(clips))] if config.batches else [slice(n, n + 1) for n in range(len(clips))]:
        with torch.no_grad():
            sample = sampled(
                bb, config, clips[part], shape, sampling,
                None if embeds is None else embeds[:, part].flatten(0, 2),
                None if latents is None else latents[part], callback,
            )  # fmt: skip
        made += [
            GeneratedClip(
                video=bb.decode(sample.latents[index : index + 1], clip.stream("decode"))
                if output == "video"
                else None,
                latents=sample.latents[index : index + 1].cpu(),
                trajectory=sample.trajectories[index].cpu() if return_trajectory else None,
                nfe=sample.nfe,
                backward=sample.backward,
            )
            for index, clip in enumerate(clips[part])
        ]
    return made


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
            return unconditional + guidance * (conditional - unconditional)

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
