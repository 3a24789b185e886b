"""Durable files: whatever is at a path is either the old content or the whole new one, never a part of it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard


def write_atomic(path: Path, fill: Callable[[BinaryIO], Any], sync: bool = True) -> None:
    """Writes through a temporary file in the same folder, fsync, rename. `fill` gets the open binary file.

    sync: off for what is checked when it is read, or made again: fsync may take longer than everything else.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            fill(handle)
            if sync:
                handle.flush()
                os.fsync(handle.fileno())
        # mkstemp makes private files; results are meant to be shared like any other file.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as fault:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(fault, OSError):
            fault.filename, fault.filename2 = str(path), None  # not of the temporary file, or of none
        raise


def is_full(fault: BaseException) -> TypeGuard[OSError]:
    """Whether it says that a disk, or the share of one that its user has, is full."""
    return isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)


def room_at(fault: OSError) -> str:
    """Of a full disk: what was to be written, and how much is free there."""
    if fault.filename is None:
        return str(fault.strerror)
    path = Path(os.path.abspath(fault.filename))
    there = next(one for one in path.parents if one.is_dir())
    with suppress(OSError):
        return f"{path}: {shutil.disk_usage(there).free / 1e6:,.1f} MB free"
    return str(path)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_text(path: Path, text: str) -> None:
    write_atomic(path, lambda handle: handle.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Piece by piece: the text of a large value is never whole in memory."""
    parts = json.JSONEncoder(indent=1, sort_keys=True, allow_nan=False).iterencode(value)
    write_atomic(path, lambda handle: handle.writelines(part.encode() for part in chain(parts, "\n")))


def file_sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def state_sha256(state: Mapping[str, Any]) -> str:
    """Hash of a model's weights by value: downloaded ones sit in files whose place is their library's business."""
    digest = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        digest.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, no NaN. The text that identities are hashed from."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of a plain value, hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
