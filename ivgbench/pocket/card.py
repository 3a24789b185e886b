"""Writes the pocket lab's model card from measurements: `python -m ivgbench.pocket.card`."""

from __future__ import annotations

import argparse
import csv
import json
import platform
from pathlib import Path

import torch

from ivgbench.files import write_json, write_text
from ivgbench.pocket import WEIGHTS
from ivgbench.pocket.exams import calibrated
from ivgbench.pocket.exams.card_text import render
from ivgbench.pocket.exams.judges import measure, measure_encoders
from ivgbench.pocket.exams.samples import exam_folder
from ivgbench.pocket.training.loop import default_work_dir


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


def sizes(weights: Path) -> dict[str, float]:
    """Megabytes on disk of each part."""
    parts = sorted(path for path in weights.iterdir() if path.is_dir())
    return {part.name: sum(f.stat().st_size for f in part.rglob("*") if f.is_file()) / 1e6 for part in parts}


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
