"""What a method is: a frozen dataclass of options (its config), and a run that hooks into the sampler."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Union

import numpy as np
import torch

from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.generator import around
from ivgbench.generator.backbones.base import OFFERED, Backbone, Offer, Site
from ivgbench.generator.levels import Level, Schedule
from ivgbench.generator.words import Reader
from ivgbench.plugins import PluginFault, broken
from ivgbench.registry import AROUND, METHODS
from ivgbench.texts import short

#: Of an option's number where nothing else limits it.
LARGEST = sys.float_info.max


@dataclass(frozen=True, eq=False)
class Clip:
    """What a method knows of one clip of the batch.

    prompt, suffix: the case's prompt and what is appended to it before encoding;
    phrases: K subject phrases, or None; masks: bool [K,f,h,w] on the backbone's cells, a latent frame each (CPU);
    boxes: float64 [K,f,4] xyxy in 0..1, an empty box as zeros; stream: label -> the clip's own random generator.
    """

    prompt: str
    suffix: str
    phrases: tuple[str | None, ...]
    masks: torch.Tensor
    boxes: np.ndarray
    stream: Callable[[str], torch.Generator]


@dataclass(eq=False)
class Setup:
    """A run's surroundings.

    shape: (f,h,w) of the latents. levels: the noise level of each step, or None where the scheduler keeps its latents
    on another scale. steps and levels are those of the round that is being made (`Run.rounds`).
    schedule: of a round of all steps; it was given to `Method.check_schedule`.
    solo: (clip, config, stream label) -> trajectory [steps,C,f,h,w] of one more clip, made alone; None in
    such a run itself.
    """

    backbone: Backbone
    clips: list[Clip]
    shape: tuple[int, int, int]
    steps: int
    guidance: float
    levels: list[Level] | None
    solo: Callable[[Clip, Method, str], torch.Tensor] | None
    schedule: Schedule | None = None


class Network:
    """The network as a method sees it inside a step: latents [N,C,f,h,w] -> guided output, counted.

    level: what the output means, see `levels.Level`.
    evaluations: guided ones so far; backward: passes that the method went back through the network, counted by it.
    """

    def __init__(
        self,
        evaluate: Callable[[torch.Tensor], torch.Tensor],
        level: Level | None,
        conditional: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ):
        self._evaluate, self._conditional, self._level = evaluate, conditional, level
        self.evaluations: float = 0
        self.backward = 0

    @property
    def level(self) -> Level:
        """What the output means. ValueError where the scheduler keeps its latents on another scale: a method that asks
        has refused such a scheduler in `check_schedule`."""
        if self._level is None:
            raise ValueError("the scheduler keeps its latents on a scale of its own")
        return self._level

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        self.evaluations += 1
        return self._evaluate(latents)

    def conditional(self, latents: torch.Tensor) -> torch.Tensor:
        """The output of the conditional half alone: half of a guided evaluation, and counted as that."""
        if self._conditional is None:
            raise ValueError("this network is evaluated in pairs only")
        self.evaluations += 0.5
        return self._conditional(latents)


def counted(evaluations: float) -> int | float:
    """A number of guided evaluations as it is recorded: an int unless there is a half in it."""
    return int(evaluations) if evaluations == int(evaluations) else evaluations


class Run:
    """One run of a method over a batch; subclasses override the hooks they need. The defaults do nothing."""

    def edits(self, step: int) -> Mapping[Site, Any]:
        """How layers attend in this step, as `ivgbench.generator.edits` has it; those not named are the model's own."""
        return {}

    def text(self, step: int) -> torch.Tensor | None:
        """The prompts' states [N,L,C] in this step, of any length L; None: those of what `Method.text` says."""
        return None

    def positions(self, step: int) -> torch.Tensor | None:
        """Where each token is in this step, for a network that is told: int64 [N,f,h,w,3], (frame, row, column); None:
        where it lies."""
        return None

    def initial(self, latents: torch.Tensor) -> torch.Tensor:
        """Standard-normal latents [N,C,f,h,w] to start from, before the scheduler scales them."""
        return latents

    def rounds(self) -> list[int]:
        """Sampler steps of each round; none: one round of all steps. Every round has a scheduler of its own, and its
        first step is step 0 again; the last round's latents are the clip's."""
        return []

    def restart(self, round: int, initial: torch.Tensor, final: torch.Tensor) -> torch.Tensor:
        """Latents [N,C,f,h,w] that a round after the first (0) starts from, on the scheduler's scale.

        Args:
            initial: what round 0 started from, before it was scaled. final: what the round before ended with.
        """
        return final

    def before_step(self, step: int, latents: torch.Tensor, network: Network) -> torch.Tensor:
        """Latents [N,C,f,h,w] to take the scheduler's step from; the step's edits are on."""
        return latents

    def after_step(self, step: int, latents: torch.Tensor) -> torch.Tensor:
        """Latents [N,C,f,h,w] to go on with after the scheduler's step."""
        return latents

    def extra_evaluations(self) -> int:
        """Network evaluations per clip made outside the sampler's own loop."""
        return 0


