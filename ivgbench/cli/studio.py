"""The command that opens the studio."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ivgbench.cli.options import DEFAULT_RUNS, Device, Offload, Runs, folder
from ivgbench.errors import UserError

#: Where the suites go that are drawn.
FOLDER = Path("results/studio")


def studio(
    backbone: Annotated[
        list[str] | None,
        typer.Option("--backbone", help="One to choose from, as elsewhere; repeat for several. (default: pocket)"),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but this machine's own asks for the token that is printed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.", min=0, max=65535)] = 8642,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page where there is a terminal and a browser.")
    ] = True,
    device: Device = "auto",
    offload: Offload = False,
    runs: Runs = DEFAULT_RUNS,
    suites: Annotated[
        Path, typer.Option("--suites", help="The folder of the suites that cases are saved into.", callback=folder)
    ] = FOLDER,
) -> None:
    """Open a page to draw boxes on: methods side by side, scored; a case is kept in a suite, or as a command line."""
    from ivgbench.extras import at_work

    with at_work("studio"):
        import fastapi  # noqa: F401  named at once, before anything is loaded
        import uvicorn  # noqa: F401
    from ivgbench.studio import serving

    if not host:
        raise UserError("--host is empty; leave it out for this machine alone")
    told = None if runs == DEFAULT_RUNS else runs
    opened = serving.open_studio(backbone or ["pocket"], runs, suites, device, offload, told)
    serving.serve(opened, host, port, open_page=browser and sys.stdout.isatty())
