"""What installed packages add by entry points. A plug-in that is broken costs its own name and nothing else.

A package offers a method in its pyproject.toml with

    [project.entry-points."ivgbench.methods"]
    my-method = "my_package.my_module:MyMethod"

and detectors, frame encoders, video encoders and metrics in the groups `ivgbench.detectors`, `ivgbench.frame_encoders`,
`ivgbench.video_encoders` and `ivgbench.metrics` (`ivgbench.metrics.own`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from ivgbench.errors import UserError
from ivgbench.extras import MissingPackage

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class PluginFault(UserError):
    """A plug-in that cannot be used. The message names it and its package."""


class Found(NamedTuple):
    """Plug-ins of one kind. usable: by name. left_out: name -> the line that says why."""

    usable: dict[str, EntryPoint]
    left_out: dict[str, str]


def find(kind: str, taken: Collection[str]) -> Found:
    """The plug-ins of one kind; none is imported.

    Args:
        kind: singular, such as "frame encoder". taken: names that no plug-in can have.
    """
    # Not for the command line's help: numpy and the e-mail package come with them.
    from importlib.metadata import entry_points

    from ivgbench.cases import ID_PATTERN

    offered: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"ivgbench.{kind.replace(' ', '_')}s"):
        offered.setdefault(point.name, []).append(point)
    found = Found({}, {})
    for name, points in sorted(offered.items()):
        if name in taken:
            why = "that name is taken"
        elif not ID_PATTERN.fullmatch(name):
            why = "a name has letters, digits, '.', '_' and '-' only"
        elif len({point.value for point in points}) > 1:
            why = "each name can be offered once"  # which one came first would depend on how they were installed
        else:
            found.usable[name] = points[0]
            continue
        found.left_out[name] = f"left out: {' and '.join(sorted(called(kind, point) for point in points))}: {why}"
    return found


def called(kind: str, point: EntryPoint) -> str:
    """A plug-in in an error message: its kind, name, package and place."""
    package = "" if point.dist is None else f" of the package {point.dist.name} {point.dist.version}"
    return f"the {kind} {point.name!r}{package} ({point.value})"


def load(kind: str, point: EntryPoint) -> Any:
    """The object behind an entry point. PluginFault when it cannot be imported, whatever the reason."""
    try:
        return point.load()
    except MissingPackage:  # one of ours: an extra brings it
        raise
    except (Exception, SystemExit) as fault:  # a stranger's module can raise anything
        raise broken(called(kind, point), "cannot be imported", fault) from fault


def broken(what: str, why: str, fault: BaseException) -> PluginFault:
    """The one line for a plug-in that failed."""
    return PluginFault(f"{what} {why}: {type(fault).__name__}: {' '.join(str(fault).split())}")
