"""Inputs as they come from broken disks, cut transfers and hand edits."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

#: Text of any kind, lone surrogates included, which JSON can spell and UTF-8 cannot.
anything_written = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(), max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "\u2028",
            "\u0085",
            "e\u0301",
            "\u00e9",
            "\u00a0",
            "\ud800",
            "\x00",
            "-1",
            "nan",
            "../x",
            "a" * 300,
        ]
    ),
)
numbers = st.one_of(
    st.integers(-2, 30),
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**30), 2**63, 1e308, 5e-324, True, False]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, anything_written)
anything_json = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(anything_written, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def damaged(draw: Any, whole: bytes) -> bytes:
    """The bytes with bits turned, cut, with something taken out, put in or scribbled over."""
    data, kind = bytearray(whole), draw(st.sampled_from(["flip", "flip", "cut", "cut", "out", "in", "over"]))
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    if kind == "flip":
        for place in [at, *draw(st.lists(st.integers(0, max(len(data) - 1, 0)), max_size=6))]:
            data[place] ^= 1 << draw(st.integers(0, 7))
    elif kind == "cut":
        del data[at:]
    elif kind == "out":
        del data[at : at + draw(st.integers(1, 64))]
    else:
        scribble = draw(st.binary(min_size=1, max_size=16))
        data[at : at + (len(scribble) if kind == "over" else 0)] = scribble
    return bytes(data)


def _places(value: Any, here: tuple = ()) -> list[tuple]:
    """Paths of keys and indices to everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, one in inside for place in _places(one, (*here, key)))]


@st.composite
def edited(draw: Any, whole: Any, with_what: Any = anything_json) -> Any:
    """A JSON value in which one to three things are other ones, are gone, or are new."""
    made = {"": copy.deepcopy(whole)}
    for _ in range(draw(st.integers(1, 3))):
        *way, last = ("", *draw(st.sampled_from(_places(made[""]))))
        holder = made
        for key in way:
            holder = holder[key]
        kind = draw(st.sampled_from(["other", "other", "other", "gone", "new", "twice"]))
        if kind == "gone" and last != "":
            del holder[last]
        elif kind == "new" and isinstance(holder[last], dict):
            holder[last][draw(anything_written)] = draw(with_what)
        elif kind == "twice" and isinstance(holder[last], list) and holder[last]:
            holder[last].append(copy.deepcopy(holder[last][0]))
        else:
            holder[last] = draw(with_what)
    return made[""]


#: Texts that are JSON, or nearly, and hard on a reader: too deep, too long a number, two values, no value.
hard_json = st.sampled_from(
    [b"", b"null", b"[]", b"{}", b"[" * 100_000, b'{"a":' * 20_000, b"1" * 5000, b"NaN", b"\xff\xfe{\x00}\x00", b"{}{}",
     b'"\\ud800"', b"\xef\xbb\xbf{}", b"\x00" * 64]
)  # fmt: skip


def as_json(value: Any) -> bytes:
    """A file of a JSON value as another program would write it: NaN and lone surrogates spelled out."""
    return json.dumps(value).encode()


@st.composite
def broken_json(draw: Any, whole: Any) -> bytes:
    """A JSON file that was damaged, edited by hand, or never was one."""
    kind = draw(st.sampled_from(["edited", "edited", "edited", "damaged", "damaged", "hard", "other"]))
    if kind == "edited":
        return as_json(draw(edited(whole)))
    if kind == "damaged":
        return draw(damaged(json.dumps(whole, indent=1, sort_keys=True).encode()))
    return draw(hard_json if kind == "hard" else anything_json.map(as_json))
