"""The identity of a backbone: what in its folder changes a pixel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ivgbench.errors import UserError
from ivgbench.files import digest, file_sha256
from ivgbench.generator.backbones.layout import FILES, family, names_of, present, shards
from ivgbench.generator.backbones.presets import Preset

#: Says how text states are prepared. The pocket lab's training writes it beside its weights; it is never fetched.
TEXT_STATES = "text_states.json"


def empty_padding(folder: Path, preset: Preset) -> bool:
    """Whether the denoiser of a folder wants zero text states after the last word (`text_states`).

    Only weights that the pocket lab trained do, and their folder says so; weights of the hub never do.

    Raises:
        UserError: the folder's file is there and says something else.
    """
    path = folder / TEXT_STATES
    if preset.hub_id is not None or not path.is_file():
        return False
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise UserError(f"{path}: not JSON: {fault}") from None
    if not isinstance(told, dict) or set(told) != {"empty_padding"} or not isinstance(told["empty_padding"], bool):
        raise UserError(f'{path}: must be {{"empty_padding": true}} or {{"empty_padding": false}}')
    return told["empty_padding"]


def weights_hash(folder: Path, sums: Mapping[Path, str] | None = None) -> str:
    """sha256 over the sorted (relative path, file sha256) of what changes a pixel, hex.

    That is every json and txt file of the folder, the tokenizer, and the weights that are read (a repository may hold
    the same weights in several formats). Cards and pictures do not count.

    sums: sha256 of all these files, where they are known already.
    """
    folder = Path(folder)
    sums = {path: file_sha256(path) for path in read_files(folder)} if sums is None else sums
    return digest([[path.relative_to(folder).as_posix(), sums[path]] for path in read_files(folder)])


def read_files(folder: Path) -> list[Path]:
    """The files of a backbone that change a pixel, sorted; see `weights_hash`."""
    files = {path for path in folder.rglob("*") if path.suffix in (".json", ".txt") and path.is_file()}
    kind = FILES[family(folder)]
    # Of a file that may have several names the one that is read, a spiece.model as well.
    files |= {
        path
        for part, names in kind.configs.items()
        for one in names
        for path in present(folder, names_of(one), part)[:1]
    }
    for part, names in kind.weights.items():
        files |= {file for first in present(folder, names, part)[:1] for file in shards(first)}
    return sorted(files)
