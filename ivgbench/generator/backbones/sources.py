"""Where a backbone's files are, whether they are complete, and their identity. No torch: planning reads this alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ivgbench import hub
from ivgbench.errors import UserError
from ivgbench.files import digest, file_sha256
from ivgbench.texts import read_json, short

#: The pipeline's class that a model_index.json names -> the family of its parts.
FAMILIES = {"TextToVideoSDPipeline": "unet3d"}
#: Part of a backbone -> the files it needs besides weights.
CONFIGS = {
    "tokenizer": ("vocab.json", "merges.txt"),
    "text_encoder": ("config.json",),
    "unet": ("config.json",),
    "scheduler": ("scheduler_config.json",),
    "vae": ("config.json",),
}
#: Part -> what its weights may be called; the first that is there is read. ZeroScope is published as .bin only.
WEIGHTS = {
    "text_encoder": ("model.safetensors", "pytorch_model.bin"),
    "unet": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "vae": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
}
#: Fetched when the repository has them: they change how a prompt is cut into tokens.
OPTIONAL = ("tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json")
#: The configs of the one architecture that ZeroScope and ModelScope share, for plans without their files.
SHIPPED_ARCHITECTURE = Path(__file__).parent / "architectures" / "text-to-video-1.7b.json"
#: Says how text states are prepared. The pocket lab's training writes it beside its weights; it is never fetched.
TEXT_STATES = "text_states.json"
POCKET_FOLDER = Path(__file__).parents[2] / "pocket" / "weights" / "text-to-video"


@dataclass(frozen=True)
class Preset:
    """What a backbone is best run with. Sizes in pixels; `height` and `width` None: the denoiser's own sample size.

    revision: the commit of the hub repository that is fetched and loaded.
    """

    frames: int = 24
    height: int | None = None
    width: int | None = None
    steps: int = 40
    guidance: float = 9.0
    hub_id: str | None = None
    revision: str | None = None


#: Named backbones. Sizes as in the published demos (Peekaboo's app: 40 steps, guidance 9); the pocket's are tuned.
PRESETS = {
    "pocket": Preset(frames=8, height=48, width=80, steps=20, guidance=4.5),
    "zeroscope": Preset(
        frames=24,
        height=320,
        width=576,
        hub_id="cerspense/zeroscope_v2_576w",
        revision="6963642a64dbefa93663d1ecebb4ceda2d9ecb28",
    ),
    "modelscope": Preset(
        frames=16,
        height=256,
        width=256,
        hub_id="damo-vilab/text-to-video-ms-1.7b",
        revision="8227dddca75a8561bf858d604cc5dae52b954d01",
    ),
}


def preset(source: str) -> tuple[str, Preset]:
    """The (name, preset) of a source: a named backbone, the hub id of one, or any other folder or hub id.

    A folder whose vocabulary is the pocket lab's is the pocket, wherever it lies: it can read nothing else, and a clip
    of weights that are tried out is then the one that they make when they ship.
    """
    if source in PRESETS:
        return source, PRESETS[source]
    if _reads_the_pockets_words(Path(source)):
        return "pocket", PRESETS["pocket"]
    for name, known in PRESETS.items():
        if known.hub_id == source:
            return name, known
    return Path(source).name, Preset(hub_id=source if _is_hub_id(source) else None)


def _reads_the_pockets_words(folder: Path) -> bool:
    own, theirs = (place / "tokenizer" / "vocab.json" for place in (POCKET_FOLDER, folder))
    return own.is_file() and theirs.is_file() and own.read_bytes() == theirs.read_bytes()


def _is_hub_id(source: str) -> bool:
    return source.count("/") == 1 and not source.startswith((".", "/")) and not Path(source).is_dir()


def locate(source: str | Path) -> Path:
    """The folder of a source, all needed files in it.

    Args:
        source: "pocket", "zeroscope", "modelscope", a folder in diffusers format, or a hub id that has been fetched.
    Raises:
        UserError: nothing there, or the list of missing files, and how to get them.
    """
    text = str(source)
    known = preset(text)[1]
    remedy = ""
    if text == "pocket":
        folder = POCKET_FOLDER
        if not folder.is_dir():
            raise UserError("the pocket backbone has no weights here; train them: python -m ivgbench.pocket.train")
    elif Path(text).is_dir():
        folder = Path(text)
    elif known.hub_id:
        # Never downloads, so that a run cannot start with gigabytes of surprise.
        remedy = f"; get them with `ivgbench fetch {text}`"
        folder = hub.cached_folder(known.hub_id, "unet/config.json", known.revision)
        if folder is None:
            every = ", ".join(_missing(None, with_vae=True))
            raise UserError(f"backbone {text!r} ({known.hub_id}) is not on this machine: missing {every}{remedy}")
    else:
        raise UserError(
            f"no backbone {text!r}: neither a folder, nor one of {', '.join(PRESETS)}, nor a hub id (owner/name)"
        )
    # A folder may lack the VAE as a whole; what comes from the hub is made to have it.
    if missing := _missing(folder, with_vae=bool(remedy) or (folder / "vae").is_dir()):
        raise UserError(f"backbone {text!r}: missing in {folder}: {', '.join(missing)} (weights may be .bin){remedy}")
    return folder


def family(folder: Path) -> str:
    """Which family a backbone is of, by the class that its model_index.json names; without that file the UNets'.

    Raises:
        UserError: no family of this package.
    """
    file = folder / "model_index.json"
    if not file.is_file():  # the pocket lab's training writes none
        return "unet3d"
    name = read_config(file).get("_class_name")
    if not isinstance(name, str) or name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UserError(f"{file}: {short(name)} is no pipeline that can be loaded here; those that can: {known}")
    return FAMILIES[name]


def family_of_parts(parts: Mapping[str, Any]) -> str:
    """The same of a backbone's configs, by the denoiser's part."""
    return "unet3d" if "unet" in parts else "wan"


def read_config(file: Path) -> dict[str, Any]:
    """One of a backbone's JSON files. UserError where it holds anything but an object."""
    config = read_json(file, "a config")
    if not isinstance(config, dict):
        raise UserError(f"{file}: a config must be an object of names and values, got {short(config)}")
    return config


