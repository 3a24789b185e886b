"""Mask Normalization (Test-Time Domain Adaptation, section 2.2): masked attention with the unmasked distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ivgbench.generator.methods.base import Run, Setup
from ivgbench.generator.methods.peekaboo import MaskedRun, Masking, Scope


@dataclass(frozen=True)
class MaskNorm(Masking):
    """Peekaboo's masks; in every masked spatial attention the output takes the unmasked output's distribution.

    frozen_steps, without, bind, words: as in `Masking`; the paper analyses four steps.
    scope: as in `Masking`; "paper" is what section 2.1 states.
    norm_self, norm_cross: normalise self-attention, text attention. The paper does not say which; both by default.
        Where cells and text are one sequence, it is norm_self that counts, and the cells' outputs that are normalised.

    Matched per frame and channel over the positions, before the output projection, in at least float32; the paper does
    not say. Costs one extra attention per masked layer, no network evaluation.
    """

    name: ClassVar[str] = "mask-norm"
    version: ClassVar[int] = 1
    # Near-equal values swap ranks: 1e-7 of rounding became 1e-2 of the latents within two steps of the test model.
    batches: ClassVar[bool] = False

    scope: Scope = "paper"
    norm_self: bool = True
    norm_cross: bool = True

    def start(self, setup: Setup) -> Run:
        return MaskedRun(setup, self, self.norm_self, self.norm_cross)
