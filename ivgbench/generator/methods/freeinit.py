"""FreeInit (Wu et al., ECCV 2024, arXiv 2312.07537): the sampler again and again, each time from a better start.

A round's clip is noised back to the end of the schedule with the noise that the first round began with. Its slow,
coarse part stays, and the rest is drawn anew. No attention is edited and nothing is placed: alone it is a reference
without control, and it can be put around any other method.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch

from ivgbench.errors import UserError
from ivgbench.generator.backbones.sites import Offer
from ivgbench.generator.edits.frequency import Filter, Rule, low_pass, mix
from ivgbench.generator.levels import Schedule
from ivgbench.generator.methods.base import Clip, Method, Run, Setup, option, standard_normal
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.words import Reader
from ivgbench.texts import short

#: Of the Butterworth filter, the only one that has any.
ORDER = 4.0


@dataclass(frozen=True)
class Filtering(Method):
    """What the methods share that mix noise by frequency.

    filter: "butterworth", "gaussian", "ideal" or "box". order: of the Butterworth filter, above 0.
    d_s, d_t: cutoff over rows and columns, and over frames, of the highest frequency 1; 0 keeps nothing.
    filter_rule: "official", the release's oddities, or "intent"; see `edits.frequency.low_pass`. They tell apart the
        filters "ideal" and "box", and clips of which a size is odd.
    """

    filter: Filter = "butterworth"
    order: float = option(ORDER, low=0)
    d_s: float = option(0.25, low=0, high=1)
    d_t: float = option(0.25, low=0, high=1)
    filter_rule: Rule = "official"

    def __post_init__(self) -> None:
        if self.order == 0:
            raise UserError(f"{self.name}: order 0 is out of range; use a value above 0")
        if self.filter != "butterworth" and self.order != ORDER:
            raise UserError(f"{self.name}: the filter {self.filter!r} has no order; leave it out, or use 'butterworth'")

    def kept(self, shape: tuple[int, int, int]) -> torch.Tensor:
        """The filter for latents of shape (f,h,w)."""
        return low_pass(shape, self.filter, self.order, self.d_s, self.d_t, self.filter_rule)


@dataclass(frozen=True)
class FreeInit(Filtering):
    """Rounds of the sampler around a method. Defaults are the release's.

    rounds: K, how often the clip is sampled (its num_iters); 1 is the method inside, bit for bit. Each round costs what
        the method inside does.
    fast: the release's coarse-to-fine sampling: of K rounds the k-th from 0 has trunc(N / K (k + 1)) of the N steps.
    base: the method inside; "plain" for none. Its options are "base.NAME", on top of its settings on the backbone. Its
        masks and edits act in the first steps of every round; its random streams go on from round to round.
    base_options: those options together, all of them resolved.
    """

    name: ClassVar[str] = "freeinit"
    version: ClassVar[int] = 1

    rounds: int = option(5, low=1)
    fast: bool = False
    base: str = "plain"
    base_options: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            inner = resolve(self.base, self.base_options)
        except UserError as fault:
            raise type(fault)(f"{self.name} around {short(self.base)}: {fault}") from fault
        if isinstance(inner, FreeInit):
            raise UserError(f"{self.name}: base cannot be {self.name} itself; give more rounds")
        # One method has one config, whatever was left out and however it was called.
        object.__setattr__(self, "base", inner.name)
        object.__setattr__(self, "base_options", dataclasses.asdict(inner) or None)

    @cached_property
    def inner(self) -> Method:
        """The config of the method inside."""
        return resolve(self.base, self.base_options)

    # A class says this of itself; here the method inside does.
    @property
    def batches(self) -> bool:  # type: ignore[override]
        return self.inner.batches

    def versions(self) -> tuple[int, ...]:
        return (self.version, *self.inner.versions())

    def needs(self) -> frozenset[Offer]:
        return self.inner.needs() | ({"signal"} if self.rounds > 1 else set())

    def text(self, clip: Clip) -> str:
        return self.inner.text(clip)

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        self.inner.check_words(reader, prompt, suffix, phrases)

    def check_schedule(self, schedule: Schedule, subjects: int) -> None:
        self.inner.check_schedule(schedule, subjects)
        if self.rounds > 1 and schedule.last is None:
            raise UserError(
                f"{self.name} noises a clip back to the end of the schedule, and the scheduler's ends in noise alone, "
                f"or its latents are on another scale: use 'ddim' or 'dpm', on a backbone whose schedule keeps a "
                f"signal (no flow matching, no zero terminal SNR)"
            )
        if self.rounds > 1 and self.fast and schedule.asked < self.rounds:
            raise UserError(
                f"{self.name}: with fast, {schedule.asked} steps are too few for {self.rounds} rounds: the first would "
                f"have none; give at least as many steps as rounds"
            )

    def start(self, setup: Setup) -> Run:
        if self.rounds > 1 and self.fast:
            setup.solo = self._no_solo
        again = Again(setup, self)
        run = self.inner.start(setup)
        # The run of the method inside, all its hooks as they are, whose sampler starts again.
        vars(run).update(rounds=again.rounds, restart=again.restart)
        return run

    def _no_solo(self, *_: Any) -> torch.Tensor:
        raise UserError(
            f"{self.name} around {self.base!r}: with fast a round has fewer steps than the subjects that are made "
            f"alone first; leave fast out for a case of several subjects"
        )


class Again:
    """The rounds of FreeInit, and where each of them starts."""

    def __init__(self, setup: Setup, config: FreeInit):
        if setup.schedule is None:
            raise ValueError("rounds need a schedule")
        self._config, self._steps, self._last = config, setup.schedule.asked, setup.schedule.last
        self._kept = config.kept(setup.shape)
        self._streams = [clip.stream("freeinit") for clip in setup.clips]

    def rounds(self) -> list[int]:
        count = self._config.rounds
        if not self._config.fast:
            return [self._steps] * count
        return [int(self._steps / count * (number + 1)) for number in range(count)]

    def restart(self, round: int, initial: torch.Tensor, final: torch.Tensor) -> torch.Tensor:
        if self._last is None:
            raise ValueError("a schedule that ends in noise alone noises nothing back")
        noised = self._last.a * final + self._last.b * initial
        fresh = standard_normal(self._streams, (1, *final.shape[1:])).to(final.device)
        # As released: noised in the latents' own precision, mixed in float32, and not brought to unit variance.
        return mix(noised.to(final.dtype).float(), fresh, self._kept).to(final.dtype)
