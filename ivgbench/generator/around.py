"""Methods that are made around another one, and how that one's options are spelled among theirs. Loads no torch.

Option `base` names the other method, "base.NAME" is its option NAME: what a user writes, and what a run keeps. A config
holds the latter together in its field `base_options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ivgbench.registry import AROUND, METHODS

BASE, OPTIONS, PREFIX = "base", "base_options", "base."


def flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with those of the base by name: {"base_options": {"a": 1}} -> {"base.a": 1}."""
    inner = options.get(OPTIONS)
    if not isinstance(inner, Mapping):
        return {name: value for name, value in options.items() if name != OPTIONS or value is not None}
    found = {name: value for name, value in options.items() if name != OPTIONS}
    for name, value in inner.items():
        found.setdefault(f"{PREFIX}{name}", value)
    return found


def gathered(options: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round: {"base.a": 1} -> {"base_options": {"a": 1}}."""
    inner = {name.removeprefix(PREFIX): value for name, value in options.items() if str(name).startswith(PREFIX)}
    own = {name: value for name, value in options.items() if not str(name).startswith(PREFIX)}
    return own | ({OPTIONS: inner} if inner else {})


def row_name(method: str, options: Mapping[str, Any]) -> str:
    """What a row of a method is called: its canonical name, and after a "+" that of the method it is made around.

    Names that are none are left as they are: what resolves them refuses them.
    """
    names, base = METHODS.aliases(), options.get(BASE)
    name = names.get(method, method)
    if name not in AROUND or not isinstance(base, str) or base == "plain":
        return name
    return f"{name}+{names.get(base, base)}"
