"""Features of whole clips, for JEDi: one vector per clip. One factory per encoder; ivgbench.registry names them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ivgbench import hub
from ivgbench.errors import UserError
from ivgbench.files import state_sha256
from ivgbench.judges import ids
from ivgbench.judges.detectors import resize
from ivgbench.judges.vjepa import VIT_H, Config, VideoTransformer

POCKET_FOLDER = ids.POCKET_VIDEO
#: Of ImageNet, per channel, for pixels in 0..1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def to_pixels(video: np.ndarray, size: tuple[int, int, int]) -> torch.Tensor:
    """A clip uint8 [F,H,W,3] as the encoder's input, float32 [1,3,T,h,w] for size (T, h, w).

    T frames evenly from the first to the last; the whole frame is resized, not cropped, so that its edges are seen.
    """
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or not len(video):
        raise UserError(f"a video must be uint8 [F,H,W,3] with F >= 1, got {video.dtype} {list(video.shape)}")
    picks = np.round(np.linspace(0, len(video) - 1, size[0])).astype(int)
    frames = torch.from_numpy(video[picks]).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(one)[:, None, None] for one in (MEAN, STD))
    return ((resize(frames, size[1:]) - mean) / std).transpose(0, 1)[None]


class VideoModel:
    """An encoder of clips on a device. `id` names everything that changes a feature.

    encode: pixels [1,3,T,h,w] on the device -> [1,D]. size: the (T, h, w) that it is given. files: those behind an id
    that they do not tell by themselves.
    """

    def __init__(
        self,
        encode: Callable[[torch.Tensor], torch.Tensor],
        size: tuple[int, int, int],
        id: str,
        device: str,
        files: tuple[Path, ...] = (),
    ):
        self.encode, self.size, self.id, self.device, self.files = encode, size, id, device, files

    @torch.inference_mode()
    def embed_clip(self, video: np.ndarray) -> np.ndarray:
        """The feature of a clip uint8 [F,H,W,3]: float32 [D], not normalised."""
        return self.encode(to_pixels(video, self.size).to(self.device))[0].float().cpu().numpy()


def pocket(folder: str | Path = POCKET_FOLDER, device: str = "cpu") -> VideoModel:
    """The pocket lab's encoder: the published architecture, small, from config.json and model.safetensors.

    Raises:
        UserError: files that are missing or do not fit each other.
    """
    files = [Path(folder) / name for name in ("config.json", "model.safetensors")]
    for file in files:
        if not file.is_file():
            raise UserError(f"the video encoder is incomplete: {file} is missing; reinstall ivgbench, or train it")
    try:
        config: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(files[0].read_text(encoding="utf-8")).items()
        }
        model = _filled(Config(**config), load_file(files[1]))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as fault:
        raise UserError(f"{folder}: the video encoder's config and weights do not fit: {_line(fault)}") from None
    return VideoModel(model.to(device), model.encoder.config.size, ids.pocket_video(folder), device)


def vjepa(encoder: str | Path, probe: str | Path, device: str = "cpu", config: Config = VIT_H) -> VideoModel:
    """V-JEPA ViT-H/16 with its attentive probe, from the two published files.

    They are `vith16.pth.tar` and `ssv2-probe.pth.tar` of facebookresearch/jepa (CC-BY-NC-4.0: yours to fetch).
    Loading is safe: nothing in the files is executed.

    Raises:
        UserError: a file that is missing, is not such a checkpoint, or lacks or has more than the expected weights.
    """
    state = {}
    for part, path, key in (("encoder", Path(encoder), "target_encoder"), ("probe", Path(probe), "classifier")):
        if not path.is_file():
            raise UserError(f"V-JEPA's {part} weights: there is no file {path}; fetch it from facebookresearch/jepa")
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[key]
        except Exception as fault:  # a file of any other kind fails in any other way
            raise UserError(f"{path}: not V-JEPA's {part} weights ({key!r}): {_line(fault)}") from None
        for name, tensor in saved.items():
            state[f"{part}.{name.removeprefix('module.').removeprefix('backbone.')}"] = tensor
    try:
        model = _filled(config, state)
    except RuntimeError as fault:
        raise UserError(f"{encoder}, {probe}: not the weights of this network: {_line(fault)}") from None
    return VideoModel(model.to(device), config.size, ids.vjepa(encoder, probe, config.size), device)


def vjepa2(source: str | Path = "facebook/vjepa2-vitl-fpc16-256-ssv2", device: str = "cpu") -> VideoModel:
    """V-JEPA 2 with its attentive probe, through transformers: a folder, or a name on the hub.

    Another model than JEDi's, with another scale: its values compare with each other only.

    Raises:
        UserError: nothing there that loads.
    """
    from transformers import VJEPA2ForVideoClassification

    try:
        model = VJEPA2ForVideoClassification.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as fault:
        raise UserError(f"cannot load V-JEPA 2 from {source}: {_line(fault)}; fetch it while online") from None
    model = model.float().eval().requires_grad_(False).to(device)
    size = (model.config.frames_per_clip, model.config.crop_size, model.config.crop_size)

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        tokens = model.vjepa2(pixel_values_videos=pixels.transpose(1, 2), skip_predictor=True).last_hidden_state
        return model.pooler(tokens)

    id = ids.video(f"vjepa2-{state_sha256(model.state_dict())[:12]}", size)
    folder = Path(source) if Path(source).is_dir() else hub.cached_folder(str(source), "config.json")
    files = sorted(folder.glob("*.safetensors")) if folder else []
    return VideoModel(encode, size, id, device, (folder / "config.json", *files) if folder and files else ())


def _filled(config: Config, state: dict[str, torch.Tensor]) -> VideoTransformer:
    """The network with these weights, all of them and no others."""
    with torch.device("meta"):
        model = VideoTransformer(config)
    model.load_state_dict(state, assign=True)
    return model.float().eval().requires_grad_(False)


def _line(fault: Exception) -> str:
    """An error's kind and text on one line, not too long."""
    return f"{type(fault).__name__}: {' '.join(str(fault).split())[:200]}"
