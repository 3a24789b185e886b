"""The files that claims and facts are written down in, before the run: read, and checked field by field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError
from ivgbench.reading import table, tables
from ivgbench.study.claims import Claim, ClaimsSpec
from ivgbench.texts import read_toml


def load_claims(path: Path) -> ClaimsSpec:
    """Reads a claims file (TOML): fields of `ClaimsSpec`, and a [[claims]] table with the fields of `Claim` for each.

    Raises:
        UserError: an unreadable file; an unknown, missing or mistyped field; no claim, or one that nothing can decide.
    """
    return load_listed(path, ClaimsSpec, "claims", Claim)


def load_listed(path: Path, whole: type, name: str, each: type) -> Any:
    """Reads a TOML file as the dataclass `whole`, whose field `name` has an `each` of every [[name]] table.

    Each has an `id` of its own, and there is at least one; the `run` is named relative to the file that names it.
    """
    data, one = read_toml(path, f"the {name}"), name.removesuffix("s")
    listed = tables(each, data, name, str(path))
    spec = table(whole, {**data, name: listed}, str(path))
    if not listed:
        raise UserError(f"{path}: there is no {one} in it; write each under a line [[{name}]]")
    ids = [item.id for item in listed]
    if twice := sorted({id for id in ids if ids.count(id) > 1}):
        raise UserError(f"{path}: two {name} have the id {twice[0]!r}")
    return replace(spec, run=Path(path).parent / spec.run)
