"""Where a backbone's files are, whether they are complete, and their identity. No torch: planning reads this alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ivgbench import hub
from ivgbench.errors import UserError
from ivgbench.files import digest, file_sha256
from ivgbench.generator.backbones import limits
from ivgbench.generator.sampling import PLAIN, Sampling
from ivgbench.texts import read_json, short


@dataclass(frozen=True)
class Files:
    """What a family's folder holds. configs: part -> the files it needs besides weights, each by its name or names;
    weights: part -> what its weights may be called. Of several names the first that is there is read. An index names
    the files that hold the tensors. scheduler: the sampler that all methods are compared under, of the kind of noise
    path that the family has."""

    configs: Mapping[str, tuple[str | tuple[str, ...], ...]]
    weights: Mapping[str, tuple[str, ...]]
    denoiser: str
    scheduler: str
    optional: tuple[str, ...] = ()


INDEX = ".index.json"
_SHARDED = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors" + INDEX)


def _of_transformer(tokenizer: str | tuple[str, ...], scheduler: str = "flow") -> Files:
    """The folder of a video DiT with a text encoder of T5's kind."""
    return Files(
        {
            "tokenizer": (tokenizer,),
            "text_encoder": ("config.json",),
            "transformer": ("config.json",),
            "scheduler": ("scheduler_config.json",),
            "vae": ("config.json",),
        },
        {
            "text_encoder": ("model.safetensors", "model.safetensors" + INDEX),
            "transformer": _SHARDED,
            "vae": _SHARDED,
        },
        "transformer",
        scheduler,
        ("model_index.json",),
    )


FILES = {
    "unet3d": Files(
        {
            "tokenizer": ("vocab.json", "merges.txt"),
            "text_encoder": ("config.json",),
            "unet": ("config.json",),
            "scheduler": ("scheduler_config.json",),
            "vae": ("config.json",),
        },
        # ZeroScope is published as .bin only.
        {
            "text_encoder": ("model.safetensors", "pytorch_model.bin"),
            "unet": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
            "vae": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
        },
        "unet",
        "ddim",
    ),
    "wan": _of_transformer("tokenizer.json"),
    "cogvideox": _of_transformer(("tokenizer.json", "spiece.model"), "ddim"),
    "ltx": _of_transformer(("tokenizer.json", "spiece.model")),
}
#: Which family a denoiser's class is of.
_CLASSES = {
    "WanTransformer3DModel": "wan",
    "CogVideoXTransformer3DModel": "cogvideox",
    "LTXVideoTransformer3DModel": "ltx",
}
#: Fetched when the repository has them: they change how a prompt is cut into tokens.
OPTIONAL = ("tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json")
#: Configs of published models, for plans without their files; see `Preset`.
ARCHITECTURES = Path(__file__).parent / "architectures"
SHIPPED_ARCHITECTURE = ARCHITECTURES / "text-to-video-1.7b.json"
#: Says how text states are prepared. The pocket lab's training writes it beside its weights; it is never fetched.
TEXT_STATES = "text_states.json"
_POCKET = Path(__file__).parents[2] / "pocket" / "weights"
#: The pocket lab's backbones, of the two kinds, and how `ivgbench.pocket.train` calls them.
POCKETS = {"pocket": _POCKET / "text-to-video", "pocket-dit": _POCKET / "dit"}
POCKET_FOLDER = POCKETS["pocket"]


@dataclass(frozen=True)
class Preset:
    """What a backbone is best run with. Sizes in pixels; `height` and `width` None: the denoiser's own sample size.

    revision: the commit of the hub repository that is fetched and loaded; None: the one that "main" was when it was
        fetched, which is locked (`hub`).
    time_factor: clips have a multiple of it and one more frame: what a latent frame after the first stands for, and of
        CogVideoX, whose VAE takes two of them at a time, twice that.
    architecture: the file of its configs in `ARCHITECTURES`; ZeroScope and ModelScope share one.
    """

    frames: int = 24
    height: int | None = None
    width: int | None = None
    steps: int = 40
    guidance: float = 9.0
    hub_id: str | None = None
    revision: str | None = None
    family: str = "unet3d"
    time_factor: int = 1
    architecture: str = "text-to-video-1.7b.json"

    @property
    def sampling(self) -> Sampling:
        """What a run is sampled with where it says nothing."""
        size = None if self.height is None else (self.height, self.width)
        own = Sampling(self.steps, self.guidance, FILES[self.family].scheduler, size=size)
        return own.over(PLAIN)


