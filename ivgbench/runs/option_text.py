"""Options as the command line has them: METHOD.FIELD=VALUE in its three parts, the value read as people write values;
and seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ivgbench.errors import UserError
from ivgbench.generator.around import PREFIX
from ivgbench.texts import short, tomllib

#: Ends METHOD where the option is of the method inside.
INSIDE = f".{PREFIX[:-1]}"
#: A decimal number as a person writes it, whole: nothing of a word or of a date.
_NUMBER = re.compile(r"(?<![\w.:+-])([+-]?)(\d[\d_]*)?(?:\.(\d[\d_]*)?)?([eE][+-]?\d+)?(?![\w.:-])")


def parse_option(text: str) -> tuple[str, str, Any]:
    """Reads METHOD.FIELD=VALUE, e.g. tid.gamma=0.1, into its three parts. Values are TOML, anything else a text.

    Of a method inside another one, FIELD is "base.NAME" (`ivgbench.generator.around`).
    """
    name, equals, value = text.partition("=")
    method, dot, option = name.strip().rpartition(".")
    if not equals or not dot or not method.removesuffix(INSIDE) or not option.isidentifier():
        raise UserError(f"--option {short(text)}: write METHOD.FIELD=VALUE, e.g. tid.gamma=0.1")
    if method.endswith(INSIDE):
        method, option = method[: -len(INSIDE)], f"{PREFIX}{option}"
    return method, option, _value(value.strip(), text)


def _value(written: str, text: str) -> Any:
    """A value as TOML, with the numbers that TOML is too strict for (.1, 1., 007), or the text itself."""
    outside = re.split(r"""("[^"]*"|'[^']*')""", written)
    lenient = [part if at % 2 else _NUMBER.sub(_as_toml, part) for at, part in enumerate(outside)]
    for attempt in (written, "".join(lenient)):
        try:
            parsed = tomllib.loads(f"value = {attempt}")
        except tomllib.TOMLDecodeError:
            continue
        except (ValueError, RecursionError):
            raise UserError(f"--option {short(text)}: the value is too long, or too deep, to be read") from None
        if len(parsed) > 1:
            raise UserError(f"--option {short(text)}: give one value; repeat --option for another field")
        return parsed["value"]
    return written


def _as_toml(number: re.Match[str]) -> str:
    sign, whole, fraction, exponent = number.groups(default="")
    if not whole and not fraction:
        return number[0]
    whole = (whole.lstrip("0") if whole.strip("0_") else "") or "0"
    return f"{sign}{whole}{f'.{fraction or 0}' if '.' in number[0] else ''}{exponent}"


def seed_words(seeds: Sequence[int]) -> list[str]:
    """What `ivgbench run` is told to use these seeds: how many where they are 0..K-1, else each by its number."""
    if sorted(seeds) == list(range(len(seeds))):
        return ["--seeds", str(len(seeds))]
    return [word for seed in seeds for word in ("--seed", str(seed))]
