"""What can be chosen in the studio: backbones, the methods that fit each, their options, settings and docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import about, settings
from ivgbench.generator.backbones import base, layout, sources
from ivgbench.generator.backbones.presets import Preset
from ivgbench.generator.sampling import MAX_STEPS, SCHEDULERS
from ivgbench.generator.settings import value_text
from ivgbench.plugins import PluginFault
from ivgbench.registry import AROUND, METHODS
from ivgbench.report.paper import print_name
from ivgbench.world.words import BACKGROUNDS, COLOURS, SHAPES


@dataclass(frozen=True)
class Choice:
    """A backbone that can be chosen. source: as on the command line; name: its preset's; refused: method -> why not."""

    source: str
    name: str
    preset: Preset
    refused: Mapping[str, str]


def choices(backbones: list[str]) -> dict[str, Choice]:
    """The backbones by their sources, in order. UserError for one that is not on this machine, or has no VAE."""
    found = {}
    for source in dict.fromkeys(backbones):
        folder = sources.locate(source)
        layout.require_vae(folder)
        name, preset = sources.preset(source)
        found[source] = Choice(source, name, preset, _refused(source, name, preset))
    return found


def _refused(source: str, name: str, preset: Preset) -> dict[str, str]:
    """Why a backbone cannot do some of the methods, as it would be told."""
    from ivgbench.generator.foresight import Foresight
    from ivgbench.generator.methods.base import check_fits

    offers, foresight = base.family(preset.family).offers, Foresight(source)
    case = Case("any", *_example(source, preset.frames))
    refused = {}
    for method in METHODS.names():
        try:
            config = settings.resolve(name, method)
            check_fits(config, offers, name)
            foresight.check(config, case, preset.sampling)
        except UserError as fault:
            refused[method] = " ".join(str(fault).split())
    return refused


def _example(source: str, frames: int) -> tuple[str, tuple[Subject, ...]]:
    prompt, phrase = example(source)
    return prompt, (Subject(phrase, np.tile([0.25, 0.25, 0.75, 0.75], (frames, 1))),)


def example(source: str) -> tuple[str, str]:
    """A prompt and the subject in it that a backbone can make something of."""
    if sources.is_pocket(source):
        return "a red star on a grey background", "red star"
    return "A red fox crosses a snowy field", "red fox"


def described(choices: Mapping[str, Choice]) -> dict[str, Any]:
    """All of it as plain data, for the page."""
    return {
        "backbones": [_backbone(one) for one in choices.values()],
        "methods": [_method(name) for name in METHODS.names()],
        "schedulers": list(SCHEDULERS),
        "most_steps": MAX_STEPS,
    }


def _backbone(choice: Choice) -> dict[str, Any]:
    preset, (prompt, phrase) = choice.preset, example(choice.source)
    words = ""
    if sources.is_pocket(choice.source):
        words = (
            f"It knows {', '.join(COLOURS)} · {', '.join(SHAPES)} · on a {', '.join(BACKGROUNDS)} background: "
            f'"a blue ring and a white star on a navy background".'
        )
    return {
        "source": choice.source, "name": choice.name, "frames": preset.frames,
        "height": preset.height or 9, "width": preset.width or 16,
        "steps": preset.steps, "guidance": preset.guidance, "scheduler": preset.sampling.scheduler,
        "refused": dict(choice.refused), "example": {"prompt": prompt, "phrase": phrase}, "words": words,
        "settings": {name: _settings(choice.name, name) for name in METHODS.names() if name not in choice.refused},
    }  # fmt: skip


def _settings(backbone: str, method: str) -> list[dict[str, Any]]:
    """A method's named settings, the default first: every option's value as it is written."""
    from ivgbench.generator.methods.options import options_of, resolve

    found = []
    for name, options in settings.known(backbone, method).items():
        values = options_of(resolve(method, options))
        found.append({"name": name, "values": {key: _written(value) for key, value in values.items()}})
    return found


def _method(name: str) -> dict[str, Any]:
    """A method's name in print, what it is, and its options. A plug-in that is broken has none."""
    from ivgbench.generator import described

    told = {"name": name, "print": print_name(name), "around": name in AROUND, "about": "", "options": []}
    try:
        cls = METHODS.get(name)
        if not dataclass_like(cls):
            return told
        known = about.known().get(name)
        told["about"] = described.summary(cls)
        told["source"] = f"{known.title}{f', arXiv {known.arxiv}' if known.arxiv else ''}" if known else ""
        told["options"] = [
            {**one._asdict(), "default": _written(one.default), "choices": [_written(value) for value in one.choices]}
            for one in described.options(cls)
        ]
    except PluginFault:  # told with the methods that are refused
        pass
    return told


def dataclass_like(cls: Any) -> bool:
    """Whether a stranger's class has options that can be listed."""
    return isinstance(cls, type) and hasattr(cls, "__dataclass_fields__")


def _written(value: Any) -> str:
    """A value as it is typed; nothing where there is none."""
    return "" if value is None else value_text(value)
