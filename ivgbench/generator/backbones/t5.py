"""What a T5-class text encoder reads of a prompt: no token before the words, `</s>` after them, then padding."""

from __future__ import annotations

import html
from pathlib import Path

from ftfy import fix_text
from transformers import PreTrainedTokenizerFast

from ivgbench.errors import UserError, named_line
from ivgbench.generator.backbones.layout import read_config
from ivgbench.generator.words import Reader, composed

#: Tokens that Wan's text encoder is given. A tokenizer whose own limit is lower is the pocket lab's.
LENGTH = 512


class T5Reader(Reader):
    """A tokenizer.json and the family's length; see `Reader`."""

    start: int = 0

    def __init__(self, folder: Path, length: int = LENGTH):  # another tokenizer: no super().__init__
        file = folder / "tokenizer" / "tokenizer.json"
        try:
            self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), pad_token="<pad>", eos_token="</s>")
            if self.tokenizer("a")["input_ids"][-1:] != [self.tokenizer.eos_token_id]:
                raise ValueError("it ends no text with </s>")
        except Exception as fault:  # damaged files fail in any way
            raise UserError(f"{file}: it is no tokenizer of T5: {named_line(fault)}") from None
        self.length = min(length, _limit(folder / "tokenizer" / "tokenizer_config.json"))

    def composed(self, text: str) -> str:
        """As Wan's pipeline cleans a prompt: characters mended, HTML's unescaped, blanks single."""
        return " ".join(html.unescape(html.unescape(fix_text(composed(text)))).split())


def _limit(file: Path) -> int:
    """The longest text of a tokenizer's config; without one, or where it names none, any."""
    limit = read_config(file).get("model_max_length") if file.is_file() else None
    return limit if type(limit) is int and limit > 1 else LENGTH
