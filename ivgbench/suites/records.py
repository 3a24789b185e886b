"""Records of a user's own file: CSV, JSON, JSONL or YAML, each with the place that an error names. No torch.

Read with care, since such files come from spreadsheets and editors: a byte order mark and any line ends are accepted;
a key that stands twice, a row with too many fields, or YAML whose aliases multiply is refused instead of half read.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from ivgbench.errors import UserError

#: Ending -> format.
FORMATS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
           ".yaml": "yaml", ".yml": "yaml"}  # fmt: skip
#: Values in a YAML file with its aliases written out. A real one has thousands; a few nested aliases make 10^9.
MAX_VALUES = 1_000_000
_MERGE, _INT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:int"


class Record(NamedTuple):
    """One record. where: file and line, or file and number, for errors."""

    where: str
    value: Any


def read(path: Path) -> tuple[dict[str, Any], list[Record]]:
    """What a file says of all its records, and the records.

    A CSV file gives a record per row, by the names of its first row, and JSONL one per line. JSON and YAML are a list,
    or a mapping with the list under `cases`; the mapping's other entries are the first result, else it is empty.

    Raises:
        UserError: an unknown ending, or a file that cannot be read as what its ending says.
    """
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{path}: unknown ending {path.suffix!r}; one of {', '.join(FORMATS)}")
    text = read_text(path)
    if kind == "csv":
        return {}, list(_rows(text, path))
    if kind == "jsonl":
        lines = enumerate(text.split("\n"), 1)
        return {}, [Record(f"{path}:{n}", _json(line, f"{path}:{n}")) for n, line in lines if line.strip()]
    if kind == "json":
        value = _json(text, f"{path}")
    else:
        documents = _yaml(text, path)
        value = documents[0] if len(documents) == 1 else documents
    about = {}
    if isinstance(value, dict) and "cases" in value:
        about = {key: item for key, item in value.items() if key != "cases"}
        value = value["cases"]
    if not isinstance(value, list):
        raise UserError(f"{path}: neither a list of records nor a mapping with such a list under 'cases'")
    return about, [Record(f"{path}, record {number}", one) for number, one in enumerate(value, 1)]


def documents(path: Path) -> list[Any]:
    """The documents of a YAML file; most have one. UserError as in `read`."""
    return _yaml(read_text(path), path)


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark. UserError when there is none, or in another coding."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise UserError(f"{path}: not UTF-8 (byte {fault.start}); save it as UTF-8") from None
    except OSError as fault:
        raise UserError(f"{path}: cannot read it: {fault.strerror or fault}") from None


# ---- values


def text_of(value: Any, where: str) -> str:
    """A text in composed Unicode form (NFC) with plain spaces, trimmed. UserError when it is none, or empty."""
    if not isinstance(value, str):
        raise UserError(f"{where} must be a text, got {value!r}; put it in quotes")
    value = unicodedata.normalize("NFC", value.replace("\u00a0", " ").replace("\u202f", " ")).strip()
    if not value:
        raise UserError(f"{where} is empty")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UserError(f"{where} holds half of a character (a lone surrogate): {value!a}; write it anew")
    return value


def number(value: Any, where: str) -> float:
    """A finite number, also where it is written as a text. UserError for anything else."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        found = float(value)
    except (ValueError, OverflowError):
        raise UserError(f"{where} must be a number such as 0.25, got {_short(value)}") from None
    if not math.isfinite(found):
        raise UserError(f"{where} must be finite, got {_short(value)}")
    return found


def whole(value: Any, where: str) -> int:
    """A whole number from 0, also as 3.0 or "3". UserError for anything else."""
    found = number(value, where)
    if found < 0 or found != int(found):
        raise UserError(f"{where} must be a whole number from 0, got {_short(value)}")
    return int(found)


def _short(value: Any) -> str:
    spelled = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a very long number"
    return spelled if len(spelled) <= 60 else f"{spelled[:57]}..."


# ---- formats


def _rows(text: str, path: Path) -> Iterator[Record]:
    """A record per row that is not empty, as texts. Fields are divided by what divides the first row."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    divider = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=divider, strict=True)
    names: list[str] = []
    line = 1
    try:
        for row in reader:
            where, line = f"{path}:{line}", reader.line_num + 1
            if not any(field.strip() for field in row):
                continue
            if not names:
                names = [field.strip().lower() for field in row]
                if twice := [name for name in names if names.count(name) > 1]:
                    raise UserError(f"{where}: two columns are called {twice[0]!r}")
                continue
            if len(row) > len(names) and any(field.strip() for field in row[len(names) :]):
                raise UserError(
                    f"{where}: {len(row)} fields, but {len(names)} columns; put a prompt with {divider!r} in quotes"
                )
            fields = [field.strip() for field in row[: len(names)]]
            yield Record(where, dict(zip(names, fields + [""] * (len(names) - len(fields)), strict=True)))
    except csv.Error as fault:
        raise UserError(f"{path}:{line}: not CSV: {fault}") from None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, where))
    except json.JSONDecodeError as fault:
        place = f"line {fault.lineno}, column {fault.colno}" if "\n" in text else f"column {fault.colno}"
        raise UserError(f"{where}: not JSON ({fault.msg}, {place})") from None
    except (RecursionError, ValueError) as fault:  # too deep, or a number of thousands of digits
        raise UserError(f"{where}: not usable JSON: {str(fault).split(';')[0]}") from None


def _once(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"{where}: the key {twice!r} stands twice in one object; which one counts?")
    return made


class _Loader(yaml.SafeLoader):
    """Plain values only, and no key twice in a mapping. A whole number is digits: YAML 1.1 reads 007 as octal and 1:30
    as 90, where a case called 007 is meant, or a time."""

    yaml_implicit_resolvers: ClassVar = {
        first: [pair for pair in pairs if pair[0] != _INT]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    twice = f"the key {key.value!r} stands twice"
                    raise yaml.MarkedYAMLError(problem=twice, problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))


def _yaml(text: str, path: Path) -> list[Any]:
    try:
        loader = _Loader(text)
        made = []
        while loader.check_node():
            node = loader.get_node()
            if _values(node, {}, path) > MAX_VALUES:
                raise UserError(f"{path}: more than {MAX_VALUES} values once its aliases are written out")
            made.append(loader.construct_document(node))
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        at = "" if mark is None else f":{mark.line + 1}"
        problem = " ".join(str(getattr(fault, "problem", None) or fault).split())
        raise UserError(f"{path}{at}: not YAML: {problem}") from None
    except (RecursionError, ValueError, OverflowError, TypeError) as fault:  # too deep, or a date that does not exist
        raise UserError(f"{path}: not usable YAML: {fault}") from None
    return made


def _values(node: yaml.Node, counted: dict[int, int], path: Path) -> int:
    """How many values a node has with its aliases written out."""
    if id(node) not in counted:
        counted[id(node)] = MAX_VALUES + 1  # an alias within what it names has no end
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        counted[id(node)] = 1 + sum(_values(part, counted, path) for part in parts)
    return counted[id(node)]
