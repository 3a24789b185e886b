"""A method's options as one fills them in: kind, range, default, and what the class says of each."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from typing import Any, Literal, NamedTuple, Union

from ivgbench.generator.around import BASE, OPTIONS
from ivgbench.generator.methods.base import Method
from ivgbench.registry import AROUND, METHODS

#: In a docstring, the line that begins what is said of one option or several: "d_s, d_t: cutoff ...".
_BEGINS = re.compile(r"^((?:\w+)(?:, \w+)*): (.*)$")
#: In the middle of such a line, the next one: "... or "box". order: of the Butterworth filter".
_GOES_ON = re.compile(r"(?<=\.) (\w+(?:, \w+)*): ")


class Option(NamedTuple):
    """One option of a method.

    kind: "flag", "whole", "number", "choice" (of `choices`), or "text": anything else, as --option reads it.
    default: the method's own. optional: whether it may be left out. low, high: None for no limit.
    about: what the class says of it, on one line; may be empty.
    """

    name: str
    kind: str
    default: Any
    optional: bool
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    about: str = ""


def summary(cls: type[Method]) -> str:
    """The first paragraph of a method's docstring, on one line; empty where it has none of its own."""
    written = vars(cls).get("__doc__") or ""
    if written.startswith(f"{cls.__name__}("):  # what dataclass writes where nobody did
        return ""
    return " ".join(inspect.cleandoc(written).split("\n\n")[0].split())


def options(cls: type[Method]) -> list[Option]:
    """The options of a method in their declared order. Those of a method inside are that one's."""
    hints, told, plain = typing.get_type_hints(cls), _told(cls), cls()
    found = []
    for field in dataclasses.fields(cls):
        if cls.name in AROUND and field.name == OPTIONS:
            continue
        kind, choices, optional = _kind(hints[field.name])
        if cls.name in AROUND and field.name == BASE:
            kind, choices = "choice", tuple(name for name in METHODS.names() if name not in AROUND)
        low, high = (field.metadata.get(end) for end in ("low", "high"))
        about = told.get(field.name, "")
        found.append(Option(field.name, kind, getattr(plain, field.name), optional, choices, low, high, about))
    return found


def _kind(hint: Any) -> tuple[str, tuple[Any, ...], bool]:
    """(kind, choices, optional) of a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [one for one in arguments if one is not type(None)]
        kind, choices, _ = _kind(inner[0]) if len(inner) == 1 else ("text", (), False)
        return kind, choices, len(inner) < len(arguments)
    if origin is Literal:
        return "choice", arguments, False
    return {bool: "flag", int: "whole", float: "number"}.get(hint, "text"), (), False


def _told(cls: type[Method]) -> dict[str, str]:
    """What the docstrings of a class and of those it derives from say: option -> one line. The nearest class counts."""
    names = {field.name for field in dataclasses.fields(cls)}
    found: dict[str, str] = {}
    for one in cls.__mro__:
        own: dict[str, str] = {}
        current: list[str] = []
        for line in inspect.cleandoc(vars(one).get("__doc__") or "").split("\n"):
            begun = _BEGINS.match(line)
            if begun and set(begun[1].split(", ")) <= names:
                current, line = begun[1].split(", "), begun[2]
            elif not line.startswith(" "):  # another paragraph
                current = []
            for part in _parts(line, names):
                current = part[0] or current
                for name in current:
                    own[name] = f"{own.get(name, '')} {part[1].strip()}".strip()
        for name, text in own.items():
            if not re.match(r"as in `\w+`", text):  # said where it comes from
                found.setdefault(name, text)
    return found


def _parts(line: str, names: set[str]) -> list[tuple[list[str], str]]:
    """A line cut where another option begins in it: (its names or none, text)."""
    parts: list[tuple[list[str], str]] = []
    last: list[str] = []
    at = 0
    for begun in _GOES_ON.finditer(line):
        if set(begun[1].split(", ")) <= names:
            parts.append((last, line[at : begun.start()]))
            last, at = begun[1].split(", "), begun.end()
    return [*parts, (last, line[at:])]
