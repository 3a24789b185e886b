"""The exam of a base model: plain samples of the reporting captions, seen by judges that were trained and by one that
was not.

    python -m ivgbench.pocket.exam --clips 256 [--backbone pocket-dit]

Samples are kept in the work folder in blocks, so that an exam that was stopped goes on; the measurements go to
`exam.json` beside them, which the model card is written from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ivgbench.errors import UserError
from ivgbench.files import write_json
from ivgbench.generator import Backbone
from ivgbench.generator.backbones.presets import POCKETS
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import PocketYolo
from ivgbench.pocket.exams.bars import FIRST, PART
from ivgbench.pocket.exams.base_model import distance, one_subject, speed, two_subjects
from ivgbench.pocket.exams.samples import base_model, exam_folder, sample, sheet, truth
from ivgbench.pocket.training.loop import default_work_dir


def examine(backbone: Backbone, folder: Path, clips: int, pairs: int, sheets: Path) -> dict[str, dict[str, float]]:
    """All measurements on a model, part by part; two contact sheets are drawn. Samples are kept in `folder`."""
    detector, judge = PocketYolo(), ClipModel.from_pretrained("pocket")
    one, two = sample(backbone, folder, clips, 1), sample(backbone, folder, pairs, 2)
    facts = {
        PART: one_subject(one[:FIRST], detector, judge),
        "one subject": one_subject(one, detector, judge),
        "two subjects": two_subjects(two, detector),
        "against rendered videos, CLIP tower": distance(one, judge.embed_video),
        "one guided evaluation": speed(backbone),
    }
    for videos, subjects, what in ((one[:64], 1, "plain"), (two[:32], 2, "pairs")):
        captions = [truth(index, subjects).caption for index in range(len(videos))]
        sheet(videos, captions, sheets / f"{backbone.name}-{what}.png")
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=POCKETS, default="pocket", help="(default: %(default)s)")
    parser.add_argument("--clips", type=int, default=FIRST, help="one-subject captions (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=96, help="two-subject captions (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=default_work_dir(), help="(default: %(default)s)")
    parser.add_argument("--weights", type=Path, help="a folder of the backbone's kind (default: the one that ships)")
    parser.add_argument("--sheets", type=Path, default=Path("results/figures"), help="(default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    try:
        backbone = base_model(asked.backbone, asked.weights, asked.device)
        folder = exam_folder(asked.work, asked.backbone, asked.weights)
    except UserError as fault:
        parser.exit(2, f"exam: {fault}\n")
    facts = examine(backbone, folder, asked.clips, asked.pairs, asked.sheets)
    write_json(folder / "exam.json", facts)
    for part, numbers in facts.items():
        for name, value in numbers.items():
            print(f"{part}: {name}: {value:.4g}")


if __name__ == "__main__":
    main()
