"""Named settings of the methods on each backbone, from settings.toml. No torch at the top: to list them loads none.

Names are resolved before anything is made: a clip depends on its options, and not on what they were called.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError
from ivgbench.generator import around
from ivgbench.registry import AROUND, METHODS
from ivgbench.texts import read_toml, short

FILE = Path(__file__).with_name("settings.toml")
#: The file's section of what is the same on all backbones.
ANY = "any"
#: Chosen by the search. A backbone's own default, where it has them.
TUNED = "tuned"
#: A backbone's own default without a search: where what a release has cannot serve on it.
ADAPTED = "adapted"
#: A method's own defaults, of every method on every backbone.
DEFAULTS = "defaults"
#: The order in which names are listed, and preferred where several say the same; any others come after these.
ORDER = (TUNED, ADAPTED, "paper", "released", DEFAULTS)


@cache
def _file() -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Backbone -> method -> name -> options."""
    return read_toml(FILE, "the methods' settings")


def backbones() -> list[str]:
    """The backbones that have settings of their own."""
    return [name for name in _file() if name != ANY]


def known(backbone: str, method: str, base: str | None = None) -> dict[str, dict[str, Any]]:
    """A method's settings on a backbone: name -> options on top of the method's defaults, the backbone's default first.

    Args:
        backbone: its preset's name (`sources.preset`); one without settings of its own has those of all backbones.
        base: the method that this one is made around (`around`), whose settings of the same name come along.
    """
    name = METHODS.canonical(method)
    if base is not None and name in AROUND:
        return _both(known(backbone, name), METHODS.canonical(base), known(backbone, base))
    found = {**_file().get(backbone, {}).get(name, {}), **_file()[ANY].get(name, {}), DEFAULTS: {}}
    return _listed(found, default(backbone, name))


def _listed(found: Mapping[str, dict[str, Any]], first: str) -> dict[str, dict[str, Any]]:
    listed = sorted(found, key=lambda one: ORDER.index(one) if one in ORDER else len(ORDER))
    return {one: found[one] for one in [first, *(one for one in listed if one != first)]}


def _both(own: Mapping[str, dict[str, Any]], base: str, inner: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Settings of a method around a base. Under a name that only one of them has, the other is at its default's."""
    first_own, first_inner = next(iter(own)), next(iter(inner))
    found = {
        name: own.get(name, own[first_own])
        | {around.BASE: base}
        | {f"{around.PREFIX}{key}": value for key, value in inner.get(name, inner[first_inner]).items()}
        for name in {**own, **inner}
    }
    return _listed(found, first_inner if first_own == DEFAULTS else first_own)


def default(backbone: str, method: str) -> str:
    """The name of what a method runs with on a backbone when nothing is said: `tuned` where a search found some, else
    `adapted` where the backbone needs it."""
    own = _file().get(backbone, {}).get(METHODS.canonical(method), {})
    return next((name for name in (TUNED, ADAPTED) if name in own), DEFAULTS)


def of(backbone: str, method: str, name: str | None = None, base: str | None = None) -> dict[str, Any]:
    """The options behind a name; None: behind the backbone's default. base: as in `known`.

    A method without any option goes along with every name that another method of the backbone has.

    Raises:
        UserError: the method has no such settings there, with those that it has.
    """
    found = known(backbone, method, base)
    if name is None:
        name = next(iter(found))
    if isinstance(name, str) and name in found:
        return dict(found[name])
    if not dataclasses.fields(METHODS.get(method)):
        found = {one: {} for other in METHODS.names() for one in known(backbone, other)}
        if isinstance(name, str) and name in found:
            return {}
    near = difflib.get_close_matches(str(name), found, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    method = around.row_name(method, {around.BASE: base})
    raise UserError(f"method {method!r} has no settings {short(name)} on {backbone}; it has {', '.join(found)}{hint}")


def resolve(
    backbone: str,
    method: str,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    how: Callable[[str, Any], Any] | None = None,
) -> Any:
    """A method's config from named settings with options on top.

    Args:
        how: method, options -> config; None: `methods.options.resolve`.
    Raises:
        UserError: unknown settings, and as `methods.options.resolve`; where options are wrong only together with what
            the settings bring along, it says so.
    """
    if how is None:
        from ivgbench.generator.methods import options as methods

        how = methods.resolve
    if not isinstance(options, Mapping | None):
        return how(method, options)  # which refuses it
    own, base = dict(options or {}), None
    if METHODS.canonical(method) in AROUND:
        own = around.flat(own)
        base = own.get(around.BASE)
    brought = of(backbone, method, name, base)
    try:
        return how(method, brought | own)
    except UserError as fault:
        how(method, own)  # what is wrong without the settings is told as it is
        name = name or next(iter(known(backbone, method, base)))
        kept = spelled({key: value for key, value in brought.items() if key not in own})
        others = ", ".join(one for one in known(backbone, method, base) if one != name)
        raise UserError(f"{fault} (settings {name!r} have {kept}; others by --settings: {others})") from None


def spelled(options: Mapping[str, Any]) -> str:
    """Options in print: name=value, name=value."""
    return ", ".join(f"{key}={value_text(value)}" for key, value in options.items())


def value_text(value: Any) -> str:
    """A value in print, as it may be given to --option; nothing is "none"."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_text, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
