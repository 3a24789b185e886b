"""Writes the pocket lab's model card from measurements: `python -m ivgbench.pocket.card`."""

from __future__ import annotations

import argparse
import csv
import json
import platform
from pathlib import Path

import numpy as np
import torch

from ivgbench.files import write_json, write_text
from ivgbench.pocket import calibrated, world
from ivgbench.pocket.loop import default_work_dir
from ivgbench.pocket.train import WEIGHTS

FRAMES = 512
TRAPS = 500
DEGRADED = 256


def training(work: Path, kept: dict[str, dict]) -> dict[str, dict]:
    """Part -> steps, loss, seconds and machine: from the last line of its log in `work`, or as it was kept."""
    machine = f"CPU, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    facts = dict(kept)
    for log in sorted(work.glob("*.csv")):
        with log.open() as handle:
            last = list(csv.DictReader(handle))[-1]
        done = {"steps": int(last["step"]), "loss": float(last["loss"]), "seconds": float(last["seconds"])}
        if {**done, "machine": ""} != {**facts.get(log.stem, {}), "machine": ""}:
            facts[log.stem] = {**done, "machine": machine}
    return facts


def measure(weights: Path) -> dict[str, dict[str, float]]:
    """The judges on held-out frames: name -> how it does on frames as "rendered" and through the "autoencoder"."""
    from diffusers import AutoencoderKL

    from ivgbench.judges import video_encoders as video_features
    from ivgbench.judges.clip import ClipModel
    from ivgbench.judges.detectors import PocketYolo
    from ivgbench.pocket import judging, quality, traps
    from ivgbench.pocket.vae import round_trip

    frames, clips, picks = quality.held_out(FRAMES)
    autoencoder = AutoencoderKL.from_pretrained(weights / "text-to-video" / "vae", torch_dtype=torch.float32).eval()
    yolo, judge = PocketYolo(weights / "detector"), ClipModel.from_pretrained(weights / "clip")
    seen = round_trip(autoencoder, frames)
    both = {"rendered": frames, "autoencoder": seen}
    facts = {
        "autoencoder PSNR, dB": {"autoencoder": quality.psnr(seen, frames)},
        "detector mAP50": {how: quality.map50(yolo, shown, clips, picks) for how, shown in both.items()},
        "CLIP, right caption among 64": {
            how: quality.caption_accuracy(judge, shown, clips) for how, shown in both.items()
        },
    }
    for subjects in (1, 2):
        drawn, shown = quality.scenes(FRAMES, subjects)
        seen_in = {
            "rendered": quality.subjects_seen(drawn, shown),
            "autoencoder": quality.subjects_seen(round_trip(autoencoder, drawn), shown),
        }
        for what in seen_in["rendered"]:
            facts[f"segmentation, every one of {subjects} subject(s) {what}"] = {
                how: shares[what] for how, shares in seen_in.items()
            }
    for swap in ("colour", "shape"):
        name = f"CLIP, right caption over swapped {swap}"
        facts[name] = {how: judging.prefers_right(judge, shown, clips, swap) for how, shown in both.items()}
    watched = video_features.pocket(weights / "video")
    whole = [round_trip(autoencoder, clip.video) for clip in clips]
    for what in ("motion", "shape"):
        facts[f"video encoder, {what} right"] = {
            "rendered": quality.probe_accuracy(watched, [clip.video for clip in clips], clips, what),
            "autoencoder": quality.probe_accuracy(watched, whole, clips, what),
        }
    for name in traps.TRAPS:
        shown, phrases = zip(*traps.trap(name, TRAPS), strict=True)
        pictures = {"rendered": np.stack(shown), "autoencoder": round_trip(autoencoder, np.stack(shown))}
        facts[f"detector, false claims: {name}"] = {
            how: judging.false_alarms(yolo, frames, list(phrases)) for how, frames in pictures.items()
        }
    return facts


def measure_encoders(weights: Path) -> dict[str, dict[str, list[float]]]:
    """What the encoders behind FID, KID and JEDi make of clips that get worse: encoder -> metric -> by strength."""
    from ivgbench.judges import frame_encoders as frame_features
    from ivgbench.judges import video_encoders as video_features
    from ivgbench.judges.clip import ClipModel
    from ivgbench.pocket import degraded

    frames = {
        "CLIP tower": ClipModel.from_pretrained(weights / "clip"),
        "denoiser": frame_features.denoiser(weights / "denoiser" / "model.safetensors"),
    }
    facts = {name: degraded.of_frames(encoder.embed_video, DEGRADED) for name, encoder in frames.items()}
    return {**facts, "video": degraded.of_clips(video_features.pocket(weights / "video").embed_clip, DEGRADED)}


def sizes(weights: Path) -> dict[str, float]:
    """Megabytes on disk of each part."""
    parts = sorted(path for path in weights.iterdir() if path.is_dir())
    return {part.name: sum(f.stat().st_size for f in part.rglob("*") if f.is_file()) / 1e6 for part in parts}


