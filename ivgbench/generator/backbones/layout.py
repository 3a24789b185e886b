"""What a backbone's folder holds: its family, the files that it needs, and which of them are there. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError
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
UNET = "UNet3DConditionModel"
#: Which family a denoiser's class is of.
_CLASSES = {
    "WanTransformer3DModel": "wan",
    "CogVideoXTransformer3DModel": "cogvideox",
    "LTXVideoTransformer3DModel": "ltx",
}
#: Fetched when the repository has them: they change how a prompt is cut into tokens.
OPTIONAL = ("tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json")


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
        if _named(index.get("unet"), UNET) == UNET:
            return "unet3d"
        raise UserError(f"{file}: its network is a {short(_named(index['unet'], UNET))}; one of a {UNET} can be loaded")
    # Wan 2.2: either changes what the network is asked, and neither can be seen in its own files.
    for of_wan22 in ("transformer_2", "expand_timesteps"):
        if _named(index.get(of_wan22)):
            raise UserError(f"{file}: this is a Wan 2.2 ({of_wan22}), which is evaluated otherwise; use a Wan 2.1")
    classes = [part[-1] for part in index.values() if isinstance(part, list) and part]
    for cls, of in _CLASSES.items():
        if cls in classes:
            return of
    name = index.get("_class_name")
    raise UserError(f"{file}: {short(name)} is of no family that can be loaded: {', '.join(FILES)}")


def _named(part: Any, unsaid: Any = None) -> Any:
    """The class of a part by its entry in a model_index.json, [library, class]; of anything else the entry itself."""
    if part is None or part == []:
        return unsaid
    return part[-1] if isinstance(part, list) else part


def family_of_parts(parts: Mapping[str, Any]) -> str:
    """The same of a backbone's configs, by the denoiser's."""
    return "unet3d" if "unet" in parts else _CLASSES.get(str(parts["transformer"].get("_class_name")), "wan")


def read_config(file: Path, infinite: bool = False) -> dict[str, Any]:
    """One of a backbone's JSON files. UserError where it holds anything but an object."""
    config = read_json(file, "a config", infinite)
    if not isinstance(config, dict):
        raise UserError(f"{file}: a config must be an object of names and values, got {short(config)}")
    return config


def read_scheduler(folder: Path) -> dict[str, Any]:
    """The checkpoint's scheduler_config.json, in which the library writes a bound that there is none of as infinite."""
    return read_config(folder / "scheduler" / "scheduler_config.json", infinite=True)


def require_vae(folder: Path) -> None:
    """Refuses a folder that makes latents only: a run stores videos."""
    if not (folder / "vae").is_dir():
        raise UserError(
            f"backbone {folder}: it has no vae/, so that its latents cannot become videos; add vae/config.json and its "
            f"weights (without, only generate(output='latent') works)"
        )


def missing_files(folder: Path | None, of_family: str, with_vae: bool) -> list[str]:
    """The needed files that are not in a folder; all of them for None."""
    names, files = [], FILES[of_family]
    for part, configs in files.configs.items():
        if part == "vae" and not with_vae:
            continue
        names += [
            f"{part}/{' or '.join(names_of(file))}"
            for file in configs
            if folder is None or not present(folder, names_of(file), part)
        ]
        if part not in files.weights:
            continue
        there = [] if folder is None else present(folder, files.weights[part], part)
        if not there:
            names.append(f"{part}/{files.weights[part][0]}")
        elif there[0].name.endswith(INDEX):
            names += [f"{part}/{file.name}" for file in shards(there[0]) if not file.is_file()]
    return names


def names_of(file: str | tuple[str, ...]) -> tuple[str, ...]:
    """What a file may be called."""
    return (file,) if isinstance(file, str) else file


def present(folder: Path, names: Sequence[str], part: str) -> list[Path]:
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
    if not names or not all(isinstance(name, str) and name == Path(name).name != ".." for name in names):
        raise UserError(f"{file}: an index of weights must map each tensor to a file beside it (weight_map)")
    return [file.with_name(name) for name in sorted(names)]


def weights_file(folder: Path, part: str) -> Path:
    """The file that a part of a complete backbone is loaded from, or the index of its files."""
    return present(folder, FILES[family(folder)].weights[part], part)[0]
