"""Mask Normalization (Test-Time Domain Adaptation, section 2.2): masked attention with the unmasked distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ivgbench.generator.methods.base import Method, Run, Setup, option
from ivgbench.generator.methods.peekaboo import Bind, MaskedRun, Scope


@dataclass(frozen=True)
class MaskNorm(Method):
    """Peekaboo's masks; in every masked spatial attention the output takes the unmasked output's distribution.

    frozen_steps: as in `Peekaboo`; the paper analyses four.
    scope: as in `Peekaboo`; "paper" is what section 2.1 states.
    bind: as in `Peekaboo`.
    norm_self, norm_cross: normalise self-attention, text attention. The paper does not say which; both by default.

    Matched per frame and channel over the positions, before the output projection, in at least float32; the paper does
    not say. Costs one extra attention per masked layer, no network evaluation.
    """

    name: ClassVar[str] = "mask-norm"
    version: ClassVar[int] = 1
    # Near-equal values swap ranks: 1e-7 of rounding became 1e-2 of the latents within two steps of the test model.
    batches: ClassVar[bool] = False

    frozen_steps: int = option(4, low=0)
    scope: Scope = "paper"
    bind: Bind = "all-words"
    norm_self: bool = True
    norm_cross: bool = True

    def start(self, setup: Setup) -> Run:
        return MaskedRun(setup, self.name, self.frozen_steps, self.scope, self.bind, self.norm_self, self.norm_cross)
