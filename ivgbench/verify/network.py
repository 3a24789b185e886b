"""What the loaded network does with text, masks and half precision: the faults that real weights bring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.generator import inputs, schedulers
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.recorder import TENSORS, decoder_transformer, recording
from ivgbench.generator.sampler import generate
from ivgbench.generator.sampling import Decided
from ivgbench.study.recording import BASELINE, MASKED, NORMALISED, ROWS
from ivgbench.verify import files
from ivgbench.verify.clips import SAME, apart, latent_faults, video_faults
from ivgbench.verify.files import FAILED, NOT_RUN, PASSED, Check, check

#: Half precision may move the network's output by so much of it.
HALF_APART = 0.2


@dataclass(frozen=True)
class Request:
    """What is asked of the network. sampling: all of it decided; other: a prompt unlike the case's."""

    case: Case
    sampling: Decided
    other: str


class Outputs(NamedTuple):
    """Raw outputs [1,C,f,h,w] of one evaluation at the middle step, float32."""

    conditional: np.ndarray
    unconditional: np.ndarray


@torch.no_grad()
def outputs(bb: Backbone, asked: Request) -> Outputs:
    """From noise that is the same in every precision."""
    shape = inputs.geometry(bb, [asked.case], None, None, asked.sampling.size)
    scheduler = bb.scheduler(asked.sampling.scheduler, shape[1:])
    scheduler.set_timesteps(asked.sampling.steps, device=bb.device)
    timestep = scheduler.timesteps[len(scheduler.timesteps) // 2]
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    shown = schedulers.shown(scheduler, noise.to(bb.device, bb.dtype), timestep)
    context = bb.encode_prompt(["", asked.case.prompt]).to(bb.device, bb.dtype)
    unconditional, conditional = (one.float().cpu().numpy() for one in bb.denoise(shown, timestep, *context.chunk(2)))
    return Outputs(conditional, unconditional)


def text(bb: Backbone, asked: Request) -> Check:
    """Whether words reach the text states, and the network's output."""
    states = bb.encode_prompt([asked.case.prompt, asked.other, ""]).float().cpu().numpy()
    if not np.isfinite(states).all():
        return Check("text", FAILED, "text states are NaN or infinite")
    faults = [] if states.any() else ["all text states are zero"]
    moved = min(apart(states[0], states[1]), apart(states[0], states[2]))
    if moved < SAME and not faults:
        faults.append("the text encoder gives the same states for different prompts")
    made = outputs(bb, asked)
    if not all(np.isfinite(one).all() for one in made):
        faults.append(f"the network's output is NaN or infinite in {asked.sampling.dtype}")
    elif (effect := apart(*made)) < SAME:
        faults.append("the network's output is the same with and without the prompt: text changes nothing")
    if faults:
        return check("text", faults, "")
    return Check("text", PASSED, f"states of two prompts differ by {moved:.0%}, the output by {effect:.2%}")


def half_precision(bb: Backbone, reference: Outputs, asked: Request) -> Check:
    """A backbone in half precision against the outputs of the same weights in float32.

    asked: with the half's dtype.
    """
    what, dtype = "half precision", asked.sampling.dtype
    if (broken := files.weights(bb)).verdict == FAILED:
        return broken._replace(what=what)
    half = outputs(bb, asked)
    if not all(np.isfinite(one).all() for one in half):
        return Check(what, FAILED, f"the network's output is NaN or infinite in {dtype}")
    far = max(apart(*pair) for pair in zip(reference, half, strict=True))
    clip = generate(bb, asked.case, "plain", **asked.sampling.arguments())
    faults = latent_faults(clip.latents.float().numpy()) + video_faults(clip.pixels)
    if far > HALF_APART:
        faults.append(f"the network's output in {dtype} is {far:.0%} from that in float32")
    return check(what, faults, f"{dtype}: output {far:.2%} from float32's, a clip without a fault")


def variance(bb: Backbone, asked: Request) -> Check:
    """Figure 2: the variance of a decoder block's activations under masks, as a share of plain's."""
    what = "figure 2"
    try:
        decoder_transformer(bb)
    except UserError as refusal:
        return Check(what, NOT_RUN, str(refusal))
    found = {}
    for row in ROWS:
        with recording(bb) as recorder:
            generate(
                bb, asked.case, row.method, row.options, settings=row.settings, callback=recorder.step_done,
                output="latent", **asked.sampling.arguments(),
            )  # fmt: skip
        found[row.label or row.method] = np.array(recorder.variance[TENSORS[0]])
    # NaN is not above 0 either.
    faults = [f"{name}: the variance is {values}" for name, values in found.items() if not (values > 0).all()]
    if faults:
        return check(what, faults, "")
    masked, normalised = (float((found[name] / found[BASELINE]).mean()) for name in (MASKED, NORMALISED))
    nearer = "nearer to" if abs(normalised - 1) < abs(masked - 1) else "no nearer to"
    told = f"{recorder.layer}: masks alone {masked:.2f} of plain's variance, with Mask Norm {normalised:.2f}"
    return Check(what, PASSED, f"{told}: {nearer} plain's")


@contextmanager
def edited_layers(bb: Backbone) -> Iterator[set[str]]:
    """While open, the names of all layers that edits reach."""
    found: set[str] = set()
    own = bb.edited

    def edited(edits: Any, clips: int) -> Any:
        found.update(site.name for site in edits)
        return own(edits, clips)

    vars(bb)["edited"] = edited
    try:
        yield found
    finally:
        del bb.edited  # the class's own is back
