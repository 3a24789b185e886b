"""Where each method is from: its paper, its code and licence, what was compared with official numbers, what is ours."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from ivgbench.texts import read_toml

FILE = Path(__file__).parent / "methods" / "about.toml"


class About(NamedTuple):
    """What is told of a method, each as a text. code: repository and commit that were read; licence: of that code.

    compared: with numbers that it computed. ours: what no release has.
    """

    title: str
    ours: str
    arxiv: str = ""
    code: str = ""
    licence: str = ""
    compared: str = ""

    def lines(self) -> list[str]:
        """In print, a line each; what there is nothing to say of is left out."""
        told = [self.title + (f", arXiv {self.arxiv}" if self.arxiv else "")]
        if self.code:
            told.append(f"code read: {self.code}; licence: {self.licence or 'not noted'}")
        told.append(f"compared with official numbers: {self.compared or 'nothing; there are none'}")
        return [*told, f"ours: {self.ours}"]


@cache
def known() -> dict[str, About]:
    """Canonical name of each method that comes with ivgbench -> what is told of it."""
    return {name: About(**told) for name, told in read_toml(FILE, "the methods' sources").items()}
