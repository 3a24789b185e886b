"""Detectors and encoders by name, of the package or of a plug-in, with weights in files of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

from ivgbench.errors import UserError
from ivgbench.plugins import PluginFault, broken
from ivgbench.registry import Registry


def load(registry: Registry, name: str, device: str, does: str) -> Any:
    """Loads "NAME", or "NAME:FILE,FILE" for weights in files of the user's. `does`: its method that is called.

    Raises:
        UserError: other files than it is made of. PluginFault: a plug-in's that cannot be made, or is no judge.
    """
    kind, _, files = name.partition(":")
    make, files = registry.get(kind), files.split(",") if files else []
    if kind in registry.plugins():
        return _of_plugin(registry.called(kind), make, files, device, does)
    try:
        signature(make).bind(*files, device=device)
    except TypeError as fault:
        raise UserError(f"the {registry.kind} {name!r}: {fault}; write {kind}:{','.join(_files_of(make))}") from None
    return make(*files, device=device)


def _of_plugin(what: str, make: Any, files: Sequence[str], device: str, does: str) -> Any:
    """What a stranger's maker makes of its files; PluginFault when it cannot, or when that is no judge."""
    try:
        made = make(*files, device=device)
    except UserError:
        raise
    except Exception as fault:  # a stranger's code can raise anything
        raise broken(what, f"cannot be made of {list(files)} and device={device!r}", fault) from fault
    if not isinstance(getattr(made, "id", None), str) or not callable(getattr(made, does, None)):
        raise PluginFault(f"{what} makes a {type(made).__name__}; it must have an `id`, a text, and `{does}`")
    return made


def _files_of(make: Any) -> list[str]:
    """The files that an encoder is made of, in capitals."""
    return [name.upper() for name in signature(make).parameters if name not in ("device", "config")]
