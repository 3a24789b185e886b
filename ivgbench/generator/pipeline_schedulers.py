"""What the pipelines of two families do around their schedulers, as schedulers that the sampler takes.

CogVideoX shifts the signal-to-noise ratio of its levels, which the library's other variance-preserving classes do not
know, and its DPM-Solver++ is handed what it made in the step before. LTX-Video shifts its levels by the clip's size.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchLCMScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.generator.schedulers import CHECKPOINT, FlowEuler, from_known_keys, is_flow, shift_of

#: LTX-Video's pipeline: shifts, and the numbers of tokens that they are for.
PIPELINE_SHIFTS = {"base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096}


class CogDpm(CogVideoXDPMScheduler):
    """CogVideoX's stochastic DPM-Solver++ 2M with the step of any other scheduler: it remembers the last one itself."""

    def set_timesteps(self, steps: int, device: Any = None) -> None:
        super().set_timesteps(steps, device)
        self._last: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)

    def step(
        self,
        model_output: torch.Tensor,
        timestep: torch.Tensor,
        sample: torch.Tensor,
        generator: list[torch.Generator] | None = None,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        clean, before = self._last
        moved, clean = super().step(
            model_output, clean, timestep, before, sample, generator=generator, return_dict=False
        )
        self._last = clean, timestep
        return (moved,)


class BySize:
    """LTX-Video's levels, in front of a scheduler of the library: equally spaced, then shifted the more the more tokens
    a clip has, then stretched to end at the config's `shift_terminal`.

    library: the scheduler's class. tokens: latent frames x rows x columns.
    """

    library: ClassVar[Any]
    config: Any
    tokens: int = 1024

    def set_timesteps(self, steps: int, device: Any = None) -> None:
        # What a config lacks is as the pipeline has it: a class that knows nothing of it may have dropped it.
        low, high, short, long = (self.config.get(name, default) for name, default in PIPELINE_SHIFTS.items())
        slope = (high - low) / (long - short)
        shift = self.tokens * slope + (low - slope * short)
        self.library.set_timesteps(self, sigmas=np.linspace(1.0, 1 / steps, steps), mu=shift, device=device)

    def stretch_shift_to_terminal(self, t: np.ndarray) -> np.ndarray:
        """The library divides 0 by 0 where there is one level alone: from noise to the end in one step."""
        return t if len(t) == 1 else self.library.stretch_shift_to_terminal(self, t)

    def fit(self, shape: tuple[int, int, int]) -> None:
        """For latents of `shape` (f,h,w)."""
        self.tokens = math.prod(shape)


class EulerBySize(BySize, FlowEuler):
    library = FlowMatchEulerDiscreteScheduler


class LcmBySize(BySize, FlowMatchLCMScheduler):
    library = FlowMatchLCMScheduler


class UniPcBySize(BySize, UniPCMultistepScheduler):
    library = UniPCMultistepScheduler


#: The library's classes that LTX-Video's pipeline gives levels to.
BY_SIZE = (EulerBySize, LcmBySize, UniPcBySize)


def of_cogvideox(config: Mapping[str, Any], which: str | SchedulerMixin | None) -> str | SchedulerMixin | None:
    """What stands for the asked scheduler: "ddim", "dpm" and the checkpoint's own with CogVideoX's levels."""
    own = which in (None, CHECKPOINT) and config.get("_class_name") == "CogVideoXDPMScheduler"
    if which == "dpm" or own:
        return from_known_keys(CogDpm, config)
    if which == "ddim":
        return from_known_keys(CogVideoXDDIMScheduler, config)
    return _behind(CogDpm, which) if isinstance(which, CogVideoXDPMScheduler) else which


def of_ltx(config: Mapping[str, Any], which: str | SchedulerMixin | None) -> str | SchedulerMixin | None:
    """The same: "flow", the checkpoint's own and given ones of `BY_SIZE` with LTX-Video's levels."""
    if which == "flow":
        return from_known_keys(EulerBySize, {**config, "shift": shift_of(config)})
    for cls in BY_SIZE:
        if which in (None, CHECKPOINT) and config.get("_class_name") == cls.library.__name__:
            made = from_known_keys(cls, config)
            return made if is_flow(made) else which
        # Without dynamic shifting the pipeline's levels are shifted by a fixed factor, once: not so the class's own.
        if type(which) is cls.library and is_flow(which):
            return _behind(cls, which)
    return which


def _behind(front: type[SchedulerMixin], given: SchedulerMixin) -> SchedulerMixin:
    """A copy of a scheduler behind one of the classes above; what was set on it, and its own class, stay."""
    made = copy.deepcopy(given)
    if not isinstance(given, front):
        made.__class__ = type(front.__name__, (front, type(given)), {"__module__": __name__})
    return made
