"""What the text encoder of CogVideoX and of LTX-Video reads of a prompt: T5's own pieces, from a spiece.model.

Their pipelines do not clean a prompt, and cut it at a length of their own, whatever the tokenizer's files say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ivgbench.errors import UserError, named_line
from ivgbench.extras import told
from ivgbench.generator.backbones.t5 import T5Reader
from ivgbench.generator.words import Reader


def reader(folder: Path, length: int) -> Reader:
    """The reader of a backbone's folder, by a tokenizer.json or a spiece.model.

    Raises:
        UserError: the file is no tokenizer of T5; or sentencepiece, which a spiece.model needs, is not installed.
    """
    return (Uncleaned if (folder / "tokenizer" / "tokenizer.json").is_file() else Pieces)(folder, length)


class Uncleaned(T5Reader):
    """A tokenizer.json; the text as it is."""

    def __init__(self, folder: Path, length: int):
        super().__init__(folder)
        self.length = length

    composed = Reader.composed


class Pieces(Reader):
    """A spiece.model, read by sentencepiece itself; `</s>` after the words."""

    start: int = 0

    def __init__(self, folder: Path, length: int):  # another tokenizer: no super().__init__
        with told():
            from sentencepiece import SentencePieceProcessor
        file = folder / "tokenizer" / "spiece.model"
        try:
            self._pieces = SentencePieceProcessor(model_file=str(file))
            if min(self._pieces.eos_id(), self._pieces.pad_id()) < 0:
                raise ValueError("it has no end or no padding")
        except Exception as fault:  # damaged files fail in any way
            raise UserError(f"{file}: it is no tokenizer of T5: {named_line(fault)}") from None
        self.length = length

    def _cut(self, text: str) -> dict[str, Any]:
        """The ids of a text, and where in it each begins and ends."""
        return self._pieces.encode(text, return_type="offset_mapping")

    def token_ids(self, text: str) -> list[int]:
        words = self._cut(self.composed(text))["ids"][: self.length - 1]
        padding = [self._pieces.pad_id()] * (self.length - 1 - len(words))
        return [*words, self._pieces.eos_id(), *padding]

    def phrase_ids(self, text: str) -> list[int]:
        return [*self._cut(self.composed(text))["ids"], self._pieces.eos_id()]

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [*self._cut(text)["offsets"], (0, 0)]
