"""From cases to clips: what is asked for is checked, the loop makes the latents, and the backbone the video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.generator import inputs, schedulers
from ivgbench.generator import settings as named_settings
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.loop import sampled
from ivgbench.generator.methods.base import check_fits
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
