"""Detectors and encoders by name, of the package or of a plug-in, with weights in files of the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from ivgbench.errors import UserError
from ivgbench.judges import ids, noted
from ivgbench.plugins import PluginFault, broken
from ivgbench.registry import DETECTORS, FRAME_ENCODERS, VIDEO_ENCODERS, Registry


def load(registry: Registry, name: str, device: str, does: str) -> Any:
    """Loads "NAME", or "NAME:FILE,FILE" for weights in files of the user's. `does`: its method that is called.

    Raises:
        UserError: other files than it is made of. PluginFault: a plug-in's that cannot be made, or is no judge.
    """
    kind, _, named = name.partition(":")
    make, files = registry.get(kind), named.split(",") if named else []
    if kind in registry.plugins():
        return _of_plugin(registry.called(kind), make, files, device, does)
    try:
        signature(make).bind(*files, device=device)
    except TypeError as fault:
        raise UserError(f"the {registry.kind} {name!r}: {fault}; write {kind}:{','.join(_files_of(make))}") from None
    return make(*files, device=device)


def id_of(kind: str, name: str, loaded: Callable[[], Any]) -> str:
    """A judge's id: from its files, or a plug-in's class, or as it was noted when it was `loaded` last.

    Raises:
        UserError: what loading it raises, where nothing else tells the id.
    """
    found = ids.of_files(kind, name) or _of_class(kind, name) or noted.recall(kind, name)
    if found is None:
        judge = loaded()
        found = judge.id
        noted.note(kind, name, found, getattr(judge, "files", ()) if _is_ours(judge) else ())
    return found


def _is_ours(judge: Any) -> bool:
    """Whether `files` of a judge are what its id stands on; a stranger's may be anything."""
    return type(judge).__module__.startswith("ivgbench.")


def _of_class(kind: str, name: str) -> str | None:
    """The id of a plug-in that is one text for whatever its class makes of no files."""
    registry = {one.kind: one for one in (DETECTORS, FRAME_ENCODERS, VIDEO_ENCODERS)}.get(kind)
    if registry is None or name not in registry.plugins():
        return None
    told = getattr(registry.get(name), "id", None)
    return told if isinstance(told, str) else None


def _of_plugin(what: str, make: Any, files: Sequence[str], device: str, does: str) -> Any:
    """What a stranger's maker makes of its files; PluginFault when it cannot, or when that is no judge."""
    try:
        made = make(*files, device=device)
    except UserError:
        raise
    except Exception as fault:  # a stranger's code can raise anything
        raise broken(what, f"cannot be made of {list(files)} and device={device!r}", fault) from fault
    told = getattr(make, "id", None)
    if isinstance(told, str) and not files and getattr(made, "id", told) != told:
        raise PluginFault(f"{what} has the id {told!r}, and what it makes {made.id!r}: leave out the class's")
    if not isinstance(getattr(made, "id", None), str) or not callable(getattr(made, does, None)):
        raise PluginFault(f"{what} makes a {type(made).__name__}; it must have an `id`, a text, and `{does}`")
    return made


def _files_of(make: Any) -> list[str]:
    """The files that an encoder is made of, in capitals."""
    return [name.upper() for name in signature(make).parameters if name not in ("device", "config")]
