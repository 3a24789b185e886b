"""One place in the prompt for each subject: what methods need that tie every subject to words of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ivgbench.errors import UserError
from ivgbench.generator import words
from ivgbench.generator.words import Reader
from ivgbench.phrases import spelling
from ivgbench.texts import short

#: (text, phrase), each cut into tokens -> position of the phrase's first token in the text, or None.
Search = Callable[[list[str], list[str]], int | None]


def of_phrases(
    reader: Reader,
    prompt: str,
    suffix: str,
    phrases: Sequence[str | None],
    method: str,
    official: Search | None = None,
) -> list[range]:
    """Token positions of each phrase in prompt + suffix, one place each: of equal phrases the k-th has the k-th place.

    Args:
        official: how a release searches instead; equal phrases then have the same place.
    Raises:
        UserError: a phrase is None, or not in the text; the text names it less often than there are subjects of that
            name; or the text encoder does not read it.
    """
    found = []
    for index, phrase in enumerate(phrases):
        if phrase is None:
            raise UserError(f"{method}: subject {index} has no phrase; the method places words, so give it some")
        whole = words.check(reader, prompt, suffix, phrase, method)
        if not whole:
            raise UserError(f"{method}: {short(phrase)} is not in the prompt {short(prompt + suffix)}; it must be")
        if official is not None:
            found.append(_official(reader, prompt + suffix, phrase, method, official))
            continue
        before = sum(other is not None and spelling(phrase) == spelling(other) for other in phrases[:index])
        if before >= len(whole):
            raise UserError(
                f"{method}: {before + 1} subjects are called {short(phrase)}, and the prompt names {len(whole)}; name "
                f"each of them, or set the option words to 'official' (they then share the first)"
            )
        found.append(whole[before])
    return found


def _official(reader: Reader, text: str, phrase: str, method: str, search: Search) -> range:
    own = reader.pieces(phrase)[reader.start : -1]
    first = search(reader.pieces(text), own)
    if first is None:
        raise UserError(
            f"{method}: {short(phrase)} alone has other tokens than in the prompt, so that they are not found as the "
            f"release searches them; set the option words to 'place'"
        )
    place = range(first, first + len(own))
    if not reader.read(place):
        raise UserError(
            f"{method}: {short(phrase)} is found at tokens {first} to {place.stop - 1}, and the text encoder reads "
            f"words up to {reader.length - 2}; shorten the prompt, or set the option words to 'place'"
        )
    return place


def first_in_a_row(text: list[str], phrase: list[str]) -> int | None:
    """Where a phrase's tokens first stand in a row: also at the end of a word that ends like the phrase."""
    starts = (at for at in range(len(text)) if phrase and text[at : at + len(phrase)] == phrase)
    return next(starts, None)