@dataclass(frozen=True)
class Method:
    """Base of the configs. Fields are the method's options; every one has a default and is part of a job's identity.

    name: canonical name; version: raised whenever the method's output changes for the same options;
    batches: whether clips may share a network evaluation. Larger batches round differently; a method that ranks values
    turns that into visible differences, so its clips are made one after another.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    batches: ClassVar[bool] = True

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        """Refuses a subject whose words the method needs and the text encoder never reads. Here none are needed.

        Called before any work, also where only the tokenizer is at hand. A phrase that is None or not in the prompt
        is no mistake (see `rules`).

        Args:
            reader: the backbone's. prompt, suffix, phrases: as in `Clip`.
        Raises:
            UserError: with the phrase, and what to do.
        """

    def check_schedule(self, schedule: Schedule, subjects: int) -> None:
        """Refuses a scheduler that the method cannot work with. Here there is none.

        Called before any work, also where only the scheduler's file is at hand.

        Args:
            subjects: most of a clip.
        Raises:
            UserError: with what to use.
        """

    def versions(self) -> tuple[int, ...]:
        """The version, and after it that of a method that this one is made around."""
        return (self.version,)

    def needs(self) -> frozenset[Offer]:
        """What the network must have, of what not all have (`backbones.base.OFFERED`)."""
        return frozenset()

    def text(self, clip: Clip) -> str:
        """What is encoded as a clip's prompt; where text states are given, those are taken and this is not asked."""
        return clip.prompt + clip.suffix

    def start(self, setup: Setup) -> Run:
        """A run over the setup's clips. Raises UserError where the clips or the backbone do not allow the method."""
        raise NotImplementedError


def check_fits(config: Method, offers: Collection[Offer], backbone: str) -> None:
    """Refuses a method on a network that lacks what it needs.

    Args:
        offers: see `Backbone`. backbone: its name.
    """
    for need in sorted(config.needs() - set(offers)):
        raise UserError(
            f"{config.name} needs {OFFERED[need]}; backbone {backbone!r} has none: leave the method out, or use "
            f"another backbone"
        )


def standard_normal(streams: Sequence[torch.Generator], shape: tuple[int, ...]) -> torch.Tensor:
    """One draw of `shape` per stream, joined on dim 0: float32 on the CPU, whatever the run's device and dtype."""
    return torch.cat([torch.randn(shape, generator=stream, dtype=torch.float32) for stream in streams])


def option(default: Any, low: float | None = None, high: float | None = None) -> Any:
    """A config field with a default and an allowed range (both ends included; for pairs, of each number)."""
    return field(default=default, metadata={"low": low, "high": high})


