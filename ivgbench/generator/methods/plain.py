"""The backbone alone: no control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ivgbench.generator.methods.base import Method, Run, Setup


@dataclass(frozen=True)
class Plain(Method):
    """Text to video without boxes: the reference that every method is compared with. No options."""

    name: ClassVar[str] = "plain"
    version: ClassVar[int] = 1

    def start(self, setup: Setup) -> Run:
        return Run()
