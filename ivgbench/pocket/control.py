"""How far methods at their released settings steer a pocket model: the first look at weights before a calibration.

    python -m ivgbench.pocket.control --weights FOLDER --cases 12

On the first cases of both tuning suites, every row from the same noise. Differences to plain are paired by case; the
bars are those that a pocket model is meant to pass (`BARS`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from ivgbench.files import write_json
from ivgbench.generator import Backbone
from ivgbench.generator.sampler import generate_batch
from ivgbench.metrics.control import score
from ivgbench.metrics.detectors import PocketYolo
from ivgbench.pocket.loop import default_work_dir
from ivgbench.pocket.samples import SHIPPED, backbone_of, exam_folder, sheet
from ivgbench.suites import load_suite

SPLITS = ("static", "dynamic")
BATCH = 4
#: The end token and the 14 positions after it, in every sentence of one subject: TrailBlazer's trailing tokens alone.
PADDING = tuple(range(8, 23))
ROWS = {
    "plain": ("plain", {}),
    "peekaboo": ("peekaboo", {}),
    "trailblazer": ("trailblazer", {}),
    "trailblazer, words only": ("trailblazer", {"trailing_length": 0}),
    "trailblazer, padding only": ("trailblazer", {"trailing_length": 0, "token_indices": PADDING}),
}
#: Row -> (least, most) points of mIoU that it may lie above plain, on either split.
BARS = {
    "peekaboo": (8.0, np.inf),
    "trailblazer": (5.0, np.inf),
    "trailblazer, words only": (8.0, np.inf),
    "trailblazer, padding only": (-3.0, 3.0),
}


def look(
    backbone: Backbone, detector: PocketYolo, split: str, row: str, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mIoU in points [N], covered [N], videos [N,F,H,W,3]) of a row on the first cases of a tuning suite."""
    cases = load_suite(f"pocket-tuning-{split}").cases[:count]
    method, options = ROWS[row]
    videos = []
    for first in range(0, count, BATCH):
        part = cases[first : first + BATCH]
        videos += [clip.video for clip in generate_batch(backbone, part, method, options, seeds=[seed] * len(part))]
    scores = [
        score(case.subjects[0].boxes, detector.detect(video, case.subjects[0].phrase).boxes)
        for case, video in zip(cases, videos, strict=True)
    ]
    miou, covered = (np.array([one[key] for one in scores], float) for key in ("miou", "covered"))
    return 100 * miou, covered, np.stack(videos)


def measure(backbone: Backbone, rows: Iterable[str], count: int, seed: int, sheets: Path) -> dict[str, dict]:
    """ "row, split" -> mIoU, coverage, and the difference to plain with its standard error; a sheet of clips each."""
    detector = PocketYolo()
    facts: dict[str, dict] = {}
    for split in SPLITS:
        captions = [case.prompt for case in load_suite(f"pocket-tuning-{split}").cases[:count]]
        plain = None
        for row in ["plain", *(row for row in rows if row != "plain")]:
            miou, covered, videos = look(backbone, detector, split, row, count, seed)
            plain = miou if plain is None else plain
            facts[f"{row}, {split}"] = {
                "mIoU": float(miou.mean()),
                "coverage": float(covered.mean()),
                "above plain": float((miou - plain).mean()),
                "error": float((miou - plain).std(ddof=1) / len(miou) ** 0.5) if count > 1 else 0.0,
                "cases": count,
            }
            sheet(videos, captions, sheets / f"control-{split}-{row.replace(', ', '-').replace(' ', '-')}.png", 4)
            print(spelled(row, split, facts[f"{row}, {split}"]), flush=True)
    return facts


def spelled(row: str, split: str, told: dict) -> str:
    """A row as a line, with its bar and whether it is met."""
    line = f"{split:8s} {row:26s} mIoU {told['mIoU']:5.1f} coverage {100 * told['coverage']:3.0f} %"
    if row == "plain":
        return line
    least, most = BARS[row]
    met = "met" if least <= told["above plain"] <= most else "missed"
    wanted = f">= {least:g}" if most == np.inf else f"{least:g} to {most:g}"
    return f"{line}, above plain {told['above plain']:+5.1f} +- {told['error']:.1f} (wanted {wanted}: {met})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="a text-to-video folder (default: %(default)s)")
    parser.add_argument("--cases", type=int, default=12, help="of each split (default: %(default)s)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="(default: all)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--work", type=Path, default=default_work_dir(), help="(default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all cores)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    folder = exam_folder(arguments.work, arguments.weights)
    backbone = backbone_of(arguments.weights, arguments.device)
    facts = measure(backbone, arguments.rows, arguments.cases, arguments.seed, folder)
    write_json(folder / "control.json", {"seed": arguments.seed, "rows": facts})


if __name__ == "__main__":
    main()
