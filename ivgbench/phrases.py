"""Where a phrase stands in a prompt: the same words, however Unicode spells them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

#: Scripts written without spaces between words, as (first, last) code points: there any cut may be a word's end.
_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F),  # Myanmar
    (0x1780, 0x17FF), (0x1950, 0x1AAF),  # Khmer; Tai Le, New Tai Lue, Tai Tham
    (0x1B00, 0x1B7F), (0xA980, 0xA9DF), (0xAA80, 0xAADF),  # Balinese, Javanese, Tai Viet
    (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B),  # radicals and marks of Han
    (0x3040, 0x312F), (0x31A0, 0x31FF), (0xFF66, 0xFF9F),  # kana, Bopomofo
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),  # Han
    (0xA000, 0xA4CF),  # Yi
)  # fmt: skip
_HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF))
#: Letters that complete the Korean syllable before them.
_JAMO = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF))
#: Invisible without being of the category for it: the grapheme joiner, and what picks a glyph's variant.
_INVISIBLE = ((0x034F, 0x034F), (0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
#: Turkish has four letters i where case folding knows two: whoever types one of them means the same word.
_TURKISH = {"i\u0307": "i", "ı": "i"}


def spelling(phrase: str) -> str:
    """One spelling per phrase: no difference of letter case, kind of space, normal form or invisible character."""
    return _folded(phrase)[0].strip()


def contains_phrase(prompt: str, phrase: str) -> bool:
    """Whether a phrase stands in a prompt as whole words; see `occurrences`."""
    return bool(occurrences(prompt, phrase))


def occurrences(prompt: str, phrase: str) -> list[tuple[int, int]]:
    """(first, stop) of every place of the prompt where the phrase stands, in characters of the prompt as it is.

    Compared without regard to letter case, to normal form (a letter and its accent may be one character or two), to
    the kind and number of spaces and line ends (no-break ones are spaces too), and to characters that nobody sees
    (zero-width ones, soft hyphens, variant selectors).

    Whole words only, where words have spaces between them. In scripts without (Chinese, Japanese, Thai, ...) the
    phrase may stand anywhere, but not begin or end inside a character with its marks; in Korean it begins where a
    word does, and particles may follow.
    """
    text, spans = _folded(prompt)
    wanted = spelling(phrase)
    found = []
    first = text.find(wanted) if wanted else -1
    while first >= 0:
        stop = first + len(wanted)
        begins = first == 0 or _apart(text, spans, first, ends=False)
        if begins and (stop == len(text) or _apart(text, spans, stop, ends=True)):
            found.append((spans[first][0], spans[stop - 1][1]))
        first = text.find(wanted, first + 1)
    return found


def _apart(text: str, spans: list[tuple[int, int]], at: int, ends: bool) -> bool:
    """Whether the phrase may be cut from what is around it before character `at` of a folded text.

    ends: whether it is the phrase's end that is there, else its beginning.
    """
    if spans[at - 1] == spans[at]:  # inside what was one character, with its marks
        return False
    left, right = text[at - 1], text[at]
    if not (_is_word(left) and _is_word(right)) or _in(_WITHOUT_SPACES, left) or _in(_WITHOUT_SPACES, right):
        return True
    korean = _in(_HANGUL, left), _in(_HANGUL, right)
    return ends if all(korean) else any(korean)


def _folded(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text as it is compared, and for each of its characters the span of the original that it came from."""
    made: list[str] = []
    spans: list[tuple[int, int]] = []
    for first, stop in _characters(text):
        seen = "".join(one for one in text[first:stop] if not _is_invisible(one))
        # Composed before and after: folding the case takes some letters apart, and misses others that are.
        lower = unicodedata.normalize("NFC", unicodedata.normalize("NFC", seen).casefold())
        for one in _TURKISH.get(lower, lower):
            if not one.isspace():
                made.append(one)
                spans.append((first, stop))
            elif made and made[-1] == " ":
                spans[-1] = (spans[-1][0], stop)
            else:
                made.append(" ")
                spans.append((first, stop))
    return "".join(made), spans


def _characters(text: str) -> Iterator[tuple[int, int]]:
    """(first, stop) of what a reader takes for one character: a letter with the marks that belong to it."""
    first = 0
    for at, one in enumerate(text):
        belongs = unicodedata.category(one)[0] == "M" or _in(_JAMO, one) or _is_invisible(one)
        if at > first and not belongs:
            yield first, at
            first = at
    if text:
        yield first, len(text)


def _is_invisible(one: str) -> bool:
    return unicodedata.category(one) == "Cf" or _in(_INVISIBLE, one)


def _is_word(one: str) -> bool:
    return one.isalnum() or one == "_" or unicodedata.category(one)[0] == "M"


def _in(ranges: tuple[tuple[int, int], ...], one: str) -> bool:
    return any(first <= ord(one) <= last for first, last in ranges)
