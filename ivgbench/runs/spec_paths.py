"""Files that a run spec names: relative to the spec, not to wherever the command was typed. Names stay names."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ivgbench.generator.backbones.presets import PRESETS
from ivgbench.runs.references import DRAWN

#: Judges that are read from files, and never by a name of the hub.
FROM_FILES = ("pocket", "denoiser", "inception", "vjepa", "yolo-world")
#: Endings of weights: what has one is a file, whether it is there or not.
WEIGHTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".tar")


def beside(spec: Path, data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a spec with every file and folder named in full: the same wherever the command was typed.

    Args:
        spec: the spec's file. data: its fields, of the right kinds.
    """
    base = Path(spec).absolute().parent
    found = dict(data)
    rules = {
        "suites": _suite, "references": _reference, "lora": _file, "backbone": _backbone, "detector": _judge,
        "clip": _clip, "frame_encoders": _judge, "video_encoder": _judge,
    }  # fmt: skip
    for key, rule in rules.items():
        value = data.get(key)
        if isinstance(value, str):
            found[key] = rule(base, value)
        elif value:
            found[key] = tuple(rule(base, one) for one in value)
    return found


def _file(base: Path, text: str) -> str:
    return os.path.normpath(base / Path(text).expanduser()) if text else text


def _suite(base: Path, text: str) -> str:
    return _file(base, text) if text.endswith(".jsonl") or "/" in text else text


def _reference(base: Path, text: str) -> str:
    return text if text in DRAWN else _file(base, text)


def _backbone(base: Path, text: str) -> str:
    """A named backbone, the name of one on the hub, or a folder."""
    return text if text in PRESETS or _is_on_hub(base, text) else _file(base, text)


def _judge(base: Path, text: str) -> str:
    """NAME, or NAME:FILE,FILE where some judges also take a name of the hub for a file."""
    kind, colon, files = text.partition(":")
    parts = [one if kind not in FROM_FILES and _is_on_hub(base, one) else _file(base, one) for one in files.split(",")]
    return f"{kind}:{','.join(parts)}" if colon else text


def _clip(base: Path, text: str) -> str:
    """ "pocket", a folder, or MODEL/WEIGHTS of open_clip, whose weights are a tag or a file."""
    if text.startswith((".", "~", "/")) or (text and (base / text).is_dir()):
        return _file(base, text)
    model, slash, weights = text.partition("/")
    is_file = "/" in weights or weights.endswith(WEIGHTS) or (base / weights).is_file()
    return f"{model}/{_file(base, weights)}" if slash and is_file else text


def _is_on_hub(base: Path, text: str) -> bool:
    """Whether a text is a name OWNER/NAME: it looks like one, and nothing of that name lies beside the spec."""
    looks = re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text) and not text.endswith(WEIGHTS)
    return bool(looks) and not (base / text).exists()
