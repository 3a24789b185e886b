"""What the shell offers after an option: names, and nothing that takes seconds to look up.

A name that cannot be looked up is not offered: the command itself says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import typer

from ivgbench import shipped
from ivgbench.errors import UserError
from ivgbench.registry import DETECTORS, METHODS


def _offered(names: Callable[[], Iterable[str]], begun: str) -> list[str]:
    with suppress(UserError, OSError):
        return [name for name in names() if name.startswith(begun)]
    return []


def methods(incomplete: str) -> list[str]:
    return _offered(lambda: [*METHODS.names(), *METHODS.aliases()], incomplete)


def detectors(incomplete: str) -> list[str]:
    return _offered(DETECTORS.names, incomplete)


def backbones(incomplete: str) -> list[str]:
    from ivgbench.generator.backbones.presets import PRESETS

    return _offered(lambda: PRESETS, incomplete)


def suite_names(incomplete: str) -> list[str]:
    from ivgbench import suites

    return _offered(lambda: ["static", "dynamic", *suites.names()], incomplete)


def specs(incomplete: str) -> list[str]:
    return _offered(shipped.specs, incomplete)


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Of the folder that --runs names before it."""
    from ivgbench.store.runs import Store

    folder = ctx.params.get("runs") or Path("results/runs")
    return _offered(lambda: Store(folder).runs(), incomplete)