#: Named backbones. Sizes as in the published demos (Peekaboo's app: 40 steps, guidance 9); the pocket's are tuned.
PRESETS = {
    "pocket": Preset(frames=8, height=48, width=80, steps=20, guidance=4.5),
    "pocket-dit": Preset(frames=8, height=48, width=80, steps=20, guidance=4.5, family="wan"),
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
    "wan-1.3b": Preset(
        frames=81,
        height=480,
        width=832,
        steps=50,
        guidance=5.0,
        hub_id="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        revision="0fad780a534b6463e45facd96134c9f345acfa5b",
        family="wan",
        time_factor=4,
        architecture="wan2.1-1.3b.json",
    ),
    **{
        f"cogvideox-{size}": Preset(
            frames=49,
            height=480,
            width=720,
            steps=50,
            guidance=6.0,
            hub_id=f"THUDM/CogVideoX-{size}",
            family="cogvideox",
            time_factor=8,
            architecture=f"cogvideox-{size}.json",
        )
        for size in ("2b", "5b")
    },
    "ltx-video": Preset(
        frames=161,
        height=512,
        width=704,
        steps=50,
        guidance=3.0,
        hub_id="Lightricks/LTX-Video",
        family="ltx",
        time_factor=8,
        architecture="ltx-video-2b.json",
    ),
}
#: The preset that a folder of weights of a family is run with.
_USUAL = {"wan": "wan-1.3b", "cogvideox": "cogvideox-2b", "ltx": "ltx-video"}


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
    usual = _USUAL.get(family(folder)) if folder is not None and folder.is_dir() else None
    known = Preset() if usual is None else _within_reach(PRESETS[usual], folder)
    return Path(source).name, replace(known, hub_id=hub_id, revision=None)


def _within_reach(preset: Preset, folder: Path) -> Preset:
    """A preset whose frames are no larger than a small model of its kind has positions for."""
    files = {part: folder / part / "config.json" for part in ("transformer", "vae")}
    most = limits.of_parts({part: read_config(file) for part, file in files.items() if file.is_file()}).side
    return preset if most is None else replace(preset, height=min(preset.height, most), width=min(preset.width, most))


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
    if missing := _missing(folder, family(folder), with_vae=bool(remedy) or (folder / "vae").is_dir()):
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
    if (folder := _fetched(known.hub_id, known.revision)) is None:
        every = ", ".join(_missing(None, known.family, with_vae=True))
        raise UserError(
            f"backbone {source!r} ({known.hub_id}) is not on this machine: missing {every}; get them with "
            f"`ivgbench fetch {source}`"
        )
    return folder


def _fetched(hub_id: str, revision: str | None) -> Path | None:
    """The local copy of a hub repository of any family, as far as it was fetched."""
    probes = dict.fromkeys(f"{files.denoiser}/config.json" for files in FILES.values())
    found = (hub.cached_folder(hub_id, probe, revision) for probe in probes)
    return next((one for one in found if one is not None), None)


def family(folder: Path) -> str:
    """Which family a backbone is of, by the network that its model_index.json names; without that file by its denoiser.

    Raises:
        UserError: a network of no family of this package.
    """
    file = folder / "model_index.json"
    if not file.is_file():  # the pocket lab's training writes none
        config = folder / "transformer" / "config.json"
        if config.is_file():
            return family_of_parts({"transformer": read_config(config)})
        return "wan" if config.parent.is_dir() else "unet3d"
    index = read_config(file)
    if "unet" in index or (folder / "unet").is_dir():
        return "unet3d"
    classes = [part[-1] for part in index.values() if isinstance(part, list) and part]
    for cls, of in _CLASSES.items():
        if cls in classes:
            return of
    name = index.get("_class_name")
    raise UserError(f"{file}: {short(name)} is of no family that can be loaded: {', '.join(FILES)}")


