"""Writes the pocket lab's model card from measurements: `python -m ivgbench.pocket.card`."""

from __future__ import annotations

import argparse
import csv
import json
import platform
from pathlib import Path

import torch

from ivgbench.files import write_json, write_text
from ivgbench.pocket import world
from ivgbench.pocket.loop import default_work_dir
from ivgbench.pocket.train import WEIGHTS

LOGS = ("vae", "text-to-video-frames", "text-to-video-clips", "clip", "detector")
FRAMES = 512


def training(work: Path) -> dict[str, dict[str, float]]:
    """The last line of each part's log: steps done, loss, seconds."""
    facts = {}
    for name in LOGS:
        with (work / f"{name}.csv").open() as handle:
            last = list(csv.DictReader(handle))[-1]
        facts[name] = {"steps": int(last["step"]), "loss": float(last["loss"]), "seconds": float(last["seconds"])}
    return facts


def measure(weights: Path) -> dict[str, float]:
    """Every quality number, on held-out data, as rendered and through the autoencoder."""
    from diffusers import AutoencoderKL

    from ivgbench.metrics.detectors import PocketYolo
    from ivgbench.metrics.features import ClipModel
    from ivgbench.pocket import quality
    from ivgbench.pocket.vae import round_trip

    frames, clips, picks = quality.held_out(FRAMES)
    autoencoder = AutoencoderKL.from_pretrained(weights / "text-to-video" / "vae", torch_dtype=torch.float32).eval()
    yolo, judge = PocketYolo(weights / "detector"), ClipModel.from_pretrained(weights / "clip")
    seen = round_trip(autoencoder, frames)
    return {
        "autoencoder PSNR, dB": quality.psnr(seen, frames),
        "detector mAP50, rendered": quality.map50(yolo, frames, clips, picks),
        "detector mAP50, through the autoencoder": quality.map50(yolo, seen, clips, picks),
        "CLIP right caption among 64, rendered": quality.caption_accuracy(judge, frames, clips),
        "CLIP right caption among 64, through the autoencoder": quality.caption_accuracy(judge, seen, clips),
    }


def sizes(weights: Path) -> dict[str, float]:
    """Megabytes on disk of each part."""
    parts = sorted(path for path in weights.iterdir() if path.is_dir())
    return {part.name: sum(f.stat().st_size for f in part.rglob("*") if f.is_file()) / 1e6 for part in parts}


def render(facts: dict) -> str:
    """The card as Markdown."""
    rows = lambda table: "\n".join(f"| {key} | {value:.4g} |" for key, value in table.items())  # noqa: E731
    steps = "\n".join(
        f"| {name} | {fact['steps']} | {fact['loss']:.4f} | {fact['seconds'] / 60:.0f} |"
        for name, fact in facts["training"].items()
    )
    return f"""# Model card: the pocket lab

Trained from scratch on videos that `ivgbench/pocket/world.py` renders ({len(world.COLOURS)} colours,
{len(world.SHAPES)} shapes, {len(world.BACKGROUNDS)} backgrounds;
{world.FRAMES} frames of {world.HEIGHT}x{world.WIDTH} pixels).
It is for relative statements about methods; it says nothing certain about ZeroScope or any other model.
This page is written by `python -m ivgbench.pocket.card`; numbers are measured, n = {FRAMES} held-out frames.

| measured | value |
|---|---|
{rows(facts["quality"])}

| trained | steps | last loss | minutes |
|---|---|---|---|
{steps}

Device: {facts["device"]}, torch {facts["torch"]}. Training seeds: text-to-video 0, autoencoder 0, CLIP 7, detector 9;
data streams are named in `world.SPLIT_SEEDS`. Train again with `python -m ivgbench.pocket.train all`.

{facts["notes"]}

| folder | MB |
|---|---|
{rows(facts["megabytes"])}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=default_work_dir(), help="training logs (default: %(default)s)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    record = arguments.weights / "card.json"
    kept = json.loads(record.read_text()) if record.is_file() else {}
    logs = all((arguments.work / f"{name}.csv").is_file() for name in LOGS)
    facts = {
        # Without the logs (a checkout that did not train) the record of the training stays what it was.
        "training": training(arguments.work) if logs else kept["training"],
        "device": f"CPU, {platform.machine()}, {torch.get_num_threads()} threads" if logs else kept["device"],
        "torch": torch.__version__ if logs else kept["torch"],
        "notes": kept.get("notes", ""),
        "quality": measure(arguments.weights),
        "megabytes": sizes(arguments.weights),
    }
    write_json(record, facts)
    page = render(json.loads(record.read_text()))  # in the record's order, so that it can be checked against it
    write_text(arguments.weights / "MODEL_CARD.md", page)
    print(page)


if __name__ == "__main__":
    main()
