"""The command that downloads: weights of a backbone or a detector, or the released IMC suite."""

from __future__ import annotations

from typing import Annotated

import typer

from ivgbench.cli.catalogue import spell
from ivgbench.extras import at_work


def fetch(
    what: Annotated[
        str,
        typer.Argument(
            help="A backbone of `list backbones`, another hub id (OWNER/NAME), a detector (owlvit), or imc."
        ),
    ],
) -> None:
    """Download what a run needs, at a fixed commit, and check its hashes. A run fetches none of it."""
    from ivgbench import hub
    from ivgbench import suites as suite_files

    if what == "imc":
        for path in suite_files.import_imc(suite_files.imc.fetch()):
            print(f"{path}: {spell(suite_files.load_suite(path))}")
        return
    if what.partition(":")[0] == "owlvit":
        with at_work("metrics"):
            from ivgbench.judges import owlvit

            print(hub.fetch_repository(what.partition(":")[2] or owlvit.DEFAULT, None, owlvit.to_fetch))
        return
    from ivgbench.generator.backbones import fetching, hashing

    folder = fetching.fetch(what)
    print(f"{folder}: weights {hashing.weights_hash(folder)[:12]}")
