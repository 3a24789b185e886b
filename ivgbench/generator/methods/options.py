"""A method's config from a name and options, each checked by its field's type and range; and options back from it."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union

from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.generator import around
from ivgbench.generator.methods.base import Method
from ivgbench.plugins import PluginFault, broken
from ivgbench.registry import AROUND, METHODS
from ivgbench.texts import short

#: Of an option's number where nothing else limits it.
LARGEST = sys.float_info.max


def resolve(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """A method's config from its name (or alias) and options.

    Raises:
        UserError: unknown method or option ("did you mean"), or a value of the wrong type or out of range.
        PluginFault: what a package offers as a method is none.
    """
    canonical = METHODS.canonical(name)
    cls = METHODS.get(canonical)
    if canonical in METHODS.plugins():
        _check_plugin(canonical, cls)
    hints = typing.get_type_hints(cls)
    fields = {one.name: one for one in dataclasses.fields(cls)}
    values = {}
    if not isinstance(options, Mapping | None):
        raise UserError(f"method {canonical!r}: options must be a mapping of names to values, got {short(options)}")
    options = options or {}
    for key, value in (around.gathered(around.flat(options)) if canonical in AROUND else options).items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=2, cutoff=0.5)
            known = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(fields) or 'none'}"
            raise UserError(f"method {canonical!r} has no option {key!r}; {known}")
        values[key] = _checked(f"method {canonical!r}, option {key!r}", value, hints[key], fields[key].metadata)
    return cls(**values)


def options_of(config: Method) -> dict[str, Any]:
    """A config's options as plain data by name, as `resolve` takes them and a run keeps them."""
    return around.flat(dataclasses.asdict(config)) if config.name in AROUND else dataclasses.asdict(config)


def changed_of(config: Method) -> dict[str, Any]:
    """Those of `options_of` that are not at their default; of a method inside: at that method's."""
    defaults = options_of(type(config)())
    if config.name in AROUND:
        inner = options_of(resolve(getattr(config, around.BASE)))
        defaults |= {f"{around.PREFIX}{name}": value for name, value in inner.items()}
    return {name: value for name, value in options_of(config).items() if value != defaults[name]}


def _check_plugin(name: str, cls: Any) -> None:
    """A stranger's class keeps the contract that the built-in methods keep, as far as can be seen without a run."""
    what = METHODS.called(name)
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise PluginFault(f"{what} is no method: it must be a class that derives from {Method.__module__}.Method")
    own = [one for one, hint in inspect.get_annotations(cls).items() if "ClassVar" not in str(hint)]
    if own and "__dataclass_fields__" not in vars(cls):
        raise PluginFault(f"{what} has options, such as {own[0]!r}: write @dataclass(frozen=True) above the class")
    if type(getattr(cls, "name", None)) is not str or type(getattr(cls, "version", None)) is not int:
        raise PluginFault(f"{what} needs a name and a version, a whole number, as class variables")
    try:
        typing.get_type_hints(cls)
        canonical_json(dataclasses.asdict(cls()))
    except Exception as fault:  # a stranger's class can raise anything
        raise broken(what, "must have options of plain data, each with a default", fault) from fault


def _checked(where: str, value: Any, hint: Any, limits: Mapping[str, Any]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise UserError(f"{where}: expected a mapping of names to values, got {short(value)}")
        return dict(value)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner, *more = (one for one in arguments if one is not type(None))
        if more:  # a list, or something else: what was given says which is meant
            listed = isinstance(value, (list, tuple))
            inner = next(one for one in (inner, *more) if (typing.get_origin(one) is tuple) == listed)
        return _checked(where, value, inner, limits)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise UserError(f"{where}: {short(value)} is not allowed; use one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        variadic = arguments[-1] is Ellipsis
        if not isinstance(value, (list, tuple)) or not (variadic or len(value) == len(arguments)):
            raise UserError(
                f"{where}: expected a list{'' if variadic else f' of {len(arguments)}'}, got {short(value)}"
            )
        each = [arguments[0]] * len(value) if variadic else arguments
        return tuple(_checked(where, one, own, limits) for one, own in zip(value, each, strict=True))
    # numpy and torch scalars are refused on purpose: a config must be plain data to be hashed.
    allowed = (int, float) if hint is float else (hint,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint is not bool):
        raise UserError(f"{where}: expected {hint.__name__}, got {short(value)}")
    low, high = limits.get("low"), limits.get("high")
    low, high = (-LARGEST if low is None else low), (LARGEST if high is None else high)
    # Before it is converted: a whole number may be larger than any float. Written so that NaN is caught too.
    if hint in (int, float) and not low <= value <= high:
        spelled = f">= {low:g}" if high == LARGEST else f"between {low:g} and {high:g}"
        raise UserError(f"{where}: {short(value)} is out of range; use a value {spelled}")
    return hint(value)