def render(facts: dict) -> str:
    """The card as Markdown."""
    rows = lambda table: "\n".join(f"| {key} | {value:.4g} |" for key, value in table.items())  # noqa: E731
    number = lambda value: "" if value is None else f"{value:.4g}"  # noqa: E731
    judges = "\n".join(
        f"| {name} | {number(told.get('rendered'))} | {number(told.get('autoencoder'))} |"
        for name, told in facts["judges"].items()
    )
    exam = "\n\n".join(
        f"**{part}**\n\n| measured | value |\n|---|---|\n{rows(told)}" for part, told in facts["exam"].items()
    )
    worse = "\n".join(
        f"| {encoder} | {name} | {' | '.join(map(number, values))} |"
        for encoder, told in facts["encoders"].items()
        for name, values in told.items()
    )
    steps = "\n".join(
        f"| {name} | {fact['steps']} | {fact['loss']:.4f} | {fact['seconds'] / 60:.0f} | {fact['machine']} |"
        for name, fact in facts["training"].items()
    )
    return f"""# Model card: the pocket lab

Trained from scratch on videos that `ivgbench/pocket/world.py` renders ({len(world.COLOURS)} colours,
{len(world.SHAPES)} shapes, {len(world.BACKGROUNDS)} backgrounds;
{world.FRAMES} frames of {world.HEIGHT}x{world.WIDTH} pixels).
It is for relative statements about methods; it says nothing certain about ZeroScope or any other model.
This page is written by `python -m ivgbench.pocket.card`; every number is measured.
Version `{facts["examined"]}`: the beginning of the hash of the text-to-video weights, as every clip's record has it;
sampling steps x guidance scale.

## The base model

Plain samples of captions of the reporting seed (`python -m ivgbench.pocket.exam`). Colour, shape and background are
read by a segmentation that was not trained; coverage by the detector; a clip counts when most of its frames do.

{exam}

{calibrated.render(facts.get("calibration"))}## The judges

On {FRAMES} held-out frames, {TRAPS} scenes a trap, as rendered and through the autoencoder and back. A false claim is a
frame in which the detector sees the phrase that it is asked for and that is not there.

| measured | rendered | through the autoencoder |
|---|---|---|
{judges}

## The encoders behind FID, KID and JEDi

{DEGRADED} held-out scenes, whole and made worse at four strengths, against as many others: what each strength is stands
in `ivgbench/pocket/degraded.py`. A blind encoder would not rise.

| encoder | metric | whole | 1 | 2 | 3 | 4 |
|---|---|---|---|---|---|---|
{worse}

## How they were trained

| part | steps | last loss | minutes | machine |
|---|---|---|---|---|
{steps}

Training seeds: text-to-video 0, autoencoder 0, CLIP 7, detector 9, video encoder 11, denoiser 13; data streams are
named in `world.SPLIT_SEEDS`. Train again with `python -m ivgbench.pocket.train all`.

{facts["notes"]}

| folder | MB |
|---|---|
{rows(facts["megabytes"])}
"""


def read_exam(folder: Path, kept: dict) -> dict[str, dict[str, float]]:
    """What the exam of the present weights found: from its folder, or as it was kept of the same weights."""
    if (folder / "exam.json").is_file():
        return json.loads((folder / "exam.json").read_text(encoding="utf-8"))
    if kept.get("examined") == folder.name:
        return kept["exam"]
    raise SystemExit(
        f"{folder} has no exam.json: these weights have not sat the exam; run python -m ivgbench.pocket.exam"
    )


def main() -> None:
    from ivgbench.pocket.samples import exam_folder

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=default_work_dir(), help="training logs (default: %(default)s)")
    parser.add_argument("--calibration", type=Path, default=Path("results/calibration.json"),
                        help="what ivgbench study calibrate found (default: %(default)s)")  # fmt: skip
    arguments = parser.parse_args()
    folder = exam_folder(arguments.work)
    record = WEIGHTS / "card.json"
    kept = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    facts = {
        # Without a log (a checkout that did not train that part) the record of its training stays what it was.
        "training": training(arguments.work, kept.get("training", {})),
        "notes": kept.get("notes", ""),
        "examined": folder.name,
        "exam": read_exam(folder, kept),
        "judges": measure(WEIGHTS),
        "encoders": measure_encoders(WEIGHTS),
        "megabytes": sizes(WEIGHTS),
        "calibration": calibrated.read(arguments.calibration, folder.name.partition("-")[0], kept.get("calibration")),
    }
    write_json(record, facts)
    # In the record's order, so that it can be checked against it.
    page = render(json.loads(record.read_text(encoding="utf-8")))
    write_text(WEIGHTS / "MODEL_CARD.md", page)
    print(page)


if __name__ == "__main__":
    main()
