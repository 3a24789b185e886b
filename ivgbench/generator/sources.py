"""Where a backbone's files are, whether they are complete, and their identity. No torch: planning reads this alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ivgbench.errors import UserError
from ivgbench.files import digest, file_sha256

#: What counts as a part of the weights: anything else in a folder (cards, pictures) changes no pixel.
HASHED_SUFFIXES = (".json", ".safetensors", ".txt")
PARTS = {
    "tokenizer": ("vocab.json", "merges.txt"),
    "text_encoder": ("config.json", "model.safetensors"),
    "unet": ("config.json", "diffusion_pytorch_model.safetensors"),
    "scheduler": ("scheduler_config.json",),
}
VAE_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
POCKET_FOLDER = Path(__file__).parent.parent / "pocket" / "weights" / "text-to-video"


@dataclass(frozen=True)
class Preset:
    """What a backbone is best run with. Sizes in pixels; `height` and `width` None: the denoiser's own sample size."""

    frames: int = 24
    height: int | None = None
    width: int | None = None
    steps: int = 40
    guidance: float = 9.0
    hub_id: str | None = None


#: Named backbones. Sizes as in the published demos (Peekaboo's app: 40 steps, guidance 9); the pocket's are tuned.
PRESETS = {
    "pocket": Preset(frames=8, height=48, width=80, steps=20, guidance=3.0),
    "zeroscope": Preset(frames=24, height=320, width=576, hub_id="cerspense/zeroscope_v2_576w"),
    "modelscope": Preset(frames=16, height=256, width=256, hub_id="damo-vilab/text-to-video-ms-1.7b"),
}


def preset(source: str) -> tuple[str, Preset]:
    """The (name, preset) of a source: a named backbone, the hub id of one, or any other folder or hub id."""
    if source in PRESETS:
        return source, PRESETS[source]
    for name, known in PRESETS.items():
        if known.hub_id == source:
            return name, known
    return Path(source).name, Preset()


def locate(source: str | Path) -> Path:
    """The folder of a source, all needed files in it.

    Args:
        source: "pocket", "zeroscope", "modelscope", a folder in diffusers format, or a hub id that has been fetched.
    Raises:
        UserError: nothing there, or the list of missing files.
    """
    text = str(source)
    known = preset(text)[1]
    if text == "pocket":
        folder = POCKET_FOLDER
        if not folder.is_dir():
            raise UserError("the pocket backbone has no weights here; train them: python -m ivgbench.pocket.train")
    elif Path(text).is_dir():
        folder = Path(text)
    elif known.hub_id or (text.count("/") == 1 and not text.startswith((".", "/"))):
        folder = _hub_snapshot(known.hub_id or text, text)
    else:
        raise UserError(
            f"no backbone {text!r}: neither a folder, nor one of {', '.join(PRESETS)}, nor a hub id (owner/name)"
        )
    parts = {**PARTS, "vae": VAE_FILES} if (folder / "vae").is_dir() else PARTS
    missing = [
        f"{part}/{file}" for part, files in parts.items() for file in files if not (folder / part / file).is_file()
    ]
    if missing:
        raise UserError(f"backbone {text!r}: missing in {folder}: {', '.join(missing)} (only safetensors are read)")
    return folder


def _hub_snapshot(hub_id: str, source: str) -> Path:
    """The local copy of a hub repository; never downloads, so that a run cannot start with gigabytes of surprise."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise UserError(
            f"backbone {source!r} ({hub_id}) is not on this machine; run `ivgbench fetch {source}`"
        ) from None


def weights_hash(folder: Path) -> str:
    """sha256 over the sorted (relative path, file sha256) of a folder's json, safetensors and txt files, hex."""
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix in HASHED_SUFFIXES and path.is_file())
    return digest([[path.relative_to(folder).as_posix(), file_sha256(path)] for path in files])
