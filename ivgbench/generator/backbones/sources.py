"""From what a user calls a backbone to its folder and its preset. No torch: planning reads this alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ivgbench import hub
from ivgbench.errors import UserError
from ivgbench.generator.backbones import limits
from ivgbench.generator.backbones.layout import FILES, family, missing_files, read_config, require_vae
from ivgbench.generator.backbones.presets import POCKETS, PRESETS, USUAL, Preset, published_architecture


def preset(source: str) -> tuple[str, Preset]:
    """The (name, preset) of a source: a named backbone, the hub id of one, or any other folder or hub id.

    A folder whose vocabulary is a pocket backbone's is that one, wherever it lies: it can read nothing else, and a clip
    of weights that are tried out is then the one that they make when they ship.
    """
    if source in PRESETS:
        return source, PRESETS[source]
    if (name := _reads_the_words_of(Path(source))) is not None:
        return name, PRESETS[name]
    for name, known in PRESETS.items():
        if known.hub_id == source:
            return name, known
    hub_id = source if _is_hub_id(source) else None
    folder = Path(source) if hub_id is None else _fetched(hub_id, None)
    known = Preset()
    if folder is not None and folder.is_dir() and (usual := USUAL.get(family(folder))) is not None:
        known = _within_reach(PRESETS[usual], folder)
    return Path(source).name, replace(known, hub_id=hub_id, revision=None)


def _within_reach(preset: Preset, folder: Path) -> Preset:
    """A preset whose frames are no larger than a small model of its kind has positions for."""
    files = {part: folder / part / "config.json" for part in ("transformer", "vae")}
    most = limits.of_parts({part: read_config(file) for part, file in files.items() if file.is_file()}).side
    if most is None or preset.height is None or preset.width is None:
        return preset
    return replace(preset, height=min(preset.height, most), width=min(preset.width, most))


def is_pocket(source: str) -> bool:
    """Whether a source is one of the pocket lab's backbones, which know its world and nothing else."""
    return preset(source)[0] in POCKETS


def _reads_the_words_of(folder: Path) -> str | None:
    """The pocket backbone whose vocabulary a folder has."""
    for name, own in POCKETS.items():
        file = f"tokenizer/{FILES[PRESETS[name].family].configs['tokenizer'][0]}"
        mine, theirs = own / file, folder / file
        if mine.is_file() and theirs.is_file() and mine.read_bytes() == theirs.read_bytes():
            return name
    return None


def _is_hub_id(source: str) -> bool:
    return source.count("/") == 1 and not source.startswith((".", "/")) and not Path(source).is_dir()


def locate(source: str | Path) -> Path:
    """The folder of a source, all needed files in it.

    Args:
        source: one of `PRESETS`, a folder in diffusers format, or a hub id that has been fetched.
    Raises:
        UserError: nothing there, or the list of missing files, and how to get them.
    """
    text = str(source)
    remedy = ""
    folder = place(text)
    if text not in POCKETS and not Path(text).is_dir():
        remedy = f"; get them with `ivgbench fetch {text}`"
    # A folder may lack the VAE as a whole; what comes from the hub is made to have it.
    if missing := missing_files(folder, family(folder), with_vae=bool(remedy) or (folder / "vae").is_dir()):
        raise UserError(f"backbone {text!r}: missing in {folder}: {', '.join(missing)} (weights may be .bin){remedy}")
    return folder


def place(source: str) -> Path:
    """The folder of a source, whole or not.

    Raises:
        UserError: there is none on this machine, and how to get it.
    """
    known = preset(source)[1]
    if source in POCKETS:
        folder = POCKETS[source]
        if not folder.is_dir():
            raise UserError(
                f"the backbone {source!r} has no weights here; train them: python -m ivgbench.pocket.train "
                f"{folder.name}"
            )
        return folder
    if Path(source).is_dir():
        return Path(source)
    if not known.hub_id:
        raise UserError(
            f"no backbone {source!r}: neither a folder, nor one of {', '.join(PRESETS)}, nor a hub id (owner/name)"
        )
    # Never downloads, so that a run cannot start with gigabytes of surprise.
    fetched = _fetched(known.hub_id, known.revision)
    if fetched is None:
        every = ", ".join(missing_files(None, known.family, with_vae=True))
        raise UserError(
            f"backbone {source!r} ({known.hub_id}) is not on this machine: missing {every}; get them with "
            f"`ivgbench fetch {source}`"
        )
    return fetched


def _fetched(hub_id: str, revision: str | None) -> Path | None:
    """The local copy of a hub repository of any family, as far as it was fetched."""
    probes = dict.fromkeys(f"{files.denoiser}/config.json" for files in FILES.values())
    found = (hub.cached_folder(hub_id, probe, revision) for probe in probes)
    return next((one for one in found if one is not None), None)


def revision(source: str) -> str | None:
    """The commit that a source of the hub is loaded at: its preset's, else the locked one; None for a folder."""
    known = preset(source)[1]
    return known.revision or (hub.locked_revision(known.hub_id) if known.hub_id else None)


def architecture(source: str) -> dict[str, dict[str, Any]]:
    """The configs of a backbone's denoiser, "text_encoder" and "vae": from its files, or as shipped for the presets.

    Raises:
        UserError: the files are not here, and it is no preset either; or a folder has no VAE.
    """
    try:
        folder = locate(source)
    except UserError:
        if (shipped := published_architecture(preset(source)[1])) is None:
            raise
        return shipped
    require_vae(folder)
    parts = FILES[family(folder)].weights
    return {part: read_config(folder / part / "config.json") for part in parts}
