"""The ids of judges from their files: nothing is loaded, and no model library imported.

The judges themselves take their ids from here. An id that stands on what only a loaded model tells (weights that a
library keeps where it likes, a config that it completes) is noted when the model was loaded (`ivgbench.judges.noted`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ivgbench
from ivgbench.files import digest, file_sha256

#: The pocket lab's judges.
POCKET = Path(ivgbench.__file__).parent / "pocket" / "weights"
POCKET_CLIP, POCKET_DETECTOR, POCKET_VIDEO = POCKET / "clip", POCKET / "detector", POCKET / "video"
POCKET_DENOISER = POCKET / "denoiser" / "model.safetensors"
#: The sizes (frames, height, width) of a clip that V-JEPA's ViT-H/16 is given.
VJEPA_SIZE = (16, 224, 224)
#: torch-fidelity's weights, as torch's cache calls them.
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"


def pocket_yolo(folder: str | Path = POCKET_DETECTOR) -> str:
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    return f"pocket-yolo-{digest([file_sha256(Path(folder) / 'model.safetensors'), config])[:12]}"


def clip(name: str, weights: str, preprocessing: str) -> str:
    """weights: their sha256."""
    return f"clip-{name}-{weights[:12]}-{preprocessing}"


def squashed(clip: str) -> str:
    """The id of the same CLIP with the whole frame squashed to its input, of that with the middle cropped."""
    return f"{clip.removesuffix('-crop')}-squash"


def clip_of_files(source: str, preprocessing: str = "crop") -> str | None:
    """The id of a CLIP by its source (see `ClipModel.from_pretrained`); None where its library has the weights."""
    if source == "pocket" or Path(source).is_dir():
        folder = POCKET_CLIP if source == "pocket" else Path(source)
        name = "pocket" if source == "pocket" else folder.name
        return clip(name, file_sha256(folder / "model.safetensors"), preprocessing)
    name, _, file = source.partition("/")
    return clip(f"{name}-{Path(file).stem}", file_sha256(file), preprocessing) if Path(file).is_file() else None


def denoiser(file: str | Path = POCKET_DENOISER) -> str:
    return f"pocket-denoiser-{file_sha256(file)[:12]}"


def inception_file() -> Path:
    """Where torch's cache keeps the weights (torch.hub.get_dir, without torch)."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints" / INCEPTION


def inception(file: str | Path | None = None) -> str:
    return f"inception-{file_sha256(inception_file() if file is None else file)[:12]}"


def video(name: str, size: tuple[int, ...]) -> str:
    """size: (frames, height, width) of what it is given."""
    return f"{name}-{'x'.join(map(str, size))}"


def pocket_video(folder: str | Path = POCKET_VIDEO) -> str:
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    weights = file_sha256(Path(folder) / "model.safetensors")
    return video(f"pocket-video-{digest([weights, config])[:12]}", config["size"])


def vjepa(encoder: str | Path, probe: str | Path, size: tuple[int, int, int] = VJEPA_SIZE) -> str:
    return video(f"vjepa-{digest([file_sha256(encoder), file_sha256(probe)])[:12]}", size)


#: Kind and name of the registry -> the id, of the files that stand behind the name.
_OF_FILES: dict[tuple[str, str], Callable[..., str]] = {
    ("detector", "pocket"): pocket_yolo,
    ("frame encoder", "denoiser"): denoiser,
    ("frame encoder", "inception"): inception,
    ("video encoder", "pocket"): pocket_video,
    ("video encoder", "vjepa"): lambda encoder, probe: vjepa(encoder, probe),
}


def of_files(kind: str, name: str) -> str | None:
    """A judge's id from its files alone; None where they do not tell it, are missing or damaged: loading it says how.

    Args:
        kind: "detector", "clip", "frame encoder" or "video encoder". name: as a run spec has it.
    """
    head, _, files = name.partition(":")
    read: Callable[..., Any] | None = _OF_FILES.get((kind, head))
    try:
        if kind == "clip":
            return clip_of_files(name)
        return None if read is None else read(*(files.split(",") if files else []))
    except (OSError, ValueError, KeyError, TypeError):
        return None
