"""Records of the store: JSON files that carry the hash of what they say, so that none is read as anything else.

A turned bit or an edited line in a number makes another, equally plausible number: only a hash tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ivgbench.files import write_json

#: The field with the hash over all others.
SEAL = "record_sha256"


class Damaged(Exception):
    """A stored file does not have the content it was written with."""


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record of plain data under its seal; ValueError for numbers that are not finite."""
    write_json(path, {**record, SEAL: seal(record)})


def read_record(path: Path) -> dict[str, Any]:
    """What `write_record` was given.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is not as it was written.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        told = record.pop(SEAL)
        if told == seal(record):
            return record
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):  # whatever a JSON file can be instead
        pass
    raise Damaged(f"{path} is not as it was written")


def seal(record: Mapping[str, Any]) -> str:
    """The hash of a record, hex; ValueError for numbers that are not finite."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, allow_nan=False).encode()).hexdigest()
