"""The pocket CLIP: an open_clip model that judges whether frames show what a caption says.

It shares no weights, no seed and no data with the text-to-video model. Half of its training frames went through the
autoencoder and back, so that it is at home on generated frames.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file

from ivgbench import world
from ivgbench.files import write_atomic, write_json
from ivgbench.pocket.training.loop import Schedule, fit, half_precision
from ivgbench.pocket.training.tokenizer import merges, vocabulary
from ivgbench.pocket.training.vae import round_trip

SCHEDULE = Schedule(steps=900, learning_rate=1e-3, warmup=100, weight_decay=0.05)
BATCH = 64
MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": [world.HEIGHT, world.WIDTH],
        "layers": 4,
        "width": 128,
        "head_width": 32,
        "patch_size": 8,
    },
    "text_cfg": {"context_length": 24, "vocab_size": len(vocabulary()), "width": 64, "heads": 4, "layers": 2},
}
PREPROCESS_CONFIG = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}
BPE_FILE = "bpe_simple_vocab.txt.gz"


def save_bpe(folder: Path) -> Path:
    """The world's merges in the file format of open_clip's SimpleTokenizer."""
    text = "\n".join(["#version: 0.2", *(f"{a} {b}" for a, b in merges())])
    # mtime 0: the same merges are the same bytes.
    write_atomic(folder / BPE_FILE, lambda handle: handle.write(gzip.compress(text.encode(), mtime=0)))
    return folder / BPE_FILE


def build_tokenizer(folder: Path) -> SimpleTokenizer:
    return SimpleTokenizer(bpe_path=str(folder / BPE_FILE), context_length=MODEL_CONFIG["text_cfg"]["context_length"])


def sample_frames(split: str, first: int, count: int, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """One random frame of each of `count` clips: uint8 [N,H,W,3] and their captions."""
    clips = [world.sample_clip(split, first + i) for i in range(count)]
    return np.stack([clip.video[rng.integers(world.FRAMES)] for clip in clips]), [clip.caption for clip in clips]


def train(work: Path, vae: AutoencoderKL, seed: int = 7, device: str = "cpu", steps: int | None = None) -> CLIP:
    """Cross-entropy over every caption of the world for frames, over the batch's frames for captions."""
    torch.manual_seed(seed)
    model = CLIP(**MODEL_CONFIG).to(device)
    save_bpe(work)
    captions = world.all_captions()
    tokens = build_tokenizer(work)(captions).to(device)
    vae = vae.to(device).eval().requires_grad_(False)
    schedule = SCHEDULE if steps is None else Schedule(**{**SCHEDULE.__dict__, "steps": steps})

    def loss_of(step: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, step])
        frames, truth = sample_frames("clip", seed * 10**7 + step * BATCH, BATCH, rng)
        frames[::2] = round_trip(vae, frames[::2])
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).to(device).float() / 127.5 - 1
        target = torch.tensor([captions.index(text) for text in truth], device=device)
        with half_precision(device):
            image, text = model.encode_image(pixels), model.encode_text(tokens)
        logits = (
            model.logit_scale.exp().clamp(max=100)
            * F.normalize(image.float(), dim=-1)
            @ F.normalize(text.float(), dim=-1).T
        )
        present = target.unique()
        same = F.one_hot(target, len(captions)).float()[:, present]
        to_image = -(logits[:, present].log_softmax(0) * same / same.sum(0)).sum(0).mean()
        return (F.cross_entropy(logits, target) + to_image) / 2

    model.load_state_dict(fit("clip", model, loss_of, schedule, work))
    return model.eval()


def save(model: CLIP, folder: Path) -> None:
    """Writes open_clip's config, the vocabulary and half-precision weights."""
    write_json(folder / "open_clip_config.json", {"model_cfg": MODEL_CONFIG, "preprocess_cfg": PREPROCESS_CONFIG})
    save_bpe(folder)
    save_file(
        {name: value.half().contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors"
    )
