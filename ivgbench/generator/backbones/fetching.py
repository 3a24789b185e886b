"""Getting a backbone from the hub: of all files of its repository those that it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ivgbench import hub
from ivgbench.errors import UserError
from ivgbench.generator.backbones.layout import FILES, INDEX, OPTIONAL, Files, names_of
from ivgbench.generator.backbones.presets import PRESETS
from ivgbench.generator.backbones.sources import preset


def fetch(source: str) -> Path:
    """Downloads a backbone from the hub, at its preset's commit (else what "main" is now), and returns its folder.

    Raises:
        UserError: a source that is not on a hub, or a download that failed.
    """
    hub_id = preset(source)[1].hub_id
    if hub_id is None:
        published = [name for name, known in PRESETS.items() if known.hub_id]
        raise UserError(f"nothing to fetch for {source!r}: give {', '.join(published)}, or a hub id (OWNER/NAME)")
    return hub.fetch_repository(hub_id, preset(source)[1].revision, to_fetch)


def to_fetch(files: Sequence[str]) -> list[str]:
    """Of all files of a hub repository, those a backbone needs.

    Raises:
        UserError: the repository is no text-to-video model in diffusers format.
    """
    there = set(files)
    kinds = [one for one in FILES.values() if f"{one.denoiser}/config.json" in there] or [FILES["unet3d"]]
    chosen = [_chosen(one, there) for one in kinds]
    # Families with the same kind of denoiser differ in what their tokenizers are made of.
    wanted = next((one for one in chosen if set(one) <= there), chosen[0])
    if missing := sorted(set(wanted) - there):
        raise UserError(f"the repository is no text-to-video model in diffusers format: it has no {', '.join(missing)}")
    return wanted + [name for name in (*OPTIONAL, *kinds[0].optional) if name in there]


def _chosen(kind: Files, there: set[str]) -> list[str]:
    """The files of a family that are wanted, of several names the first that is there."""

    def first(part: str, names: Sequence[str]) -> str:
        return next((name for name in names if f"{part}/{name}" in there), names[0])

    wanted = [f"{part}/{first(part, names_of(file))}" for part, files in kind.configs.items() for file in files]
    for part, names in kind.weights.items():
        name = first(part, names)
        wanted.append(f"{part}/{name}")
        if name.endswith(INDEX):  # which shards there are is said in it; they are told by their names
            stem = name.removesuffix(".safetensors" + INDEX)
            wanted += [file for file in sorted(there) if re.fullmatch(rf"{part}/{stem}-\d+-of-\d+\.safetensors", file)]
    return wanted
