"""YOLO-World (Cheng et al. 2024), an open-vocabulary detector that is much faster, through ultralytics (AGPL-3.0).

Its text side is OpenAI's CLIP ViT-B/32. ultralytics would install a package for that from a repository; open_clip has
the same weights, so the embeddings of a phrase come from there.
"""

from __future__ import annotations

import json
import pickle
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ivgbench.errors import UserError, named_line
from ivgbench.files import digest, file_sha256
from ivgbench.judges import layouts
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import BATCH, Detections, best_boxes, check_video, quiet_ultralytics, resize

TEXT_MODEL = "ViT-B-32-quickgelu/openai"
#: ultralytics' own default; its scores are not those of other detectors.
THRESHOLD = 0.25
#: Frames are brought to this many pixels on the longer side, as the model was trained, both sides multiples of 32.
LONGER_SIDE = 640


class YoloWorld:
    """The best box of a phrase in each frame. `id` names all that changes a box: weights, text model, threshold."""

    def __init__(self, source: str | Path = "", device: str = "cpu", threshold: float = THRESHOLD):
        """Loads a checkpoint.

        Args:
            source: ultralytics' .pt file (e.g. yolov8s-worldv2.pt), of which nothing but tensors and layers is read;
                or a folder with config.json (`yaml`, the model's dict) and model.safetensors.
        Raises:
            UserError: no such file, something else than a YOLO-World, or no text model.
        """
        path = Path(source)
        file = path / "model.safetensors" if path.is_dir() else path
        if not str(source) or not file.is_file():
            raise UserError(
                f"the detector yolo-world needs its weights: there is no file {str(file)!r}; write "
                "yolo-world:FILE.pt with a checkpoint of ultralytics, e.g. yolov8s-worldv2.pt from its releases"
            )
        quiet_ultralytics()
        from ultralytics.nn.tasks import WorldModel

        try:
            yaml, weights = _from_folder(path) if path.is_dir() else _from_checkpoint(path)
            with torch.random.fork_rng(devices=[]):  # the random weights that are overwritten next cost no one a draw
                model = WorldModel(deepcopy(layouts.check(yaml)), ch=3, nc=int(yaml["nc"]), verbose=False)
            model.load_state_dict(weights)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, OSError, SafetensorError) as fault:
            raise UserError(f"{file}: no YOLO-World model: {named_line(fault)}") from None
        self.text = ClipModel.from_pretrained(TEXT_MODEL, device=device)
        self.model = model.float().eval().requires_grad_(False).to(device)
        self.device, self.threshold = device, threshold
        facts = [file_sha256(file), self.text.id, threshold, LONGER_SIDE, version("ultralytics")]
        # Without the text model's file there is no telling when the id changes.
        self.files = (*path.glob("*.json"), file, *self.text.files) if self.text.files else ()
        self.id = f"yolo-world-{path.stem}-t{threshold:g}-{digest(facts)[:12]}"

    @torch.inference_mode()
    def detect(self, video: np.ndarray, phrase: str) -> Detections:
        """The best box of a phrase in every frame of a video uint8 [F,H,W,3]."""
        check_video(video)
        size = input_size(*video.shape[1:3])
        # One class, the phrase: what set_classes does, with embeddings that are already here.
        self.model.txt_feats = torch.from_numpy(self.text.embed_text([phrase]))[None].to(self.device)
        self.model.model[-1].nc = 1
        frames = torch.from_numpy(np.array(video)).permute(0, 3, 1, 2)
        parts = []
        for batch in frames.split(BATCH):
            # In eval mode ultralytics returns (decoded, raw).
            decoded = self.model(resize(batch.to(self.device).float() / 255, size))[0]
            parts.append(decoded.float().cpu().numpy())
        return best_boxes(np.concatenate(parts), 0, size, self.threshold)


def input_size(height: int, width: int) -> tuple[int, int]:
    """The nearest sizes that are multiples of 32, with the longer side LONGER_SIDE."""
    scale = LONGER_SIDE / max(height, width)
    rows, columns = (max(32, round(side * scale / 32) * 32) for side in (height, width))
    return rows, columns


def _from_folder(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    yaml = json.loads((folder / "config.json").read_text(encoding="utf-8"))["yaml"]
    return yaml, load_file(folder / "model.safetensors")


def _from_checkpoint(file: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The model's dict and weights of an ultralytics checkpoint, which pickles the model as a whole.

    Read with torch's restricted reader, which makes no object of a class it is not told. For each layer of torch and
    ultralytics that the file names it is told a stand-in, which holds tensors and does nothing: a layer itself could be
    called with arguments of the file's choice. A file that names anything else is refused.
    """
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise UserError(f"{file}: reading a .pt safely needs torch 2.6 or newer; use a folder with safetensors")
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        stands: list[Any] = [_stand_in(name, file) for name in names]
        with torch.serialization.safe_globals(stands):
            model = torch.load(file, map_location="cpu", weights_only=True)["model"]
    except pickle.UnpicklingError as fault:
        raise UserError(f"{file}: refused: {str(fault).splitlines()[0][:200]}") from None
    return model.yaml, model.float().state_dict()


def _stand_in(name: str, file: Path) -> type:
    """A module in the place of a layer that a checkpoint names: made without arguments, and nothing but its parts."""
    module, _, attribute = name.rpartition(".")
    if not module.startswith(("torch.nn.modules.", "ultralytics.nn.")) or not attribute[:1].isupper():
        raise UserError(f"{file}: refused: it would run {name} when read; use a folder with safetensors")
    return type(attribute, (torch.nn.Module,), {"__module__": module, "__init__": _without_arguments})


def _without_arguments(self: torch.nn.Module) -> None:
    torch.nn.Module.__init__(self)
