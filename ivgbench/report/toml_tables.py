"""Dataclasses from the tables of a TOML file, checked: what was written by hand is refused with file and place."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """A TOML file. UserError when it cannot be read."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise UserError(f"{path}: cannot read {what}: {fault}") from None


def from_table(cls: Any, data: Any, where: str) -> Any:
    """A dataclass from a TOML table; lists become tuples."""
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: expected a table, got {data!r}")
    known = {one.name: one for one in fields(cls)}
    for key in data:
        if key not in known:
            raise UserError(f"{where}: unknown field {key!r}; known: {', '.join(known)}")
    for name, one in known.items():
        if name not in data and one.default is MISSING:
            raise UserError(f"{where}: {name} is missing")
        if name in data and str(one.type).startswith("tuple") and not isinstance(data[name], list | tuple):
            raise UserError(f"{where}: {name} must be a list, got {data[name]!r}")
    return cls(**{key: tuple(value) if isinstance(value, list | tuple) else value for key, value in data.items()})