def family_of_parts(parts: Mapping[str, Any]) -> str:
    """The same of a backbone's configs, by the denoiser's."""
    return "unet3d" if "unet" in parts else _CLASSES.get(str(parts["transformer"].get("_class_name")), "wan")


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


def _missing(folder: Path | None, of_family: str, with_vae: bool) -> list[str]:
    """The needed files that are not in a folder; all of them for None."""
    names, files = [], FILES[of_family]
    for part, configs in files.configs.items():
        if part == "vae" and not with_vae:
            continue
        names += [
            f"{part}/{' or '.join(_names(file))}"
            for file in configs
            if folder is None or not _there(folder, _names(file), part)
        ]
        if part not in files.weights:
            continue
        there = [] if folder is None else _there(folder, files.weights[part], part)
        if not there:
            names.append(f"{part}/{files.weights[part][0]}")
        elif there[0].name.endswith(INDEX):
            names += [f"{part}/{file.name}" for file in shards(there[0]) if not file.is_file()]
    return names


def _names(file: str | tuple[str, ...]) -> tuple[str, ...]:
    """What a file may be called."""
    return (file,) if isinstance(file, str) else file


def _there(folder: Path, names: Sequence[str], part: str) -> list[Path]:
    return [folder / part / name for name in names if (folder / part / name).is_file()]


def shards(file: Path) -> list[Path]:
    """The files that hold a part's tensors: those that an index names, or the one file itself.

    Raises:
        UserError: the index is none.
    """
    if not file.name.endswith(INDEX):
        return [file]
    places = read_config(file).get("weight_map")
    names = set(places.values()) if isinstance(places, dict) else set()
    if not names or not all(isinstance(name, str) and name == Path(name).name for name in names):
        raise UserError(f"{file}: an index of weights must map each tensor to a file beside it (weight_map)")
    return [file.with_name(name) for name in sorted(names)]


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


def weights_file(folder: Path, part: str) -> Path:
    """The file that a part of a complete backbone is loaded from, or the index of its files."""
    return _there(folder, FILES[family(folder)].weights[part], part)[0]


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

    wanted = [f"{part}/{first(part, _names(file))}" for part, files in kind.configs.items() for file in files]
    for part, names in kind.weights.items():
        name = first(part, names)
        wanted.append(f"{part}/{name}")
        if name.endswith(INDEX):  # which shards there are is said in it; they are told by their names
            stem = name.removesuffix(".safetensors" + INDEX)
            wanted += [file for file in sorted(there) if re.fullmatch(rf"{part}/{stem}-\d+-of-\d+\.safetensors", file)]
    return wanted


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


def published_architecture(known: Preset) -> dict[str, dict[str, Any]] | None:
    """The configs of a named backbone of the hub, as they ship with this package; None for any other."""
    if known.hub_id is None or known not in PRESETS.values():
        return None
    return json.loads((ARCHITECTURES / known.architecture).read_text(encoding="utf-8"))


def frame_size(preset: Preset, denoiser: Mapping[str, Any], factor: int) -> tuple[int, int]:
    """(height, width) of a clip in pixels: the preset's, else the denoiser's sample size times the VAE's factor."""
    sample = denoiser.get("sample_size") or 32
    sides = [sample, sample] if isinstance(sample, int) else sample
    if not isinstance(sides, list | tuple) or [type(side) for side in sides] != [int, int] or min(sides) < 1:
        raise UserError(f"the denoiser's sample_size must be one or two whole numbers, got {short(sample)}")
    return preset.height or sides[0] * factor, preset.width or sides[1] * factor


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
        path for part, names in kind.configs.items() for one in names for path in _there(folder, _names(one), part)[:1]
    }
    for part, names in kind.weights.items():
        files |= {file for first in _there(folder, names, part)[:1] for file in shards(first)}
    return sorted(files)
