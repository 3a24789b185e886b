"""Wrong values for every command: one line on stderr, exit code 2, before any work."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fake_lab import FakeLab

from ivgbench import __version__, load_suite
from ivgbench.cli import options
from ivgbench.gate import variations
from ivgbench.runs import lab
from ivgbench.store import video
from ivgbench.study import recording

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "benchmarks"
BOX = ["--box", "0:.1,.2,.4,.6"]
GENERATE = ["generate", "a red star", "--subject", "red star"]
RUN = ["run", "--method", "tid"]
#: Their classes of their own are made from the real lab, before it is replaced.
assert issubclass(recording.RecordingLab, lab.Lab) and issubclass(variations.VariedLab, lab.Lab)


@pytest.fixture
def call(command_line, monkeypatch, tmp_path):
    """A function (*arguments) -> (exit code, stdout, stderr), in a folder with things that are in the way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "Lab", lambda *_: FakeLab(tmp_path / "log"))
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bad-name.toml").write_text('name = "../x"\nmethods = ["plain"]\n')
    (tmp_path / "infinite.toml").write_text('name = "x"\nmethods = [{ method = "tid", options = { gamma = inf } }]\n')
    (tmp_path / "empty.toml").write_text('name = "x"\ndetector = ""\nmethods = ["plain"]\n')
    (tmp_path / "no-suites.toml").write_text('name = "x"\nsuites = []\nmethods = ["plain"]\n')
    (tmp_path / "utf-16.toml").write_bytes("run = 'x'".encode("utf-16"))
    (tmp_path / "claims.toml").write_text("run = 3\n")

    return command_line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # Usage.
        (["runn"], "No such command 'runn'"),
        (["table"], "Missing argument"),
        (["table", "x"], "Invalid value"),
        (["run", "--steps", "20.5"], "Invalid value for '--steps'"),
        (["run", "--engine", ""], "Invalid value for '--engine'"),
        (["list", "colours"], "colours"),
        (["suites", "show", "static", "--cases", "-1"], "Invalid value for '--cases'"),
        # Devices, for each command that takes one.
        ([*RUN, "--device", "gpu"], "--device 'gpu': no such device"),
        (["score", "--videos", ".", "--suite", "static", "--device", "cpu:1"], "--device 'cpu:1'"),
        (["figure", "2", "--device", "meta"], "--device 'meta'"),
        (["claims", "--device", ""], "--device ''"),
        ([*GENERATE, *BOX, "-o", "c.mp4", "--device", "cuda:9999"], "--device cuda:9999: torch finds"),
        # Numbers.
        ([*RUN, "--option", "tid.gamma=nan"], "option 'gamma' must be a finite number"),
        ([*RUN, "--option", "tid.gamma=-inf"], "option 'gamma' must be a finite number"),
        ([*RUN, "--option", "tid.gamma=1e999"], "option 'gamma' must be a finite number"),
        ([*RUN, "--option", "tid.window=[0, nan]"], "option 'window' must be a finite number"),
        ([*RUN, "--option", "tid.gamma=2020-01-01"], "option 'gamma' must be a finite number"),
        ([*RUN, "--option", "tid.gamma=1\nx=2"], "give one value"),
        (["run", "--spec", "infinite.toml", "--cases", "1"], "infinite.toml: method 'tid': option 'gamma' must be"),
        ([*RUN, "--guidance-scale", "nan"], "guidance_scale must be a number"),
        ([*GENERATE, "--box", "0:nan,.2,.4,.6", "-o", "c.mp4"], "box of frame 0 is not finite"),
        ([*GENERATE, "--box", "0:.1,1e999,.4,.6", "-o", "c.mp4"], "box of frame 0 is not finite"),
        ([*GENERATE, *BOX, "-o", "c.mp4", "--seed", "-1"], "Invalid value for '--seed'"),
        ([*RUN, "--seed", "3", "--seed", "3"], "seeds must be a list of different numbers, got [3, 3]"),
        ([*RUN, "--seed", "-1"], "seeds must be whole numbers from 0, below 2^63, got -1"),
        ([*RUN, "--seed", "9" * 30], "seeds must be whole numbers from 0, below 2^63, got 9999"),
        ([*RUN, "--seed", "3", "--seeds", "2"], "give --seeds (how many, from 0 on) or --seed (each by its number)"),
        ([*RUN, "--seeds", "9" * 30], "--seeds must be at least 1 and at most 10000, got 9999"),
        ([*GENERATE, "--box", f"{'9' * 400}:.1,.2,.4,.6", "-o", "c.mp4"], "999... is outside the clip's frames 0..7"),
        ([*RUN, "--option", "9" * 400], "999...: write METHOD.FIELD=VALUE"),
        # Nothing where something must be.
        ([*RUN, "--reference", ""], "references must not be empty"),
        ([*RUN, "--backbone", ""], "backbone must not be empty"),
        ([*RUN, "--suite", ""], "suites must not be empty"),
        ([*GENERATE, *BOX, "-o", "c.mp4", "--backbone", ""], "backbone must not be empty"),
        (["run", "--spec", "empty.toml"], "detector must not be empty"),
        (["run", "--spec", "no-suites.toml"], "suites must not be empty"),
        (["plan", "--method", "tid", "--gpu", ""], "unknown GPU ''"),
        (["table", "1", "--run", ""], "run name '' is not allowed"),
        # Files and folders that are in the way.
        ([*RUN, "--runs", "file"], "cannot use file: "),
        ([*RUN, "--runs", "file/runs"], "cannot use file/runs: "),
        (["plan", "--method", "tid", "--runs", "file"], "cannot use file: "),
        (["score", "--videos", ".", "--suite", "static", "--runs", "file"], "cannot use file: "),
        (["table", "1", "--out", "file/tables"], "cannot use file/tables: "),
        (["figure", "4", "--out", "file"], "cannot use file: "),
        (["claims", "--out", "folder.mp4"], "cannot use folder.mp4: it is a folder"),
        (["doctor", "--runs", "file/x"], "cannot use file/x: "),
        ([*GENERATE, *BOX, "-o", "folder.mp4"], "cannot use folder.mp4: it is a folder"),
        (["suites", "make", "pocket-static", "--out", "file"], "cannot use file: "),
        (["suites", "validate", "./folder.mp4"], "cannot read the suite"),
        (["run", "--spec", "folder.mp4"], "unknown spec 'folder.mp4'"),
        (["run", "--spec", "bytes.toml"], "bytes.toml: cannot read the run spec"),
        (
            ["snapshot", "check", "--spec", SPECS / "snapshot.toml", "--snapshots", "file"],
            "no snapshot to check against",
        ),
        # What is found out before models load.
        (["run", "--spec", "bad-name.toml"], "bad-name.toml: run name '../x' is not allowed"),
        (["figure", "2", "--backbone", "nothing"], "no backbone 'nothing'"),
        (["claims", "--spec", "claims.toml"], "claims.toml: run must be the file name of a run spec, got 3"),
        (["claims", "--spec", "utf-16.toml"], "utf-16.toml: cannot read the claims: it is UTF-16"),
        (["claims", "--spec", SPECS / "claims.toml", "--workers", "0"], "--workers must be at least 1"),
        (["score", "--videos", ".", "--suite", "static", "--workers", "0"], "--workers must be at least 1"),
    ],
    ids=lambda value: " ".join(map(str, value))[:60] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(call, tmp_path, arguments, words):
    code, out, err = call(*arguments)
    assert code == 2 and out == "" and err.startswith("ivgbench: ") and err.count("\n") == 1, (code, out, err)
    assert words in err
    assert not (tmp_path / "results").exists() and not (tmp_path / "log").exists()


