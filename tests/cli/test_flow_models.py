"""A flow model from the command line, its scheduler not named: tiny, with random weights."""

import numpy as np
import pytest

from ivgbench.cases import Case, Subject, Suite
from ivgbench.store.runs import Store
from ivgbench.store.video import decode

FRAMES = 9
ASKED = ["a zebra on the grass", "--subject", "zebra", "--box", "0:0.1,0.2,0.4,0.6"]
SMALL = ["--size", "32x48", "--steps", 1]


@pytest.fixture(scope="module")
def wan(tmp_path_factory):
    import tiny_wan

    return tiny_wan.write(tmp_path_factory.mktemp("tiny-wan"))


def test_generate(wan, tmp_path, command_line):
    clip = tmp_path / "clip.mkv"
    code, out, err = command_line("generate", *ASKED, "--backbone", wan, *SMALL, "--method", "id", "-o", clip)
    assert code == 0, err
    assert "81 frames" in out and decode(clip).shape == (81, 32, 48, 3)


@pytest.mark.parametrize("command", ["generate", "compare", "run", "plan"])
def test_a_scheduler_of_another_path_is_one_line(command, wan, tmp_path, command_line):
    asked = [*ASKED, "-o", tmp_path / "a.gif"] if command in ("generate", "compare") else ["--suite", "scenes-static"]
    asked += ["--method", "plain", "--backbone", wan, *SMALL, "--scheduler", "ddim", "--runs", tmp_path / "runs"]
    code, _, err = command_line(command, *(asked[:-2] if command == "generate" else asked))
    assert code == 2 and "the scheduler ddim is variance-preserving" in err and "use 'flow'" in err
    assert len(err.strip().splitlines()) == 1 or command == "plan"  # whose progress goes before


def test_a_run_is_measured_on_pixel_frames(wan, tmp_path, command_line):
    track = np.tile([0.1, 0.2, 0.6, 0.8], (FRAMES, 1))
    case = Case("star", "a red star on a grey background", (Subject("red star", track),))
    Suite("mine", FRAMES, (case,)).save(tmp_path / "mine.jsonl")
    runs = tmp_path / "runs"
    code, out, err = command_line(
        "run", "--backbone", wan, "--suite", tmp_path / "mine.jsonl", "--method", "plain", "--method", "mask-norm",
        *SMALL, "--workers", 1, "--device", "cpu", "--runs", runs, "--name", "w",
    )  # fmt: skip
    assert code == 0, err
    assert "2 jobs, 2 clips made now" in out
    rows, _ = Store(runs).load_rows("w")
    values = {(row["label"], row["metric"]): row["value"] for row in rows}
    assert {"clip_sim", "miou", "covered"} <= {metric for _, metric in values}
    (spec,) = {str(Store(runs).sidecar(row["job"])["spec"]["scheduler"]) for row in rows}
    assert spec == "flow"
    assert {Store(runs).clip(row["job"]).shape for row in rows} == {(FRAMES, 32, 48, 3)}
    found = [dict(np.load(path)) for path in runs.rglob("*.npz")]
    assert [len(one["boxes"]) for one in found if "boxes" in one] == [FRAMES] * 2
