"""Dataclasses from what was written by hand, in TOML or JSON: checked field by field, refused with file and place.

A field's annotation says what it may be; a field made by `ruled` says more. This is the one reader of all such files.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ivgbench.errors import UserError
from ivgbench.texts import short

#: In words: one of a kind, and several.
_NAMES: dict[Any, tuple[str, str]] = {
    str: ("a text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    Path: ("a text", "texts"),
    dict: ("a table", "tables"),
}
RULE = "rule"


def ruled(words: str, holds: Callable[[Any], bool], default: Any = MISSING) -> Any:
    """A field of a dataclass that must be more than its annotation says. words: what, after "must be"."""
    return dataclasses.field(default=default, metadata={RULE: (words, holds)})


def tables(cls: Any, data: Mapping[str, Any], key: str, where: str) -> tuple[Any, ...]:
    """A dataclass from each of the [[KEY]] tables of a file; () where it has none."""
    listed = data.get(key, [])
    if not isinstance(listed, list):
        raise UserError(f"{where}: {key} must be tables, each under a line [[{key}]], got {short(listed)}")
    return tuple(
        table(cls, one, f"{where}, {key.removesuffix('s')} {at}{_called(one)}") for at, one in enumerate(listed, 1)
    )


def _called(data: Any) -> str:
    """The id of a table, if it has one."""
    id = data.get("id") if isinstance(data, Mapping) else None
    return f" ({id})" if isinstance(id, str) and id else ""


def table(cls: Any, data: Any, where: str) -> Any:
    """A dataclass from a table; lists become tuples.

    Raises:
        UserError: no table, an unknown or missing field, or one that is not what it must be.
    """
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: must be a table of fields, got {short(data)}")
    asked = _asked(cls)
    check_fields(data, list(asked), where)
    for name, value in data.items():
        one = asked[name]
        if not (fits(value, one.hint) and one.holds(value)):
            raise UserError(f"{where}: {name} must be {one.words}, got {short(value)}")
    for name, one in asked.items():
        if name not in data and one.required:
            raise UserError(f"{where}: {name} is missing; it must be {one.words}")
    return cls(**{key: tuple(value) if isinstance(value, list | tuple) else value for key, value in data.items()})


class _Asked(NamedTuple):
    """What a field may be. words: in words; holds: what its annotation cannot say."""

    hint: Any
    words: str
    holds: Callable[[Any], bool]
    required: bool


@cache
def _asked(cls: Any) -> dict[str, _Asked]:
    """Of each field of a dataclass: looked up once, for a record has thousands of one."""
    hints, found = typing.get_type_hints(cls), {}
    for one in fields(cls):
        words, holds = one.metadata.get(RULE, (spelled(hints[one.name]), lambda value: True))
        found[one.name] = _Asked(hints[one.name], words, holds, is_required(one))
    return found


def is_required(one: dataclasses.Field) -> bool:
    """Whether a field has no default."""
    return one.default is MISSING and one.default_factory is MISSING


def check_fields(data: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """UserError for a field that is not known, with the one that was probably meant."""
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise UserError(f"{where}: unknown field {key!r}; {hint}")


def check_kinds(data: Mapping[str, Any], hints: Mapping[str, Any], where: str) -> None:
    """UserError for a field that is not of the kind that its annotation says. Of fields without one, nothing."""
    for key, value in data.items():
        if key in hints and not fits(value, hints[key]):
            raise UserError(f"{where}: {key} must be {spelled(hints[key])}, got {short(value)}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says: true is no number, and a number is finite."""
    if hint is Any:
        return True
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    origin = typing.get_origin(hint)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(fits(one, typing.get_args(hint)[0]) for one in value)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, one) for one in typing.get_args(hint))
    if origin is dict:
        return isinstance(value, Mapping)
    if hint is Path:
        return isinstance(value, str | Path)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return isinstance(value, hint)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def spelled(hint: Any, several: bool = False) -> str:
    """An annotation in words. That a field may be left out is not said: in a file it then simply is not there."""
    if typing.get_origin(hint) is tuple:
        return f"a list of {spelled(typing.get_args(hint)[0], several=True)}"
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        kinds = [one for one in typing.get_args(hint) if one is not type(None)]
        return " or ".join(spelled(one, several) for one in kinds)
    hint = typing.get_origin(hint) or hint
    return _NAMES.get(hint, (f"a {hint.__name__.lower()}", f"{hint.__name__.lower()}s"))[several]
