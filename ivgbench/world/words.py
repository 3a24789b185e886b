"""The words of the pocket world: its colours, shapes and backgrounds, and the one kind of sentence it speaks."""

from __future__ import annotations

import re

#: sRGB, 0..255. A clip shifts every channel by up to `drawing.COLOUR_JITTER`.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 38, 38),
    "green": (38, 178, 62),
    "blue": (48, 84, 236),
    "yellow": (248, 222, 40),
    "purple": (152, 44, 196),
    "orange": (248, 136, 24),
    "white": (248, 248, 248),
    "pink": (250, 140, 196),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star", "ring")
#: Base colour of each background; `drawing` has its pattern.
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "grey": (122, 122, 122),
    "brown": (112, 78, 50),
    "navy": (26, 34, 84),
    "olive": (98, 104, 44),
    "beige": (206, 190, 154),
    "teal": (34, 106, 112),
}


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def caption(phrases: list[str] | tuple[str, ...], background: str) -> str:
    """The world's sentence for subjects on a background, e.g. "a red star on a grey background"."""
    subjects = " and ".join(_with_article(phrase) for phrase in phrases)
    return f"{subjects} on {_with_article(background)} background"


def parse_caption(text: str) -> tuple[list[tuple[str, str]], str]:
    """The inverse of `caption`: ([(colour, shape), ...], background). Raises ValueError for any other sentence."""
    subjects, _, ground = text.partition(" on ")
    match = re.fullmatch(r"an? (\w+) background", ground)
    words = [re.sub(r"^an? ", "", part).split(" ") for part in subjects.split(" and ")]
    pairs = [(one[0], one[1]) for one in words if len(one) == 2]
    known = len(pairs) == len(words) and all(colour in COLOURS and shape in SHAPES for colour, shape in pairs)
    if not match or match[1] not in BACKGROUNDS or not known:
        raise ValueError(f"not a sentence of the pocket world: {text!r}; expected {caption(['red star'], 'grey')!r}")
    return pairs, match[1]


def all_captions() -> list[str]:
    """Every one-subject sentence of the world, in a fixed order."""
    return [caption([f"{c} {s}"], b) for c in COLOURS for s in SHAPES for b in BACKGROUNDS]
