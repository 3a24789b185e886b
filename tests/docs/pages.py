"""The documentation as it is read: its pages, and the commands in them, with what stands above each block.

A comment above a block says what a test does with it:

    <!-- parsed only: REASON -->       the commands are looked at, not run: they need weights, a network or minutes
    <!-- after: COMMAND -->            what the reader has run before
    <!-- file: NAME -->                the block is the content of a file
    <!-- files: NAME, ... -->          files that the reader has, and the test makes

Blocks in `sh` without one are run, in the order of their page, in one folder.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[a-z ]+): (?P<told>.+?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.S | re.M
)


class Block(NamedTuple):
    """kind: the language. mark, told: of the comment above it ("" without one)."""

    kind: str
    text: str
    mark: str
    told: str

    def commands(self) -> list[list[str]]:
        """The words of each command, without comments; a line that ends in a backslash goes on."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def blocks(page: Path) -> list[Block]:
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(one["kind"], one["text"], one["mark"] or "", one["told"] or "") for one in found]


def in_sentences(page: Path) -> list[list[str]]:
    """The words of every command that stands within a sentence; what is in capitals stands for something else."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    return [shlex.split(one) for one in re.findall(r"`((?:ivgbench|make|python) [^`]+)`", text)]
