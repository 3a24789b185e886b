"""What whoever has the real weights of a backbone can find out of them in one go: a verdict for each check, by code.

Files, weights, text, one plain clip and one of each method at few steps, Figure 2's variance, half precision, and time
and memory beside what `plan` says. A check that cannot be made says so, and why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.files import file_sha256
from ivgbench.generator import settings as named_settings
from ivgbench.generator.backbones import hashing, layout, sources
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.cost import Costs
from ivgbench.generator.foresight import Foresight
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.methods.peekaboo import Masking
from ivgbench.generator.sampler import GeneratedClip, generate
from ivgbench.generator.sampling import Decided, Sampling
from ivgbench.verify import files, network
from ivgbench.verify.clips import SAME, apart, latent_faults, video_faults
from ivgbench.verify.costs import Measured, against_plan, device_facts
from ivgbench.verify.files import FAILED, NOT_RUN, PASSED, Check, check
from ivgbench.verify.network import Outputs, Request

#: What is asked for: prompt, subject, and another prompt that shares nothing with it. The pocket lab reads few words.
ASKED = ("A red fox runs across a snowy field", "red fox", "A blue boat on the sea at night")
POCKET_ASKED = ("a red star on a grey background", "red star", "a blue ring on a green background")
#: Where the subject is to be in the first and last frame.
FIRST, LAST = (0.05, 0.2, 0.5, 0.8), (0.5, 0.2, 0.95, 0.8)
#: The half precision that a family's weights are run in.
HALF = {"unet3d": "float16", "wan": "bfloat16", "cogvideox": "bfloat16", "ltx": "bfloat16"}


class Verification(NamedTuple):
    """What was found. weights: their hash, "" where files are missing; device: as torch calls it."""

    backbone: str
    source: str
    revision: str | None
    weights: str
    device: str
    sampling: Decided
    frames: int
    checks: list[Check]
    rows: list[Measured]

    @property
    def failed(self) -> int:
        return sum(one.verdict == FAILED for one in self.checks)


class Verifier:
    """Checks one backbone, one stage after the other; a stage whose ground is missing says so.

    Args:
        source: see `sources.locate`. lab: loads it, see `runs.lab.Lab`. asked: over the backbone's own sampling.
        methods: canonical names, beside plain. frames: of a clip; None: the backbone's.
        advance: called with each check when it is made.
    Raises:
        UserError: the backbone is not on this machine at all, with how to get it; or no weights could do what is asked.
    """

    def __init__(
        self,
        source: str,
        lab: Any,
        asked: Sampling,
        methods: Sequence[str],
        frames: int | None = None,
        advance: Callable[[Check], None] = lambda one: None,
    ):
        self.source, self.lab, self.advance = source, lab, advance
        self.methods = [name for name in methods if name != "plain"]
        self.folder: Path = sources.place(source)
        self.name, self.preset = sources.preset(source)
        self.frames = frames or self.preset.frames
        prompt, phrase, other = POCKET_ASKED if self.name == "pocket" else ASKED
        track = boxes.interpolate({0: FIRST, self.frames - 1: LAST}, self.frames)
        case = Case("verify", prompt, (Subject(phrase, track),))
        self.asked = Request(case, asked.over(self.preset.sampling), other)
        self.checks: list[Check] = []
        self.rows: list[Measured] = []

    def verify(self) -> Verification:
        """All of it, in the order of `names`."""
        hash_of = ""
        self._add(files.complete(self.source))
        if self.checks[-1].verdict == FAILED:
            self._skip_rest("files are missing")
        else:
            self._foresee()
            sums = {path: file_sha256(path) for path in hashing.read_files(self.folder)}
            hash_of = hashing.weights_hash(self.folder, sums)
            self._guarded("hashes", lambda: files.hashes(self.source, self.folder, sums))
            self._guarded("configs", lambda: files.configs(self.source, self.folder))
            if (bb := self._loaded()) is None:
                self._skip_rest("it cannot be loaded")
            else:
                self._of_weights(bb)
        device = device_facts(self.lab.device())[0]
        return Verification(
            self.name, self.source, sources.revision(self.source), hash_of, device, self.asked.sampling, self.frames,
            self.checks, self.rows,
        )  # fmt: skip

    def _foresee(self) -> None:
        """Refuses what no weights of this kind could be asked for; a file that cannot be read is left to the checks."""
        try:
            foresight = Foresight(self.source)
        except UserError:
            return
        foresight.check(resolve("plain"), self.asked.case, self.asked.sampling)

    def names(self) -> list[str]:
        """Of all checks, in their order."""
        first = ["files", "hashes", "configs", "load", "weights", "text", "plain"]
        return [*first, *self.methods, "figure 2", "half precision", "time", "memory"]

    def _add(self, one: Check) -> None:
        self.checks.append(one)
        self.advance(one)

    def _skip_rest(self, why: str) -> None:
        for name in self.names()[len(self.checks) :]:
            self._add(Check(name, NOT_RUN, why))

    def _guarded(self, what: str, look: Callable[[], Check]) -> None:
        """A check's own failure is a finding, and costs no other check."""
        try:
            self._add(look())
        except Exception as fault:
            self._add(Check(what, FAILED, _line(fault)))

    def _loaded(self) -> Backbone | None:
        started = time.perf_counter()
        try:
            bb = self.lab.backbone(self.source, self.asked.sampling.dtype)
        except Exception as fault:  # whatever damaged files do to libraries
            self._add(Check("load", FAILED, _line(fault)))
            return None
        self._add(Check("load", PASSED, f"{time.perf_counter() - started:.1f} s in {self.asked.sampling.dtype}"))
        return bb

    def _of_weights(self, bb: Backbone) -> None:
        self._guarded("weights", lambda: files.weights(bb))
        self._guarded("text", lambda: network.text(bb, self.asked))
        costs = Costs(sources.architecture(self.source), self.preset, bb.dtype)
        plain = self._method(bb, costs, "plain", None)
        for name in self.methods:
            self._method(bb, costs, name, plain)
        self._guarded("figure 2", lambda: network.variance(bb, self.asked))
        if self.asked.sampling.dtype != "float32":
            self._add(Check("half precision", NOT_RUN, f"all clips were made in {self.asked.sampling.dtype} already"))
        else:
            self._guarded("half precision", lambda: self._half(network.outputs(bb, self.asked)))
        name, gpu = device_facts(self.lab.device())
        for one in against_plan(self.rows, name, gpu, self.asked.sampling.dtype, self.lab.offload):
            self._add(one)

    def _half(self, reference: Outputs) -> Check:
        dtype = HALF[layout.family(self.folder)]
        asked = replace(self.asked, sampling=replace(self.asked.sampling, dtype=dtype))
        return network.half_precision(self.lab.backbone(self.source, dtype), reference, asked)

    def _method(self, bb: Backbone, costs: Costs, name: str, plain: np.ndarray | None) -> np.ndarray | None:
        """Makes a method's clip, judges it, and notes what it took. Returns its latents; None where there are none."""
        config = named_settings.resolve(self.name, name)
        must = name == "plain" or isinstance(config, Masking)
        try:
            with network.edited_layers(bb) as layers:
                clip, seconds, peak = self._clip(bb, name)
            cost = costs.of(config, self.asked.case, self.asked.sampling)
        except UserError as refusal:  # a method may have no meaning on this backbone, masks always have one
            self._add(Check(name, FAILED if must else NOT_RUN, _line(refusal)))
            return None
        except Exception as fault:  # NaN at a step, too little memory, a class of a library that changed
            self._add(Check(name, FAILED, _line(fault)))
            return None
        latents = clip.latents.float().numpy()
        faults = latent_faults(latents) + video_faults(clip.pixels)
        if isinstance(config, Masking) and config.frozen_steps:
            if not layers:
                faults.append("its masks touch no layer")
            elif plain is not None and apart(plain, latents) < SAME:
                faults.append(f"its masks are on in {len(layers)} layers and change nothing: the latents are plain's")
        if (clip.nfe, clip.backward) != (cost.evaluations, cost.backward):
            faults.append(f"it took {clip.nfe} evaluations, plan says {cost.evaluations}")
        self.rows.append(Measured(name, seconds, clip.nfe, len(layers), peak, cost))
        away = "" if plain is None else f", {apart(plain, latents):.0%} from plain"
        self._add(check(name, faults, f"{len(layers)} layers edited{away}; latents' deviation {latents.std():.2f}"))
        return latents

    def _clip(self, bb: Backbone, name: str) -> tuple[GeneratedClip, float, int | None]:
        """(clip, seconds, most bytes on the GPU)."""
        on_gpu = bb.device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(bb.device)
        started = time.perf_counter()
        clip = generate(bb, self.asked.case, name, **self.asked.sampling.arguments())
        seconds = time.perf_counter() - started  # its frames are on the CPU: nothing is still at work
        return clip, seconds, torch.cuda.max_memory_allocated(bb.device) if on_gpu else None


def _line(fault: Exception) -> str:
    text = " ".join(str(fault).split())
    return text if isinstance(fault, UserError | FloatingPointError) else f"{type(fault).__name__}: {text}"
