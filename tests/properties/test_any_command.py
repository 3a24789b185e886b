"""The command line on broken inputs: exit code 0, 1 or 2, one line on stderr for a refusal, and never a traceback."""

import contextlib
import io
import json
import shutil
import sys
from unittest import mock

import pytest
from damage import anything_written, broken_json, damaged, edited
from fake_lab import FakeLab
from generated import holds_for
from hypothesis import strategies as st
from test_any_suite import RECORDS, lines, whole

from ivgbench import cli, load_suite
from ivgbench.cases import Suite
from ivgbench.runs import lab
from ivgbench.store import video
from ivgbench.store.runs import Store

CASES = 2


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a suite, its videos and a finished run; commands run in it, with the fake lab."""
    folder = tmp_path_factory.mktemp("commands")
    static = load_suite("static")
    suite = Suite("mine", static.frames, static.cases[:CASES])
    suite.save(folder / "mine.jsonl")
    (folder / "theirs").mkdir()
    for case in suite.cases:
        clip = FakeLab(None).draw(case, 0.0, 0).video
        (folder / "theirs" / f"{case.id}.mkv").write_bytes(video.encode(clip))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(lab, "Lab", lambda *_: FakeLab(folder / "log"))
        assert call("run", "--method", "plain", "--suite", "mine.jsonl", "--workers", 1, "--runs", "done")[0] == 0
        yield folder


def call(*arguments: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command. An exception that is not an exit is the test's."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["ivgbench", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as left,
    ):
        cli.main()
    return left.value.code or 0, out.getvalue(), err.getvalue()


def told(code: int, out: str, err: str) -> int:
    """The exit code, after a look at what was said."""
    assert code in (0, 1, 2) and "Traceback" not in out + err, (code, err)
    if code == 2:
        assert err.startswith("ivgbench: ") and err.count("\n") == 1 and err.endswith("\n"), err
    return code


suite_files = st.one_of(
    edited(RECORDS).map(lambda records: lines(whole(records if isinstance(records, list) else [records]))),
    edited(whole()).map(lambda records: lines(records if isinstance(records, list) else [records])),
    damaged(lines(whole())),
)


@holds_for(suite_files, dear=2)
def test_suites_validate_and_show(here, data):
    (here / "bad.jsonl").write_bytes(data)
    code = told(*call("suites", "validate", "bad.jsonl"))
    assert code in (0, 2) and told(*call("suites", "show", "bad.jsonl")) == code
    assert told(*call("suites", "validate", "mine.jsonl", "bad.jsonl")) == code


@holds_for(anything_written.filter(lambda text: "\x00" not in text and not text.startswith("-")), dear=4)
def test_names_of_any_kind(here, name):
    for arguments in (
        ["suites", "validate", name], ["suites", "make", name, "--out", "made"], ["plan", "--spec", name],
        ["table", 1, "--runs", name], ["table", 1, "--runs", "done", "--run", name], ["plan", "--method", name],
        ["plan", "--method", "plain", "--suite", name], ["plan", "--method", "plain", "--option", name],
        ["score", "--videos", name, "--suite", "mine.jsonl"], ["score", "--videos", "theirs", "--suite", name],
    ):  # fmt: skip
        told(*call(*arguments))


@holds_for(st.sampled_from(["sidecar", "video", "score", "manifest"]), st.data(), dear=7)
def test_tables_of_a_damaged_store(here, kind, data):
    pattern = {"sidecar": "jobs/*/sidecar.json", "video": "jobs/*/video.mkv", "score": "scores/*.json",
               "manifest": "manifests/*.json"}[kind]  # fmt: skip
    shutil.rmtree(here / "hurt", ignore_errors=True)
    shutil.copytree(here / "done", here / "hurt")
    path = data.draw(st.sampled_from(sorted((here / "hurt").glob(pattern))))
    whole_file = path.read_bytes()
    path.write_bytes(data.draw(damaged(whole_file) if kind == "video" else broken_json(json.loads(whole_file))))
    assert told(*call("table", 1, "--runs", "hurt", "--out", "tables")) in (0, 2)
    partial = told(*call("table", 1, "--runs", "hurt", "--out", "tables", "--allow-partial"))
    if kind != "manifest":
        assert partial == 0  # one of two clips is intact
        assert sum(row["metric"] == "miou" for row in Store("hurt").load_rows(Store("hurt").runs()[0])[0]) >= 1
    told(*call("report", "--runs", "hurt", "--out", "report", "--allow-partial"))
    told(*call("report", "--runs", "hurt", "--out", "report.html", "--embed", 1, "--allow-partial"))


@holds_for(st.integers(0, CASES - 1), st.sampled_from(["mkv", "mp4", "avi", "gif"]), st.data(), dear=35)
def test_broken_videos_of_another_system(here, which, suffix, data):
    shutil.rmtree(here / "broken", ignore_errors=True)
    shutil.rmtree(here / "scored", ignore_errors=True)
    shutil.copytree(here / "theirs", here / "broken")
    path = sorted((here / "broken").glob("*.mkv"))[which]
    content = data.draw(damaged(path.read_bytes()))
    path.unlink()
    path.with_suffix(f".{suffix}").write_bytes(content)
    arguments = ["score", "--videos", "broken", "--suite", "mine.jsonl", "--workers", 1, "--runs", "scored"]
    code = told(*call(*arguments))
    rows, manifest = Store("scored").load_rows(Store("scored").runs()[0])
    assert len(manifest["jobs"]) == CASES and code in (0, 1)
    other = manifest["jobs"][1 - which]["job"]
    assert {row["status"] for row in rows if row["job"] == other} <= {"ok", "undefined"}
    failed = [row for row in rows if row["status"].startswith("failed")]
    assert code == (1 if failed else 0)
    assert told(*call("table", 1, "--runs", "scored", "--out", "tables", "--allow-partial")) == 0