def scheduler_file(folder: Path) -> Path:
    """The checkpoint's scheduler_config.json."""
    return folder / "scheduler" / "scheduler_config.json"


def require_vae(folder: Path) -> None:
    """Refuses a folder that makes latents only: a run stores videos."""
    if not (folder / "vae").is_dir():
        raise UserError(
            f"backbone {folder}: it has no vae/, so that its latents cannot become videos; add vae/config.json and its "
            f"weights (without, only generate(output='latent') works)"
        )


def _missing(folder: Path | None, with_vae: bool) -> list[str]:
    """The needed files that are not in a folder; all of them for None."""
    names = []
    for part, files in CONFIGS.items():
        if part == "vae" and not with_vae:
            continue
        names += [f"{part}/{file}" for file in files if folder is None or not (folder / part / file).is_file()]
        if part in WEIGHTS and (folder is None or not _weights_there(folder, part)):
            names.append(f"{part}/{WEIGHTS[part][0]}")
    return names


def _weights_there(folder: Path, part: str) -> list[Path]:
    return [folder / part / name for name in WEIGHTS[part] if (folder / part / name).is_file()]


def empty_padding(folder: Path, preset: Preset) -> bool:
    """Whether the denoiser of a folder wants zero text states after the end token (`text_states`).

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


def weights_file(folder: Path, part: str) -> Path:
    """The file that a part of a complete backbone is loaded from."""
    return _weights_there(folder, part)[0]


def revision(source: str) -> str | None:
    """The commit that a source of the hub is loaded at: its preset's, else the locked one; None for a folder."""
    known = preset(source)[1]
    return known.revision or (hub.locked_revision(known.hub_id) if known.hub_id else None)


def fetch(source: str) -> Path:
    """Downloads a backbone from the hub, at its preset's commit (else what "main" is now), and returns its folder.

    Raises:
        UserError: a source that is not on a hub, or a download that failed.
    """
    hub_id = preset(source)[1].hub_id
    if hub_id is None:
        raise UserError(f"nothing to fetch for {source!r}: give zeroscope, modelscope, or a hub id (OWNER/NAME)")
    return hub.fetch_repository(hub_id, preset(source)[1].revision, to_fetch)


def to_fetch(files: Sequence[str]) -> list[str]:
    """Of all files of a hub repository, those a backbone needs.

    Raises:
        UserError: the repository is no text-to-video model in diffusers format.
    """
    there = set(files)
    wanted = [f"{part}/{file}" for part, names in CONFIGS.items() for file in names]
    for part, names in WEIGHTS.items():
        wanted.append(next((f"{part}/{name}" for name in names if f"{part}/{name}" in there), f"{part}/{names[0]}"))
    if missing := sorted(set(wanted) - there):
        raise UserError(f"the repository is no text-to-video model in diffusers format: it has no {', '.join(missing)}")
    return wanted + [name for name in OPTIONAL if name in there]


def architecture(source: str) -> dict[str, dict[str, Any]]:
    """The configs of a backbone's "unet", "text_encoder" and "vae": from its files, or as shipped for the presets.

    Raises:
        UserError: the files are not here, and it is no preset either; or a folder has no VAE.
    """
    try:
        folder = locate(source)
    except UserError:
        if not preset(source)[1].revision:
            raise
        return json.loads(SHIPPED_ARCHITECTURE.read_text(encoding="utf-8"))
    require_vae(folder)
    return {part: read_config(folder / part / "config.json") for part in ("unet", "text_encoder", "vae")}


def frame_size(preset: Preset, unet: Mapping[str, Any], factor: int) -> tuple[int, int]:
    """(height, width) of a clip in pixels: the preset's, else the denoiser's sample size times the VAE's factor."""
    sample = unet.get("sample_size") or 32
    sides = [sample, sample] if isinstance(sample, int) else sample
    if not isinstance(sides, list | tuple) or [type(side) for side in sides] != [int, int] or min(sides) < 1:
        raise UserError(f"the denoiser's sample_size must be one or two whole numbers, got {short(sample)}")
    return preset.height or sides[0] * factor, preset.width or sides[1] * factor


def weights_hash(folder: Path) -> str:
    """sha256 over the sorted (relative path, file sha256) of what changes a pixel, hex.

    That is every json and txt file of the folder, and the weights that are read (a repository may hold the same
    weights in several formats). Cards and pictures do not count.
    """
    folder = Path(folder)
    files = {path for path in folder.rglob("*") if path.suffix in (".json", ".txt") and path.is_file()}
    files |= {_weights_there(folder, part)[0] for part in WEIGHTS if _weights_there(folder, part)}
    return digest([[path.relative_to(folder).as_posix(), file_sha256(path)] for path in sorted(files)])
