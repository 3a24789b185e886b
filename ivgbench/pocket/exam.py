"""The base model's exam: plain samples of the reporting captions, seen by judges that were trained and by one that was
not.

    python -m ivgbench.pocket.exam --clips 256

Samples are kept in the work folder in blocks, so that an exam that was stopped goes on; the measurements go to
`exam.json` beside them, which the model card is written from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ivgbench.files import write_json
from ivgbench.generator import Backbone
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import PocketYolo
from ivgbench.pocket.exams.base_model import FIRST, distance, one_subject, speed, two_subjects
from ivgbench.pocket.exams.samples import SHIPPED, exam_folder, sample, sheet, truth
from ivgbench.pocket.training.loop import default_work_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=256, help="one-subject captions (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=96, help="two-subject captions (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=default_work_dir(), help="(default: %(default)s)")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="a text-to-video folder (default: %(default)s)")
    parser.add_argument("--sheets", type=Path, default=Path("results/figures"), help="(default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    backbone = Backbone.from_pretrained(str(arguments.weights), arguments.device)
    detector = PocketYolo()
    judge = ClipModel.from_pretrained("pocket")
    folder = exam_folder(arguments.work, arguments.weights)
    one = sample(backbone, folder, arguments.clips, 1)
    two = sample(backbone, folder, arguments.pairs, 2)
    facts = {
        f"one subject, first {FIRST} captions": one_subject(one[:FIRST], detector, judge),
        "one subject": one_subject(one, detector, judge),
        "two subjects": two_subjects(two, detector),
        "against rendered videos, CLIP tower": distance(one, judge.embed_video),
        "one guided evaluation": speed(backbone),
    }
    write_json(folder / "exam.json", facts)
    sheet(one[:64], [truth(index, 1).caption for index in range(64)][: len(one)], arguments.sheets / "pocket-plain.png")
    sheet(two[:32], [truth(index, 2).caption for index in range(32)][: len(two)], arguments.sheets / "pocket-pairs.png")
    for part, numbers in facts.items():
        for name, value in numbers.items():
            print(f"{part}: {name}: {value:.4g}")


if __name__ == "__main__":
    main()
