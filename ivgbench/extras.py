"""Packages that a core installation does not have: which extra brings each, in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec

from ivgbench.errors import UserError

#: Modules that are not called like the package that brings them.
PACKAGES = {"cv2": "opencv-python", "open_clip": "open_clip_torch", "PIL": "pillow", "yaml": "pyyaml"}


class MissingPackage(UserError, ImportError):
    """A package that is not installed. The message names the extra that brings it."""


#: The extra that whatever is at work is of: named where it brings a package that others bring as well.
_at_work: ContextVar[str] = ContextVar("extra at work", default="")


@contextmanager
def at_work(extra: str) -> Iterator[None]:
    """While open, what is missing is what this extra is to bring."""
    before = _at_work.set(extra)
    try:
        yield
    except ImportError as fault:  # where it is told, this is closed again
        raise missing(fault) or fault from None
    finally:
        _at_work.reset(before)


def extra_of(module: str) -> str:
    """The extra of pyproject.toml that brings a module: that of what is `at_work`, or the first; "all" where that is
    not known."""
    from importlib import metadata

    wanted, found = _plain(PACKAGES.get(module, module)), []
    try:
        needs = metadata.requires("ivgbench") or []
    except metadata.PackageNotFoundError:  # a checkout that was never installed
        needs = []
    for need in needs:
        name, extra = re.match(r"[\w.-]+", need), re.search(r"extra == ['\"]([\w-]+)['\"]", need)
        if name and extra and _plain(name[0]) == wanted:
            found.append(extra[1])
    return _at_work.get() if _at_work.get() in found else next(iter(found), "all")


def is_there(module: str) -> bool:
    """Whether a module is installed; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # as good as not there
        return False


def _plain(name: str) -> str:
    """One spelling per package, as package indices compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def missing(fault: ImportError) -> MissingPackage | None:
    """The error to tell instead of an import that failed; None where it is no package that is missing."""
    if isinstance(fault, MissingPackage):
        return fault
    named = re.search(r"No module named '?([\w.]+)", str(fault))
    module = (fault.name or (named[1] if named else "")).partition(".")[0]
    if module in ("", "ivgbench") or not (named or isinstance(fault, ModuleNotFoundError)):
        return None
    everything = "" if (extra := extra_of(module)) == "all" else ' ("ivgbench[all]" brings everything)'
    told = MissingPackage(f'this needs {module}, which is not installed: pip install "ivgbench[{extra}]"{everything}')
    told.name = module
    return told


@contextmanager
def told() -> Iterator[None]:
    """While open, the import of a package that is not installed fails with the extra that brings it."""
    try:
        yield
    except ImportError as fault:
        if (better := missing(fault)) is None:
            raise
        raise better from None
