"""OWL-ViT (Minderer et al. 2022), the open-vocabulary detector of the published box metrics, through transformers."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import OwlViTForObjectDetection, OwlViTProcessor
from transformers.utils import logging as transformers_logging

from ivgbench import hub
from ivgbench.errors import UserError, named_line
from ivgbench.files import digest, file_sha256
from ivgbench.judges.detectors import Detections, check_video

#: What Peekaboo's evaluation uses; TrailBlazer's code has google/owlvit-base-patch32.
DEFAULT = "google/owlvit-large-patch14"
#: Of the release: the pipeline's own default.
THRESHOLD = 0.1
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
#: What else is read, as far as a repository has it: the image processor's and the tokenizer's files.
CONFIGS = (
    "config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json",
    "vocab.json", "merges.txt", "special_tokens_map.json",
)  # fmt: skip
BATCH = 8


def to_fetch(files: Sequence[str]) -> list[str]:
    """Of all files of a hub repository, those the detector needs."""
    weights = [name for name in WEIGHTS if name in files][:1]
    if not weights or "config.json" not in files:
        raise UserError(f"the repository is no OWL-ViT: it needs config.json and {' or '.join(WEIGHTS)}")
    return [name for name in CONFIGS if name in files] + weights


class OwlVit:
    """The best box of a phrase in each frame. `id` names all that changes a box: weights, threshold, library version.

    The phrase is the query as it is, without a template. A detection counts when its score is above `threshold`.
    """

    def __init__(self, source: str | Path = DEFAULT, device: str = "cpu", threshold: float = THRESHOLD):
        """Loads a folder, or a hub id that has been fetched.

        Raises:
            UserError: not on this machine, or files that do not fit.
        """
        folder = Path(source) if Path(source).is_dir() else hub.cached_folder(str(source), "config.json")
        if folder is None:
            raise UserError(
                f"the detector {source} is not on this machine: missing config.json, {WEIGHTS[0]} and its "
                f"processor's files; get them with `ivgbench fetch owlvit:{source}`"
            )
        weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
        if weights is None:
            raise UserError(f"the detector {source}: there is neither {' nor '.join(WEIGHTS)} in {folder}")
        shown = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()
        try:
            self.processor = OwlViTProcessor.from_pretrained(folder, local_files_only=True)
            self.model, info = OwlViTForObjectDetection.from_pretrained(
                folder, use_safetensors=weights.suffix == ".safetensors", local_files_only=True, dtype=torch.float32,
                output_loading_info=True,
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError, pickle.UnpicklingError, SafetensorError) as fault:
            raise UserError(f"the detector {folder} cannot be loaded: {named_line(fault)}") from None
        finally:
            if shown:
                transformers_logging.enable_progress_bar()
        if info["missing_keys"]:
            raise UserError(f"{weights}: the weights lack {len(info['missing_keys'])} tensors; damaged file")
        self.model.eval().requires_grad_(False).to(device)
        self.device, self.threshold = device, threshold
        side = self.model.config.vision_config.image_size
        self.size = {"height": side, "width": side}
        facts = [file_sha256(weights), self.model.config.to_json_string(), threshold, version("transformers")]
        self.files = tuple(file for name in (*CONFIGS, *WEIGHTS) if (file := folder / name).is_file())
        self.id = f"owlvit-{Path(source).name}-t{threshold:g}-{digest(facts)[:12]}"

    @torch.inference_mode()
    def detect(self, video: np.ndarray, phrase: str) -> Detections:
        """The best box of a phrase in every frame of a video uint8 [F,H,W,3]."""
        check_video(video)
        # The whole frame is squashed to the model's square: its boxes, as fractions, are then the frame's. A crop, or
        # the size in a checkpoint's own config, would move them on frames that are not square.
        pixels = self.processor.image_processor(
            images=[np.ascontiguousarray(frame) for frame in video],
            size=self.size,
            do_resize=True,
            do_center_crop=False,
            return_tensors="pt",
        )["pixel_values"]
        text = self.processor.tokenizer(
            [phrase], padding="max_length", truncation=True, return_tensors="pt",
            max_length=self.model.config.text_config.max_position_embeddings,
        ).to(self.device)  # fmt: skip
        boxes, scores = [], []
        for batch in pixels.split(BATCH):
            queries = {name: text[name].expand(len(batch), -1) for name in ("input_ids", "attention_mask")}
            output = self.model(pixel_values=batch.to(self.device), **queries)
            boxes.append(output.pred_boxes.float().cpu())
            scores.append(torch.sigmoid(output.logits[..., 0].float()).cpu())
        return _best(torch.cat(boxes).double().numpy(), torch.cat(scores).double().numpy(), self.threshold)


def _best(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> Detections:
    """Top-1 per frame of candidates [F,N,4] (x, y of the centre, width, height in 0..1) with scores [F,N]."""
    rows, best = np.arange(len(scores)), scores.argmax(1)
    centre, sides = boxes[rows, best, :2], boxes[rows, best, 2:]
    found = np.clip(np.concatenate([centre - sides / 2, centre + sides / 2], 1), 0, 1)
    top = scores[rows, best]
    found[top <= threshold] = np.nan
    return Detections(found, top)
