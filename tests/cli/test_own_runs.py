"""Runs of one's own: their names, the list of them, which one is shown, and where what is made of them goes."""

import csv
import inspect
import os
import re
from pathlib import Path

import pytest
from fake_lab import FakeLab

from ivgbench import load_suite
from ivgbench.cli import claims, options, results
from ivgbench.runs import lab
from ivgbench.store import video
from ivgbench.store.records import write_record
from ivgbench.store.runs import Store
from ivgbench.study import recording

ROOT = Path(__file__).parents[2]
assert issubclass(recording.RecordingLab, lab.Lab)
ONE = ("run", "--method", "plain", "--suite", "static", "--cases", 1)


@pytest.fixture
def call(command_line, monkeypatch, tmp_path):
    """A function (*arguments) -> (exit code, stdout, stderr), in a folder of its own, with the fake lab."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "Lab", lambda *_: FakeLab(tmp_path / "log"))

    def called(*arguments):
        return command_line(*arguments, *(["--workers", "1"] if arguments[0] == "run" else []))

    return called


def refused(answer):
    code, out, err = answer
    assert code == 2 and out == "" and err.startswith("ivgbench: ") and err.count("\n") == 1, answer
    return err


# ---- names


def test_a_run_has_the_name_it_is_given_and_goes_on_under_it(call, tmp_path):
    code, out, _ = call(*ONE, "--name", "my-tid")
    assert code == 0 and "run my-tid: 1 jobs, 1 clips made now" in out and "--run my-tid" in out
    code, out, err = call(*ONE, "--name", "my-tid")
    assert code == 0 and "0 clips made now" in out and "takes the place" not in err
    assert Store("results/runs").runs() == ["my-tid"]
    (tmp_path / "s.toml").write_text('name = "table1"\ncases = 1\nsuites = ["static"]\nmethods = ["plain"]\n')
    assert call("run", "--spec", "s.toml", "--name", "theirs")[0] == 0  # the same jobs under another name
    assert Store("results/runs").runs() == ["my-tid", "theirs"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (["run", "--method", "tid", "--suite", "static", "--cases", 1], "its rows are plain, here mask-norm-tid"),
        (["run", "--method", "plain", "--suite", "dynamic", "--cases", 1], "suites are pocket-static, here pocket-dyn"),
        ([*ONE[:-1], 2], "its 1 clips are of other cases, seeds or settings than the 2 here"),
        ([*ONE, "--steps", 2], "its 1 clips are of other cases, seeds or settings than the 1 here"),
        ([*ONE, "--option", "plain.shift=0.1"], "other cases, seeds or settings"),
        ([*ONE, "--reference", "suite"], "its references: none, here suite"),
    ],
)  # fmt: skip
def test_another_run_does_not_get_a_name_that_is_taken(call, tmp_path, changed, words):
    assert call(*ONE, "--name", "mine")[0] == 0
    before = Store("results/runs").manifest_path("mine").read_bytes()
    said = refused(call(*changed, "--name", "mine"))
    assert "--name mine: results/runs has another run of this name" in said and words in said
    assert "give another --name" in said
    assert Store("results/runs").manifest_path("mine").read_bytes() == before
    assert (tmp_path / "log").read_text().split() == ["pocket-static-00"]


def test_other_weights_are_another_run(call, monkeypatch, tmp_path):
    assert call(*ONE, "--name", "mine")[0] == 0
    monkeypatch.setattr(lab, "Lab", lambda *_: FakeLab(tmp_path / "log", weights="w2"))
    assert "its weights are w1, here w2" in refused(call(*ONE, "--name", "mine"))


def test_a_manifest_that_names_no_weights_is_another_run_too(call):
    assert call(*ONE, "--name", "mine")[0] == 0
    store = Store("results/runs")
    kept = {name: value for name, value in store.manifest("mine").items() if name != "backbone"}
    write_record(store.manifest_path("mine"), kept)
    assert "its weights are none, here w1" in refused(call(*ONE, "--steps", 2, "--name", "mine"))


def test_a_spec_that_was_changed_takes_its_runs_place_and_says_so(call, tmp_path):
    spec = 'name = "mine"\ncases = 1\nsuites = ["static"]\nmethods = ["plain"METHODS]\n'
    (tmp_path / "s.toml").write_text(spec.replace("METHODS", ""))
    assert call("run", "--spec", "s.toml")[0] == 0
    assert "takes the place" not in call("run", "--spec", "s.toml")[2]
    (tmp_path / "s.toml").write_text(spec.replace("METHODS", ', "tid"'))
    code, _, err = call("run", "--spec", "s.toml")
    assert code == 0 and "run mine takes the place of the one that had this name (its rows are plain, here " in err


@pytest.mark.parametrize("name", ["../up", "a/b", "/tmp/x", "", ".hidden", "..", "a..b", "two words", "x" * 121, "é"])
@pytest.mark.parametrize("command", ["run", "plan", "score"])
def test_a_name_that_is_no_file_name_is_refused(call, tmp_path, name, command):
    arguments = {"run": [*ONE], "plan": ["plan", *ONE[1:]], "score": ["score", "--suite", "static", "--videos", "v"]}
    folder = tmp_path / "v"
    folder.mkdir()
    case = load_suite("static").cases[0]
    (folder / f"{case.id}.mkv").write_bytes(video.encode(FakeLab(None).draw(case, 0.0, 0).video))
    assert "is not allowed; use letters, digits" in refused(call(*arguments[command], "--name", name))
    assert not (tmp_path / "results").exists()


def test_scored_videos_have_names_too(call, tmp_path):
    for number, case in enumerate(load_suite("static").cases[:2]):
        for folder, shift in (("a", 0.0), ("b", 0.1)):
            (tmp_path / folder).mkdir(exist_ok=True)
            data = video.encode(FakeLab(None).draw(case, shift + number / 100, 0).video)
            (tmp_path / folder / f"{case.id}.mkv").write_bytes(data)
    score = ("score", "--suite", "static", "--workers", 1, "--label", "theirs")
    assert call(*score, "--videos", "a", "--name", "theirs-1")[0] == 1  # 46 cases have no video
    assert call(*score, "--videos", "a", "--name", "theirs-1")[0] == 1
    assert Store("results/runs").runs() == ["theirs-1"]
    code, out, err = call(*score, "--videos", "b", "--name", "theirs-1")  # after what is said of files without a case
    assert code == 2 and out == "" and "has another run of this name" in err.splitlines()[-1]


# ---- the list


def test_runs_are_listed_the_newest_first(call, monkeypatch, tmp_path):
    code, out, err = call("list", "runs")
    assert code == 0 and "there is no run in results/runs yet" in err
    broken = FakeLab(tmp_path / "log", {"pocket-static-01": "raise"})
    monkeypatch.setattr(lab, "Lab", lambda *_: broken)
    assert (
        call("run", "--method", "plain", "--suite", "static", "--cases", 2, "--name", "old", "--ground-truth")[0] == 1
    )
    monkeypatch.setattr(lab, "Lab", lambda *_: FakeLab(tmp_path / "log"))
    assert call(*ONE, "--name", "new")[0] == 0
    store = Store("results/runs")
    os.utime(store.manifest_path("old"), (1_600_000_000,) * 2)
    (tmp_path / "results/runs/manifests/bad.json").write_text("{")
    os.utime(store.manifest_path("bad"), (1_500_000_000,) * 2)
    code, out, _ = call("list", "runs")
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert code == 0 and lines[0] == ["run", "when", "backbone", "suites", "methods", "done", "expected", "failed"]
    new, old, bad = lines[-3:]
    assert (new[0], new[3:]) == ("new", ["pocket", "pocket-static", "plain", "1", "1", "0"])
    assert old[:2] in (["old", "2020-09-13"], ["old", "2020-09-14"])
    assert old[3:] == ["pocket", "pocket-static", "Ground", "truth,", "plain", "3", "4", "1"]
    assert bad[0] == "bad" and "failed: damaged manifest" in " ".join(bad) and bad[-3:] == ["?", "?", "?"]


def test_a_run_that_was_stopped_is_not_done(call, tmp_path):
    assert call(*ONE[:-1], 2, "--name", "half", "--shard", "0/2")[0] == 0
    assert call("list", "runs")[1].split()[-3:] == ["1", "2", "0"]


def test_another_folder_of_runs(call):
    assert call(*ONE, "--name", "there", "--runs", "elsewhere")[0] == 0
    assert "there" not in call("list", "runs")[1] and "there" in call("list", "runs", "--runs", "elsewhere")[1]


# ---- which run is shown


def test_commands_say_which_run_they_show_and_how_to_choose(call, tmp_path):
    assert call("run", "--method", "plain", "--method", "tid", "--cases", 1, "--name", "table1")[0] == 0
    for arguments, what in ((("table", 1), "table 1"), (("report",), "the report"), (("figure", 4), "figure 4"),
                            (("figure", 1), "figure 1")):  # fmt: skip
        code, _, err = call(*arguments)
        assert code == 0 and f"ivgbench: {what} of run table1, the only one in results/runs (`ivgbench list" in err
    assert call(*ONE, "--name", "mine")[0] == 0
    for arguments in (("table", 1), ("report",), ("figure", 4)):
        err = call(*arguments)[2]
        assert "of run table1, one of 2 in results/runs; --run NAME shows another (`ivgbench list runs`)" in err
        assert "of run mine, one of 2" in call(*arguments, "--run", "mine")[2]
    with (tmp_path / "results/own/tables/table1.csv").open() as handle:
        assert {row["run"] for row in csv.DictReader(handle)} == {"mine"}
    for suffix in ("md", "tex"):
        assert (
            "run `mine`" in (text := (tmp_path / f"results/own/tables/table1.{suffix}").read_text())
            or "run mine" in text
        )
    (tmp_path / "results/runs/manifests/table1.json").rename(tmp_path / "results/runs/manifests/other.json")
    assert "`ivgbench list runs` tells them apart" in refused(call("table", 1))


# ---- where it goes


def ignored(path):
    """Whether git leaves a path of the repository alone, by the folders that .gitignore names."""
    lines = (ROOT / ".gitignore").read_text().split()
    return any(Path(path).as_posix().startswith(line) for line in lines if line.endswith("/") and "/" in line[:-1])


def test_defaults_leave_tracked_files_alone(call, tmp_path):
    for command in (results.table, results.figure):
        assert ignored(inspect.signature(command).parameters["out"].default), command
    assert ignored(options.OWN / "CLAIMS.md") and ignored(options.DEFAULT_RUNS / "jobs")
    assert "OWN" in inspect.getsource(claims) and not ignored("results/tables/table1.md")
    assert call("run", "--method", "plain", "--method", "tid", "--cases", 1, "--ground-truth")[0] == 0
    for arguments in (("table", 1), ("report",), ("figure", 1), ("figure", 4)):
        assert call(*arguments)[0] == 0
    written = [path.relative_to(tmp_path) for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert len(written) > 10 and all(map(ignored, written))


def test_make_leaves_tracked_files_alone():
    text = (ROOT / "Makefile").read_text()
    for out in re.findall(r"--out (\S+)", text):
        assert ignored(f"{out}/x"), out
    assert "benchmarks/publish.py" in text
