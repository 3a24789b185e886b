"""What a text encoder reads of a prompt, and which of its tokens are a subject's. Needs no weights."""

from __future__ import annotations

import unicodedata
import zlib
from pathlib import Path
from typing import Literal

from transformers import CLIPTokenizerFast

from ivgbench.errors import UserError, named_line
from ivgbench.generator.backbones.layout import read_config
from ivgbench.phrases import contains_phrase, occurrences
from ivgbench.texts import short

#: How a method finds a subject's tokens. "official": as the releases do, by their ids, wherever the same ids stand:
#: "a dog" has every "a" of the prompt, and a rare word those of its pieces that other words have too. "place": the
#: tokens that stand where the phrase stands in the prompt, all its places if it is there more than once.
Binding = Literal["official", "place"]
#: Of a text encoder whose files do not say.
USUAL_LENGTH = 77


class Reader:
    """A backbone's tokenizer, and how many tokens its text encoder takes.

    length: L, with the tokens around the words; what is beyond is never read. start: how many tokens stand before the
    words.
    """

    start: int = 1

    def __init__(self, folder: Path):
        """`folder`: of the backbone, in diffusers format; its tokenizer's files and its text encoder's config count.

        Raises:
            UserError: one of these files cannot be used.
        """
        try:
            self.tokenizer = CLIPTokenizerFast.from_pretrained(folder / "tokenizer", local_files_only=True)
        except Exception as fault:  # damaged files fail in any way
            raise UserError(
                f"{folder / 'tokenizer'}: its files are no tokenizer of CLIP: {named_line(fault)}"
            ) from None
        file = folder / "text_encoder" / "config.json"
        places = read_config(file).get("max_position_embeddings", USUAL_LENGTH)
        # A tokenizer that names no length has one of 10^30.
        lengths = {file: places, folder / "tokenizer": self.tokenizer.model_max_length}
        for where, length in lengths.items():
            if type(length) is not int or length < 3:
                raise UserError(f"{where}: a text of {short(length)} tokens has no words; it must be at least 3")
        self.length: int = min(lengths.values())

    def composed(self, text: str) -> str:
        """A text as it is cut into tokens."""
        return composed(text)

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a prompt [L], padded or cut, BOS first."""
        text = self.composed(text)
        return self.tokenizer(text, padding="max_length", max_length=self.length, truncation=True)["input_ids"]

    def phrase_ids(self, text: str) -> list[int]:
        """Token ids of some words alone: BOS, words, EOS; no padding, never cut."""
        return self.tokenizer(self.composed(text), verbose=False)["input_ids"]

    def pieces(self, text: str) -> list[str]:
        """The tokens of `phrase_ids`, spelled."""
        return self.tokenizer.convert_ids_to_tokens(self.phrase_ids(text))

    def places(self, text: str, phrase: str) -> list[range]:
        """Token positions of every place of a text where a phrase stands (`phrases.occurrences`), BOS at 0, never cut.

        A token that is partly the phrase's counts: in scripts without spaces a token may reach over its end.
        """
        text, phrase = self.composed(text), self.composed(phrase)
        spans = self.spans(text)
        found = []
        for first, stop in occurrences(text, phrase):
            # The first and last token span nothing.
            own = [at for at, (start, end) in enumerate(spans) if start < stop and end > first and end > start]
            if own:
                found.append(range(own[0], own[-1] + 1))
        return found

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in a composed text each of its tokens begins and ends; those around the words span nothing."""
        return self.tokenizer(text, return_offsets_mapping=True, verbose=False)["offset_mapping"]

    def read(self, place: range) -> bool:
        """Whether all tokens of a place are read. The last that is read at all is the end of the text, no word."""
        return place.stop <= self.length - 1


class WordReader(Reader):
    """A token for each word, of no tokenizer: where only the number of tokens matters, and that a phrase's are found.

    length: L of the text encoder.
    """

    def __init__(self, length: int = USUAL_LENGTH, start: int = 1):  # no files: no super().__init__
        self.length, self.start = length, start

    def token_ids(self, text: str) -> list[int]:
        ids = self.phrase_ids(text)[:-1]
        return (ids + [1] * self.length)[: self.length]

    def phrase_ids(self, text: str) -> list[int]:
        words = (2 + zlib.crc32(word.strip(".,").encode()) for word in text.lower().split())
        return [*[0] * self.start, *words, 1]

    def pieces(self, text: str) -> list[str]:
        return [str(one) for one in self.phrase_ids(text)]

    def places(self, text: str, phrase: str) -> list[range]:
        """At the beginning, as often as the phrase is there: where it is does not matter here either."""
        place = range(self.start, len(self.phrase_ids(phrase)) - 1)
        return [place] * max(1, len(occurrences(text, phrase)))


def composed(text: str) -> str:
    """In the normal form that `Case.content` has: one text is read in one way, whatever a tokenizer makes of it."""
    return unicodedata.normalize("NFC", text)


def check(reader: Reader, prompt: str, suffix: str, phrase: str, method: str) -> list[range]:
    """The places of a phrase in prompt + suffix that the text encoder reads; none if it is not in the prompt at all.

    Raises:
        UserError: the phrase is in the prompt, and the text encoder reads it nowhere.
    """
    places = reader.places(prompt + suffix, phrase)
    if not places and contains_phrase(prompt, phrase):
        raise UserError(
            f"{method}: the prompt's suffix {short(suffix)} runs into {short(phrase)}; begin it with a space or a comma"
        )
    whole = [place for place in places if reader.read(place)]
    if places and not whole:
        how = "is cut in half there" if places[0].start < reader.length - 1 else "comes after them"
        raise UserError(
            f"{method}: the text encoder reads the first {reader.length - 1 - reader.start} tokens of a prompt, and "
            f"{short(phrase)} {how} (tokens {places[0].start} to {places[0].stop - 1}); shorten the prompt, or name "
            f"the subject earlier"
        )
    return whole


def check_bound(places: list[range], bound: set[int], phrase: str, method: str) -> None:
    """Refuses token positions of a phrase that leave out every place where it stands.

    Raises:
        UserError: the phrase alone has other ids than in the prompt (as in scripts without spaces).
    """
    if places and not any(at in bound for place in places for at in place):
        raise UserError(
            f"{method}: {short(phrase)} alone has other tokens than in the prompt, so that none are found by their "
            f"ids, as the release does it; set the option words to 'place'"
        )
