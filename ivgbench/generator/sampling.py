"""How clips are sampled: the settings that are not the method's. No torch: a run's spec and jobs hold one as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sampling:
    """The sampler's settings, all of them decided.

    guidance_scale: unconditional + scale x (conditional - unconditional). scheduler: "ddim", "dpm", a diffusers
    scheduler, or None for the checkpoint's. prompt_suffix: appended to the prompt before it is encoded.
    """

    steps: int
    guidance_scale: float
    scheduler: Any = None
    negative_prompt: str = ""
    prompt_suffix: str = ""