def test_a_folder_of_others_is_seen_before_the_minutes_that_a_clip_takes(call, tmp_path, monkeypatch):
    monkeypatch.setattr(options.os, "access", lambda path, mode: path != tmp_path)
    code, _, err = call(*GENERATE, *BOX, "-o", "new/c.mp4")
    assert code == 2 and f"cannot use new/c.mp4: nothing can be written in {tmp_path}" in err
    assert not (tmp_path / "new").exists() and not (tmp_path / "log").exists()


def test_numbers_that_become_infinite_are_one_line(call, monkeypatch):
    def explode(*_, **__):
        raise FloatingPointError("latents are not finite after step 1 of 2")

    monkeypatch.setattr(lab, "Lab", explode)
    code, _, err = call(*GENERATE, *BOX, "-o", "c.mp4")
    assert (code, err.count("\n")) == (1, 1) and "not finite after step 1 of 2; give another guidance scale" in err


def test_the_version_is_that_of_the_package(call):
    assert call("--version") == (0, f"ivgbench {__version__}\n", "")
    # Said once.
    assert __version__ not in (ROOT / "pyproject.toml").read_text()


def test_what_is_undefined_is_a_dash(call, tmp_path):
    """No clip in which the detector finds anything: there is no mIoU over covered clips."""
    (tmp_path / "videos").mkdir()
    for case in load_suite("static").cases:
        black = np.zeros((8, 48, 80, 3), np.uint8)
        (tmp_path / "videos" / f"{case.id}.mkv").write_bytes(video.encode(black))
    code, out, _ = call("score", "--videos", "videos", "--suite", "static")
    assert "nan" not in out.lower() and re.search(r"static +videos +[-\d.]+ +0 +– ", out)
    code, out, _ = call("table", 1, "--allow-partial")
    assert code == 0 and "nan" not in out.lower()
    for path in (tmp_path / "results" / "own" / "tables").iterdir():
        assert "nan" not in path.read_text().lower()
    assert "nan" not in call("plan", "--method", "plain", "--gpu", "h100")[1].lower()


def test_a_number_may_be_written_as_people_do(call, tmp_path):
    once = ("run", "--method", "plain", "--suite", "static", "--cases", 1, "--workers", 1)
    assert call(*once, "--option", "plain.shift=.1")[0] == 0
    assert "0 clips made now" in call(*once, "--option", "plain.shift=1e-1")[1]
    (manifest,) = [json.loads(path.read_text()) for path in (tmp_path / "results/runs/manifests").glob("*.json")]
    assert manifest["jobs"][0]["options"]["shift"] == 0.1
