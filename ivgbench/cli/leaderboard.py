"""The command that makes a site of records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivgbench.cli.options import OWN, folder

if TYPE_CHECKING:
    from ivgbench.report.leaderboard.site import Known


def leaderboard(
    places: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of records (`ivgbench record` writes one).")
    ],
    out: Annotated[Path, typer.Option(help="The site's folder.", callback=folder)] = OWN / "leaderboard",
) -> None:
    """Build a static site from the records that people send: a board per protocol, ranks without false order.

    It opens from disk. What does not verify is listed with its reason, and not ranked.
    """
    from ivgbench.report.leaderboard import build

    made = build(places, out, _known())
    for one in made.sent:
        if one.reason:
            print(f"ivgbench: not ranked: {one.name}: {one.reason}", file=sys.stderr)
    ranked = sum(not one.reason for one in made.sent)
    print(f"ivgbench: {ranked} of {len(made.sent)} records on {made.boards} boards", file=sys.stderr)
    print(made.page)


def _known() -> dict[str, Known]:
    """What is told of each method that comes with ivgbench."""
    from ivgbench.generator import about, settings
    from ivgbench.report.leaderboard.site import Known

    found = {}
    for name, told in about.known().items():
        links = [(f"arXiv {told.arxiv}", f"https://arxiv.org/abs/{told.arxiv}")] if told.arxiv else []
        if told.code:
            place, _, commit = (part.strip() for part in told.code.partition("@"))
            links.append((f"code: {place}", f"https://github.com/{place}/tree/{commit}"))
        listed = [
            (place, setting, settings.spelled(options) or "the method's defaults")
            for place in (*settings.backbones(), settings.ANY)
            for setting, options in settings.known(place, name).items()
        ]
        found[name] = Known(tuple(told.lines()), tuple(links), tuple(listed))
    return found
