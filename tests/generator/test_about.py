"""What is told of the methods: of every one, and nothing that their own files do not have."""

import re
from pathlib import Path

from ivgbench.cli import catalogue
from ivgbench.generator import about
from ivgbench.registry import METHODS

GOLDEN = Path(__file__).parents[1] / "golden"


def test_every_method_that_comes_along_is_told_of_and_no_other():
    assert list(about.known()) == METHODS.builtin()
    for told in about.known().values():
        assert bool(told.code) == bool(told.compared), "numbers are of a code that was read"
        assert re.fullmatch(r"(\d{4}\.\d{5})?", told.arxiv) and re.fullmatch(r"(\S+/\S+ @ [0-9a-f]{7})?", told.code)


def test_what_is_said_to_be_compared_is():
    compared = {name for name, told in about.known().items() if told.compared}
    assert compared <= {folder.name for folder in GOLDEN.iterdir()}


def test_it_is_printed(capsys):
    catalogue.list_command("methods", about=True)
    out = capsys.readouterr().out
    assert "FreeInit (Wu et al.), ECCV 2024, arXiv 2312.07537" in out and "licence: MIT" in out
    assert "no code is published" in out and max(map(len, out.splitlines())) <= 100
