"""How clips are sampled: the settings that are not the method's. No torch: a run's spec and its jobs hold them too."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, overload

from ivgbench.errors import UserError
from ivgbench.texts import short

#: Of weights and latents. Noise is drawn in float32 in any case.
DTYPES = ("float32", "float16", "bfloat16")
#: What a checkpoint came with, whatever it is.
CHECKPOINT = "checkpoint"
SCHEDULERS = ("ddim", "dpm", "flow", CHECKPOINT)
#: The noise levels that the checkpoints were trained on.
MAX_STEPS = 1000
#: Of a frame, in pixels: more is a slip of the hand.
MAX_SIDE = 8192


@dataclass(frozen=True)
class Sampling:
    """The sampler's settings. None: not said here; see `over`.

    steps: of the scheduler, each a guided network evaluation or more.
    guidance_scale: unconditional + scale x (conditional - unconditional).
    scheduler: one of `SCHEDULERS`; in Python a diffusers scheduler as well.
    negative_prompt: of the unconditional half. prompt_suffix: appended to the prompt before it is encoded.
    dtype: of weights and latents, one of `DTYPES`. size: (height, width) of the frames in pixels.
    """

    steps: int | None = None
    guidance_scale: float | None = None
    scheduler: Any = None
    negative_prompt: str | None = None
    prompt_suffix: str | None = None
    dtype: str | None = None
    size: tuple[int, int] | None = None

    def said(self) -> dict[str, Any]:
        """The settings that are not None, by name."""
        return {one: getattr(self, one) for one in NAMES if getattr(self, one) is not None}

    @overload
    def over(self, other: Decided) -> Decided: ...

    @overload
    def over(self, other: Sampling) -> Sampling: ...

    def over(self, other: Sampling) -> Sampling:
        """These settings, and the other's where these say nothing."""
        return Sampling(**{**other.said(), **self.said()})

    def arguments(self) -> dict[str, Any]:
        """What `generate` is told; dtype is its backbone's."""
        return {name: value for name, value in self.said().items() if name != "dtype"}

    def check(self, where: str) -> None:
        """Refuses what no backbone could do.

        Raises:
            UserError: a number out of its range, or an unknown name; `where` begins the message.
        """
        if self.steps is not None and not 1 <= self.steps <= MAX_STEPS:
            raise UserError(f"{where}: steps must be from 1 to {MAX_STEPS}, got {short(self.steps)}")
        guidance = self.guidance_scale
        if guidance is not None and not 0 <= guidance <= sys.float_info.max:
            raise UserError(f"{where}: guidance_scale must be a number from 0, got {short(guidance)}")
        for what, value, known in (("scheduler", self.scheduler, SCHEDULERS), ("dtype", self.dtype, DTYPES)):
            if value is not None and value not in known:
                raise UserError(f"{where}: unknown {what} {value!r}; one of {', '.join(known)}")
        if self.size is not None:
            sides = tuple(self.size) if isinstance(self.size, list | tuple) else ()
            if [type(side) for side in sides] != [int, int] or not all(1 <= side <= MAX_SIDE for side in sides):
                raise UserError(
                    f"{where}: size must be height and width in pixels, each from 1 to {MAX_SIDE}, got "
                    f"{short(self.size)}"
                )


if TYPE_CHECKING:

    @dataclass(frozen=True)
    class Decided(Sampling):
        """A sampling in which everything is said, as far as a type checker must know: where the program runs it is a
        `Sampling` like any other. A size of None is the denoiser's own."""

        steps: int
        guidance_scale: float
        scheduler: Any
        negative_prompt: str
        prompt_suffix: str
        dtype: str
        size: tuple[int, int] | None = None

else:
    Decided = Sampling

NAMES = tuple(one.name for one in fields(Sampling))
#: Where neither the user nor a backbone says anything.
PLAIN = Sampling(negative_prompt="", prompt_suffix="", dtype="float32")
