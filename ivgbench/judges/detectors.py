"""Detectors: where a phrase's thing is in each frame. One class per detector; ivgbench.registry names them."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from ivgbench.cases import spelling
from ivgbench.errors import UserError, named_line
from ivgbench.judges import ids, layouts

POCKET_FOLDER = ids.POCKET_DETECTOR
BATCH = 32


class Detections(NamedTuple):
    """One subject over a clip.

    boxes: float64 [F,4] xyxy, fractions of the frame, inside it; a row of NaN where nothing passed the threshold.
    scores: float64 [F], the best score of each frame, 0..1, whether it passed or not.
    """

    boxes: np.ndarray
    scores: np.ndarray


class PocketYolo:
    """The pocket lab's detector: an ultralytics YOLO with one class per phrase, e.g. "red star".

    `id` names all that changes a box: weights, classes, size and threshold. A detection counts when its score is above
    `threshold`.
    """

    @classmethod
    def from_pretrained(cls, source: str | Path = "pocket", device: str = "cpu") -> PocketYolo:
        """Loads "pocket", the weights that ship with the package, or a folder in the same layout."""
        return cls(POCKET_FOLDER if source == "pocket" else Path(source), device)

    def __init__(self, folder: Path = POCKET_FOLDER, device: str = "cpu"):
        """Loads a folder that holds config.json and model.safetensors.

        config.json: `yaml`, the model's dict; `names` of the classes in order; `size`, [H, W] that frames are resized
        to, multiples of 32; `threshold`.
        Raises:
            UserError: files that are missing or do not fit each other.
        """
        config_file, weights = Path(folder) / "config.json", Path(folder) / "model.safetensors"
        for file in (config_file, weights):
            if not file.is_file():
                raise UserError(
                    f"the detector is incomplete: {file} is missing; reinstall ivgbench, or name another detector"
                )
        DetectionModel = quiet_ultralytics()
        try:
            config = json.loads(config_file.read_text(encoding="utf-8"))
            self.names: list[str] = [spelling(name) for name in config["names"]]
            self.size: tuple[int, int] = tuple(config["size"])
            self.threshold = float(config["threshold"])
            layout = deepcopy(layouts.check(config["yaml"]))
            with torch.random.fork_rng(devices=[]):  # building draws random weights; they are overwritten next
                model = DetectionModel(layout, ch=3, nc=len(self.names), verbose=False)
            model.load_state_dict(load_file(weights))
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, SafetensorError) as fault:
            raise UserError(f"{folder}: the detector's config and weights do not fit: {named_line(fault)}") from None
        self.model = model.eval().requires_grad_(False).to(device)
        self.device = device
        self.id = ids.pocket_yolo(folder)

    @torch.inference_mode()
    def detect(self, video: np.ndarray, phrase: str) -> Detections:
        """The best box of a phrase's class in every frame of a video uint8 [F,H,W,3].

        Only the best box is wanted, so there is nothing for non-maximum suppression to do.
        Raises:
            UserError: a phrase that is no class of the detector, or something that is not a video.
        """
        check_video(video)
        if (wanted := spelling(phrase)) not in self.names:
            known = ", ".join(repr(name) for name in self.names[:4])
            raise UserError(
                f"the pocket detector does not know {phrase!r}; it knows {len(self.names)} phrases: {known}, ..."
            )
        # A copy: the caller's array may be read-only or reversed, which torch does not take.
        frames = torch.from_numpy(np.array(video)).permute(0, 3, 1, 2)
        parts = []
        for batch in frames.split(BATCH):
            pixels = resize(batch.to(self.device).float() / 255, self.size)
            # In eval mode ultralytics returns (decoded, raw).
            decoded = self.model(pixels)[0]
            if decoded.ndim != 3 or decoded.shape[1] != 4 + len(self.names):
                raise UserError(
                    f"the detector's model returns {list(decoded.shape)}, not [F, 4 + classes, anchors]; no end2end"
                )
            parts.append(decoded.float().cpu().numpy())
        return best_boxes(np.concatenate(parts), self.names.index(wanted), self.size, self.threshold)


def check_video(video: np.ndarray) -> None:
    """UserError for anything but uint8 [F,H,W,3] with at least one frame."""
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or not len(video):
        raise UserError(f"a video must be uint8 [F,H,W,3] with F >= 1, got {video.dtype} {list(video.shape)}")


def resize(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear resize of float frames [F,3,H,W] to `size`; smoothed first where it shrinks them, so nothing aliases."""
    shrinks = frames.shape[2] > size[0] or frames.shape[3] > size[1]
    return F.interpolate(frames, size, mode="bilinear", align_corners=False, antialias=shrinks)


def best_boxes(decoded: np.ndarray, column: int, size: tuple[int, int], threshold: float) -> Detections:
    """Top-1 box per frame of one class.

    Args:
        decoded: [F, 4 + classes, anchors] as ultralytics' Detect head returns it: x, y of the centre, width, height in
            input pixels, then one score per class, after the sigmoid.
        column: index of the class.
        size: (H, W) of the input, in pixels.
        threshold: only a score above it counts.
    """
    decoded = np.asarray(decoded, dtype=np.float64)
    best = decoded[:, 4 + column].argmax(1)
    rows = np.arange(len(decoded))
    scores = decoded[rows, 4 + column, best]
    centre, sides = decoded[rows, :2, best], decoded[rows, 2:4, best]
    height, width = size
    found = np.concatenate([centre - sides / 2, centre + sides / 2], 1) / [width, height, width, height]
    # A box may leave the image by a little; the asked ones never do.
    found = np.clip(found, 0, 1)
    found[scores <= threshold] = np.nan
    return Detections(found, scores)


def quiet_ultralytics() -> Any:
    """ultralytics' DetectionModel, imported so that it neither asks the network, installs packages, nor leaves files.

    On import, version 8.4 looks up hosts to see whether it is online, writes a settings file into the user's config
    folder, replaces torch.save, resets numpy's and torch's print options, and sets environment variables that later
    processes inherit (OMP_NUM_THREADS=1 among them). Settings go to a temporary folder here, and the rest is put back.
    """
    if "ultralytics" not in sys.modules:
        before = dict(os.environ)
        save, print_options = torch.save, np.get_printoptions()
        with tempfile.TemporaryDirectory(prefix="ivgbench-") as folder:
            quiet = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
            os.environ.update(quiet, YOLO_CONFIG_DIR=folder)
            try:
                import ultralytics.nn.tasks

                ultralytics.settings.update(sync=False)
            finally:
                os.environ.clear()
                os.environ.update(before | quiet)
                torch.save = save
                np.set_printoptions(**print_options)
                torch.set_printoptions(profile="default")  # torch does not tell what they were
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel
