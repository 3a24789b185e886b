"""Files from the internet, only when asked for: a hub repository at a fixed commit, or one file with a known hash.

What is downloaded is checked against sizes and hashes. Which commit a repository was fetched at is written into a lock
file, so that a later run loads that one and no other. Nothing here is called by a run: weights that are not there are
told in one line.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError, named_line
from ivgbench.files import file_sha256, write_atomic, write_json

#: Seconds without a byte before a download is given up.
TIMEOUT = 30


def home() -> Path:
    """The folder of what is fetched and made per user: $IVGBENCH_HOME, or ~/.cache/ivgbench."""
    return Path(os.environ.get("IVGBENCH_HOME") or Path.home() / ".cache" / "ivgbench")


def _lock() -> Path:
    return home() / "lock.json"


def locked_revision(hub_id: str) -> str | None:
    """The commit at which a repository was fetched; None if it was not (or the lock is unreadable: fetch again)."""
    try:
        return str(json.loads(_lock().read_text(encoding="utf-8"))[hub_id]["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def cached_folder(hub_id: str, file: str, revision: str | None = None) -> Path | None:
    """The local copy of a repository, if `file` is in it; None otherwise. Never downloads.

    Args:
        revision: a commit; None: the one in the lock file, else the hub cache's own "main".
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    wanted = revision or locked_revision(hub_id) or "main"
    try:
        found = try_to_load_from_cache(hub_id, file, revision=wanted)
    except HFValidationError:
        return None
    return Path(found).parents[file.count("/")] if isinstance(found, str) else None


def published(hub_id: str | None, folder: Path) -> dict[str, str]:
    """What the hub announced of the files of a local copy: relative path -> sha256 (64 digits) or git's hash (40).

    From the lock file that a fetch wrote, and from the hub's own cache, which calls files by these hashes. Empty for a
    folder that is neither.
    """
    found = {}
    for path in folder.rglob("*"):
        blob = path.resolve().name if path.is_symlink() else ""
        if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", blob):
            found[path.relative_to(folder).as_posix()] = blob
    try:
        locked = json.loads(_lock().read_text(encoding="utf-8"))[hub_id]
        if locked["revision"] == folder.name:
            found |= {str(name): str(one) for name, one in locked["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none of this one, or none that can be read
        pass
    return found


def has_hash(path: Path, announced: str, sha256: str | None = None) -> bool:
    """Whether a file has the hash that the hub announced of it: sha256, or git's, by the number of digits.

    sha256: the file's, where it is known already.
    """
    if len(announced) == 64:
        return (sha256 or file_sha256(path)) == announced
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == announced


def fetch_repository(
    hub_id: str, revision: str | None, choose: Callable[[Sequence[str]], list[str]], say: Callable[[str], None] = print
) -> Path:
    """Downloads files of a hub repository into the hub's own cache, checks them, and locks their commit.

    Args:
        revision: a commit, or None for what "main" is now; what it resolves to is locked.
        choose: the names of all files -> those to download; raises UserError when what is needed is not there.
    Returns:
        The folder with the files.
    Raises:
        UserError: the hub cannot be reached, has no such repository or commit, or sent other bytes than it announced.
    """
    from huggingface_hub import HfApi, hf_hub_download

    try:
        about = HfApi().model_info(hub_id, revision=revision, files_metadata=True)
        listed = {one.rfilename: one for one in about.siblings or ()}
        wanted = choose(list(listed))
        commit = str(about.sha)
        total = sum(listed[name].size or 0 for name in wanted)
        say(f"{hub_id} at {commit}: {len(wanted)} files, {total / 2**30:.2f} GiB")
        paths = {name: Path(hf_hub_download(hub_id, name, revision=commit)) for name in wanted}
    except UserError:
        raise
    except Exception as fault:  # every version of the hub's client has errors of its own
        if isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"cannot fetch {hub_id}: {named_line(fault, 300)} (needs the network; HF_HUB_OFFLINE must not be set)"
        ) from None
    for name, path in paths.items():
        _check(hub_id, name, path, listed[name])
    name = min(paths)
    folder = paths[name].parents[name.count("/")]
    _write_lock(hub_id, commit, {name: file_sha256(path) for name, path in paths.items()})
    return folder


def _check(hub_id: str, name: str, path: Path, announced: Any) -> None:
    """Compares a file with what the hub's listing says of it: its size, and sha256 (large files) or git's hash."""
    size = path.stat().st_size
    told = announced.blob_id if announced.lfs is None else announced.lfs.sha256
    right = told is None or has_hash(path, told)
    if not right or (announced.size is not None and announced.size != size):
        raise UserError(f"{hub_id}: {name} is damaged ({size} bytes at {path}); delete that file and fetch again")


def _write_lock(hub_id: str, revision: str, files: dict[str, str]) -> None:
    try:
        lock = json.loads(_lock().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        lock = {}
    write_json(_lock(), {**lock, hub_id: {"revision": revision, "files": files}})


def fetch_file(url: str, sha256: str, target: Path) -> Path:
    """Downloads one file, unless it is there already, and writes it only if its hash is right.

    Raises:
        UserError: the address cannot be read, or what it gives is not the expected file.
    """
    if target.is_file() and file_sha256(target) == sha256:
        return target
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content = answer.read()
    except (OSError, ValueError) as fault:
        raise UserError(
            f"cannot fetch {url}: {fault}; get the file on another machine and save it as {target}"
        ) from None
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise UserError(f"{url} is not the expected file: sha256 {found[:12]} instead of {sha256[:12]}")
    write_atomic(target, lambda handle: handle.write(content))
    return target
