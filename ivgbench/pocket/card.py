"""Writes the pocket lab's model card from measurements: `python -m ivgbench.pocket.card`."""

from __future__ import annotations

import argparse
import csv
import json
import math
import platform
from pathlib import Path

import torch
from safetensors import safe_open

from ivgbench.errors import UserError
from ivgbench.files import write_json, write_text
from ivgbench.generator.backbones import layout, presets, sources
from ivgbench.pocket import WEIGHTS
from ivgbench.pocket.exams import bars, calibrated, card_text
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


def network(folder: Path) -> dict[str, str | int]:
    """The class and the number of parameters of a backbone's denoiser, from its files."""
    part = folder / layout.FILES[layout.family(folder)].denoiser
    with safe_open(part / "diffusion_pytorch_model.safetensors", "pt") as file:
        size = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return {"class": sources.read_config(part / "config.json")["_class_name"], "parameters": size}


def read_exam(folder: Path, name: str, kept: dict) -> dict[str, dict[str, float]]:
    """What a model's exam found: from its folder, or as the record kept it of the same weights.

    Raises:
        UserError: these weights have not sat it.
    """
    if (folder / "exam.json").is_file():
        return json.loads((folder / "exam.json").read_text(encoding="utf-8"))
    if kept.get("examined") == folder.name:
        return kept["exam"]
    option = "" if name == "pocket" else f" --backbone {name}"
    raise UserError(
        f"{folder} has no exam.json: these weights have not sat the exam; run python -m ivgbench.pocket.exam{option}"
    )


def models(work: Path, calibration: Path, kept: dict[str, dict]) -> dict[str, dict]:
    """Backbone -> what is known of its weights, of every one that ships.

    Args:
        calibration: of the first; the others' lie beside it. kept: what the record has of before.
    """
    found = {}
    for name, weights in presets.POCKETS.items():
        if not weights.is_dir() and name != bars.REFERENCE:
            print(card_text.untrained(name))
            continue
        folder, before = exam_folder(work, name), kept.get(name, {})
        found[name] = {
            "examined": folder.name,
            "network": network(weights),
            "exam": read_exam(folder, name, before),
            "calibration": calibrated.read(calibration, folder.name.partition("-")[0], before.get("calibration")),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=default_work_dir(), help="training logs (default: %(default)s)")
    parser.add_argument("--calibration", type=Path, default=Path("results/calibration.json"),
                        help="what ivgbench study calibrate found (default: %(default)s)")  # fmt: skip
    asked = parser.parse_args()
    record = WEIGHTS / "card.json"
    kept = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    try:
        known = models(asked.work, asked.calibration, kept.get("models", {}))
    except UserError as fault:
        parser.exit(2, f"card: {fault}\n")
    facts = {
        # Without a log (a checkout that did not train that part) the record of its training stays what it was.
        "training": training(asked.work, kept.get("training", {})),
        "notes": kept.get("notes", ""),
        "models": known,
        "judges": measure(WEIGHTS),
        "encoders": measure_encoders(WEIGHTS),
        "megabytes": sizes(WEIGHTS),
    }
    write_json(record, facts)
    # In the record's order, so that it can be checked against it.
    page = card_text.render(json.loads(record.read_text(encoding="utf-8")))
    write_text(WEIGHTS / "MODEL_CARD.md", page)
    print(page)


if __name__ == "__main__":
    main()
