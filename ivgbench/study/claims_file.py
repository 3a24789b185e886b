"""The file that claims are written down in, before the run: read, and checked field by field."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError
from ivgbench.runs.spec import check_fields
from ivgbench.study.claims import METRICS, Claim, ClaimsSpec
from ivgbench.texts import read_toml


def load_claims(path: Path) -> ClaimsSpec:
    """Reads a claims file (TOML): fields of `ClaimsSpec`, and a [[claims]] table with the fields of `Claim` for each.

    Raises:
        UserError: an unreadable file; an unknown, missing or mistyped field; no claim, or one that nothing can decide.
    """
    data = read_toml(path, "the claims")
    listed = data.get("claims", [])
    if not isinstance(listed, list):
        raise UserError(f"{path}: claims must be tables, each under a line [[claims]], got {listed!r}")
    claims = tuple(_made(Claim, one, f"{path}, {_name(one, number)}") for number, one in enumerate(listed, 1))
    spec = _made(ClaimsSpec, {**data, "claims": claims}, str(path))
    if not claims:
        raise UserError(f"{path}: there is no claim in it; write each under a line [[claims]]")
    ids = [claim.id for claim in claims]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise UserError(f"{path}: two claims have the id {twice[0]!r}")
    # Named relative to the file that names it.
    return ClaimsSpec(**{**vars(spec), "run": Path(path).parent / spec.run})


def _name(claim: Any, number: int) -> str:
    """How a claim is called in a message: by its place, and its id if it has one."""
    id = claim.get("id") if isinstance(claim, Mapping) else None
    return f"claim {number} ({id})" if isinstance(id, str) and id else f"claim {number}"


def _made(cls: Any, data: Any, where: str) -> Any:
    """A dataclass from a TOML table; lists become tuples."""
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: must be a table of fields, got {data!r}")
    known = {one.name: one for one in fields(cls)}
    check_fields(data, list(known), where)
    for name, one in known.items():
        if name not in data and one.default is MISSING:
            raise UserError(f"{where}: {name} is missing; it must be {_RULES[name][0]}")
        if name in data and not _RULES[name][1](data[name]):
            raise UserError(f"{where}: {name} must be {_RULES[name][0]}, got {data[name]!r}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_list(value: Any, of: Callable[[Any], bool], empty: bool = False) -> bool:
    return isinstance(value, list) and (empty or bool(value)) and all(map(of, value))


_TEXT = ("a text, not an empty one", _is_text)
#: Field -> what it must be, in words and as a check.
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "run": ("the file name of a run spec", _is_text),
    "claims": ("tables", lambda value: True),
    "cases": ("a whole number from 1", lambda value: _is_number(value) and isinstance(value, int) and value >= 1),
    "level": ("a number between 0 and 1", lambda value: _is_number(value) and 0 < value < 1),
    "contradictions": ("a list of texts", lambda value: _is_list(value, _is_text, empty=True)),
    "id": _TEXT,
    "text": _TEXT,
    "paper": ("a text", lambda value: isinstance(value, str)),
    "metric": (f"one of {', '.join(METRICS)}", lambda value: isinstance(value, str) and value in METRICS),
    "row": ("the label of a row", _is_text),
    "than": (
        "a list of rows' labels or numbers, at least one",
        lambda value: _is_list(value, lambda one: _is_text(one) or _is_number(one)),
    ),
    "direction": ('"higher" or "lower"', lambda value: value in ("higher", "lower")),
    "splits": ("a list of texts, at least one", lambda value: _is_list(value, _is_text)),
    "margin": ("a number", _is_number),
    "rests_on": (
        "a list of facts' numbers or ids",
        lambda value: _is_list(value, lambda one: _is_text(one) or type(one) is int, empty=True),
    ),
}
