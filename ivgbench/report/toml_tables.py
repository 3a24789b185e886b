"""Dataclasses from the tables of a TOML file, checked: what was written by hand is refused with file and place."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError

_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a text"}


def tables(cls: Any, data: Mapping[str, Any], key: str, where: str) -> tuple[Any, ...]:
    """A dataclass from each of the [[KEY]] tables of a file, which must have one."""
    listed = data.get(key)
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{where}: there is nothing under [[{key}]]; write one such table for each")
    return tuple(from_table(cls, one, f"{where}, {key.removesuffix('s')} {at}") for at, one in enumerate(listed, 1))


def from_table(cls: Any, data: Any, where: str) -> Any:
    """A dataclass from a TOML table; lists become tuples.

    Raises:
        UserError: no table, an unknown or missing field, or one of another kind than its annotation says.
    """
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: expected a table, got {data!r}")
    known = {one.name: one for one in fields(cls)}
    hints = typing.get_type_hints(cls)
    for key, value in data.items():
        if key not in known:
            raise UserError(f"{where}: unknown field {key!r}; known: {', '.join(known)}")
        if not _fits(value, hints[key]):
            raise UserError(f"{where}: {key} must be {_spelled(hints[key])}, got {value!r}")
    for name, one in known.items():
        if name not in data and one.default is MISSING:
            raise UserError(f"{where}: {name} is missing")
    return cls(**{key: tuple(value) if isinstance(value, list | tuple) else value for key, value in data.items()})


def _fits(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) is tuple:
        return isinstance(value, list | tuple) and all(_fits(one, typing.get_args(hint)[0]) for one in value)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is Path:
        return isinstance(value, str | Path)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _spelled(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return f"a list, each {_spelled(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(_spelled(one) for one in typing.get_args(hint))
    return _NAMES.get(hint, hint.__name__)