def resolve(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """A method's config from its name (or alias) and options.

    Raises:
        UserError: unknown method or option ("did you mean"), or a value of the wrong type or out of range.
        PluginFault: what a package offers as a method is none.
    """
    canonical = METHODS.canonical(name)
    cls = METHODS.get(canonical)
    if canonical in METHODS.plugins():
        _check_plugin(canonical, cls)
    hints = typing.get_type_hints(cls)
    fields = {one.name: one for one in dataclasses.fields(cls)}
    values = {}
    if not isinstance(options, Mapping | None):
        raise UserError(f"method {canonical!r}: options must be a mapping of names to values, got {short(options)}")
    options = options or {}
    for key, value in (around.gathered(around.flat(options)) if canonical in AROUND else options).items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=2, cutoff=0.5)
            known = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(fields) or 'none'}"
            raise UserError(f"method {canonical!r} has no option {key!r}; {known}")
        values[key] = _checked(f"method {canonical!r}, option {key!r}", value, hints[key], fields[key].metadata)
    return cls(**values)


def options_of(config: Method) -> dict[str, Any]:
    """A config's options as plain data by name, as `resolve` takes them and a run keeps them."""
    return around.flat(dataclasses.asdict(config)) if config.name in AROUND else dataclasses.asdict(config)


def changed_of(config: Method) -> dict[str, Any]:
    """Those of `options_of` that are not at their default; of a method inside: at that method's."""
    defaults = options_of(type(config)())
    if config.name in AROUND:
        inner = options_of(resolve(getattr(config, around.BASE)))
        defaults |= {f"{around.PREFIX}{name}": value for name, value in inner.items()}
    return {name: value for name, value in options_of(config).items() if value != defaults[name]}


def _check_plugin(name: str, cls: Any) -> None:
    """A stranger's class keeps the contract that the built-in methods keep, as far as can be seen without a run."""
    what = METHODS.called(name)
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise PluginFault(f"{what} is no method: it must be a class that derives from {Method.__module__}.Method")
    own = [one for one, hint in inspect.get_annotations(cls).items() if "ClassVar" not in str(hint)]
    if own and "__dataclass_fields__" not in vars(cls):
        raise PluginFault(f"{what} has options, such as {own[0]!r}: write @dataclass(frozen=True) above the class")
    if type(getattr(cls, "name", None)) is not str or type(getattr(cls, "version", None)) is not int:
        raise PluginFault(f"{what} needs a name and a version, a whole number, as class variables")
    try:
        typing.get_type_hints(cls)
        canonical_json(dataclasses.asdict(cls()))
    except Exception as fault:  # a stranger's class can raise anything
        raise broken(what, "must have options of plain data, each with a default", fault) from fault


def _checked(where: str, value: Any, hint: Any, limits: Mapping[str, Any]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise UserError(f"{where}: expected a mapping of names to values, got {short(value)}")
        return dict(value)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner, *more = (one for one in arguments if one is not type(None))
        if more:  # a list, or something else: what was given says which is meant
            listed = isinstance(value, (list, tuple))
            inner = next(one for one in (inner, *more) if (typing.get_origin(one) is tuple) == listed)
        return _checked(where, value, inner, limits)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise UserError(f"{where}: {short(value)} is not allowed; use one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        variadic = arguments[-1] is Ellipsis
        if not isinstance(value, (list, tuple)) or not (variadic or len(value) == len(arguments)):
            raise UserError(
                f"{where}: expected a list{'' if variadic else f' of {len(arguments)}'}, got {short(value)}"
            )
        each = [arguments[0]] * len(value) if variadic else arguments
        return tuple(_checked(where, one, own, limits) for one, own in zip(value, each, strict=True))
    # numpy and torch scalars are refused on purpose: a config must be plain data to be hashed.
    allowed = (int, float) if hint is float else (hint,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint is not bool):
        raise UserError(f"{where}: expected {hint.__name__}, got {short(value)}")
    low, high = limits.get("low"), limits.get("high")
    low, high = (-LARGEST if low is None else low), (LARGEST if high is None else high)
    # Before it is converted: a whole number may be larger than any float. Written so that NaN is caught too.
    if hint in (int, float) and not low <= value <= high:
        spelled = f">= {low:g}" if high == LARGEST else f"between {low:g} and {high:g}"
        raise UserError(f"{where}: {short(value)} is out of range; use a value {spelled}")
    return hint(value)
