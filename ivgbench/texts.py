"""Text from outside: UTF-8 files, their lines, JSON, arguments. What is broken is refused with its place."""

from __future__ import annotations

import codecs
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Deeper than any record here has a reason to be, and far from where the interpreter gives up.
MAX_DEPTH = 64
#: Control characters, and those that turn a text around.
CONTROLS = re.compile("[\\0-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32's marks begin or end like these, and hold zeros


def read_text(path: str | Path, what: str) -> str:
    """A whole text file in UTF-8, without its byte order mark, its line ends as they are.

    Args:
        what: the file's part in the story, for messages: "the suite".
    Raises:
        UserError: it cannot be read, or is not UTF-8; then with the line.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as fault:  # ValueError: a zero in the path
        raise UserError(f"{path}: cannot read {what}: {getattr(fault, 'strerror', None) or fault}") from None
    if data.startswith(_UTF16) or b"\0" in data:
        raise UserError(f"{path}: cannot read {what}: it is UTF-16, or no text at all; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise UserError(
            f"{path}:{line}: cannot read {what}: byte 0x{data[fault.start]:02x} is not UTF-8; save it as UTF-8"
        ) from None


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of the lines that hold something.

    A line ends at a line feed, with or without a carriage return before it, and nowhere else: the other characters
    that Unicode calls line ends may stand in a prompt.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def read_json(path: str | Path, what: str, infinite: bool = False) -> Any:
    """The value of a JSON file. Raises UserError as `read_text` and `from_json` do."""
    return from_json(read_text(path, what), f"{path}: cannot read {what}", infinite)


def read_toml(path: str | Path, what: str) -> dict[str, Any]:
    """The table of a TOML file. Raises UserError as `read_text` does, and for what is not TOML."""
    text = read_text(path, what)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        why = f"{fault}{_line_ends(text)}"
    except ValueError:  # the interpreter's limit
        why = "a number in it has too many digits; write a shorter one"
    except RecursionError:
        why = "it is nested too deeply; write it flatter"
    raise UserError(f"{path}: not TOML: {why}")


def _line_ends(text: str) -> str:
    """What else to say of a text that cannot be read, where its line ends may be the reason."""
    alone = "\r" in text.strip() and "\n" not in text
    return "; its lines end with carriage returns alone: save it with line feeds" if alone else ""


def from_json(text: str, where: str, infinite: bool = False) -> Any:
    """The value of a JSON text: plain data in which every number is finite and every text is valid Unicode.

    Args:
        infinite: whether Infinity and -Infinity are numbers all the same: Python writes them.
    Raises:
        UserError: not JSON, a name given twice in one object, a number that is not finite or too long, half a
            character, or nesting deeper than MAX_DEPTH; with `where`.
    """

    def refuse(why: str) -> Any:
        raise UserError(f"{where}: {why}")

    def whole(digits: str) -> int:
        try:
            return int(digits)
        except ValueError:  # the interpreter's limit
            return refuse(f"the number {digits[:12]}... has {len(digits)} digits; write a shorter one")

    def fraction(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else refuse(f"{digits[:12]} is not finite; write a number in range")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            refuse(f"{next(one for one in names if names.count(one) > 1)!r} is given twice; leave one out")
        return found

    def constant(name: str) -> Any:
        if infinite and name != "NaN":
            return float(name)
        return refuse(f"{name} is not finite, and not JSON; write a number")

    try:
        value = json.loads(
            text, parse_int=whole, parse_float=fraction, parse_constant=constant, object_pairs_hook=unique
        )
    except json.JSONDecodeError as fault:
        line = f"line {fault.lineno}, " if fault.lineno > 1 else ""
        refuse(f"not JSON ({fault.msg}, {line}column {fault.colno}){_line_ends(text)}")
    except RecursionError:
        refuse(f"nested deeper than {MAX_DEPTH} levels; write it flatter")
    _check(value, where, "", 0)
    return value


def _check(value: Any, where: str, name: str, depth: int) -> None:
    """Refuses half characters and deep nesting anywhere in plain data."""
    if depth > MAX_DEPTH:
        raise UserError(f"{where}: {name[:40]}... is nested deeper than {MAX_DEPTH} levels; write it flatter")
    if isinstance(value, str):
        check_unicode(value, f"{where}: {name}" if name else where)
    elif isinstance(value, dict):
        for key, one in value.items():
            check_unicode(key, f"{where}: a name in {name or 'it'}")
            _check(one, where, f"{name}.{key}" if name else key, depth + 1)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _check(one, where, f"{name}[{index}]", depth + 1)


def check_unicode(text: str, where: str) -> None:
    """Refuses a text with half a character in it: it can neither be encoded nor read by a model.

    Raises:
        UserError: a lone surrogate, with `where`.
    """
    if found := _SURROGATE.search(text):
        raise UserError(
            f"{where}: {ascii(found[0])[1:-1]} is half a character (a lone surrogate); write the whole character, "
            f"or leave it out"
        )


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuses command-line arguments whose bytes are no text: they cannot be stored, hashed or printed."""
    for one in arguments:
        if _SURROGATE.search(one):
            raise UserError(f"the argument {one!a} is not UTF-8; type it again, or rename the file")


def printable(name: str) -> str:
    """A file's name that can be printed on one line, whatever bytes it is made of."""
    if name.isprintable():
        return name
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def spreadsheet(text: str) -> str:
    """A text as a cell of a CSV file: what a spreadsheet would run as a formula gets an apostrophe in front."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def short(value: Any, length: int = 60) -> str:
    """A value in a message: its repr, cut where it would hide the message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than the interpreter prints
        text = f"a {type(value).__name__} too long to print"
    return text if len(text) <= length else f"{text[:length]}..."
