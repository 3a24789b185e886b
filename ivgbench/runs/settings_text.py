"""What a row's settings are called, told from its resolved options and not from what was typed.

Two ways to say the same therefore read the same, and a method that was changed does not go by its bare name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ivgbench.generator import settings
from ivgbench.generator.around import BASE
from ivgbench.generator.settings import spelled, value_text

if TYPE_CHECKING:
    from ivgbench.runs.lab import Resolved

#: Of a method that has nothing to set, and of rows that no method makes.
NOTHING = "–"
#: Settings with more changes than these have little to do with those that they are on top of.
MOST_CHANGES = 3
CUSTOM = "custom"
RELEASED = "released"


class Told(NamedTuple):
    """Settings in print. name: for a table's cell, e.g. "tuned" or "tuned + scope=paper". about: one line of what they
    are, and how they differ from what was released."""

    name: str = NOTHING
    about: str = ""


def describe(backbone: str, resolved: Resolved, resolve: Callable[[str, dict[str, Any]], Resolved]) -> Told:
    """What a method's resolved options are called on a backbone: the settings that they are nearest to, and what was
    changed on top; "custom" where that is more than `MOST_CHANGES` options.

    Args:
        backbone: its preset's name. resolve: as `Lab.resolve`.
    """
    if not resolved.options:
        return Told()
    base = resolved.options.get(BASE)
    changes = {
        name: _changes(resolve(resolved.method, options).options, resolved.options)
        for name, options in settings.known(backbone, resolved.method, base).items()
    }
    # Among equals the first: the backbone's own before the paper's.
    nearest = min(_in_order(changes), key=lambda name: len(changes[name]))
    name = nearest
    if len(changes[nearest]) > MOST_CHANGES:
        name = CUSTOM
    elif changes[nearest]:
        name = f"{nearest} + {spelled(changes[nearest])}"
    about = spelled(resolved.changed) or "the method's defaults"
    if same := [one for one in _in_order(changes) if one not in (nearest, settings.DEFAULTS) and not changes[one]]:
        about += f", the same as {' and '.join(same)}"
    if theirs := changes.get(RELEASED):
        released = resolve(resolved.method, settings.of(backbone, resolved.method, RELEASED, base)).options
        about += f"; released: {', '.join(f'{key}={value_text(released.get(key))}' for key in theirs)}"
    return Told(name, about)


def _in_order(names: Mapping[str, Any]) -> list[str]:
    first = [one for one in settings.ORDER if one in names]
    return [*first, *(one for one in names if one not in first)]


def _changes(base: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not as in a base."""
    return {key: value for key, value in options.items() if value != base.get(key)}
