"""Unfinished files of killed writers: swept where no living writer can own them, and only there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from ivgbench.files import write_text
from ivgbench.runs import doctor
from ivgbench.store import leftovers


@pytest.fixture
def root(tmp_path):
    """A folder of runs with a stored file in each of a store's folders."""
    for place in ("jobs/abc", "cache/model-1", "scores", "sets", "manifests"):
        write_text(tmp_path / place / "x.json", "{}\n")
    write_text(tmp_path / "index.json", "{}\n")
    return tmp_path


def left_behind(path, hours):
    path.write_text("half")
    os.utime(path, (then := time.time() - 3600 * hours, then))
    return path


def test_old_ones_are_removed_wherever_a_store_writes_and_nothing_else_is(root):
    old = [
        left_behind(root / name, 25)
        for name in (
            ".index.json.abcdefgh.part", "cache/model-1/.k.npz.a1_c3f4h.part", "jobs/abc/.video.mkv.abcdefgh.part",
            "manifests/.r.json.abcdefgh.part", "scores/.s.json.abcdefgh.part", "sets/.r.json.abcdefgh.part",
        )
    ]  # fmt: skip
    others = [left_behind(root / name, 25) for name in ("notes.part", "jobs/abc/.film.mkv.part", "scores/.s.json.part")]
    (root / "elsewhere").mkdir()
    others.append(left_behind(root / "elsewhere" / ".x.json.abcdefgh.part", 25))
    found = leftovers.sweep(root)
    assert (sorted(found.removed), found.size, found.left) == (sorted(old), 4 * len(old), ())
    assert not any(path.exists() for path in old) and all(path.exists() for path in others)
    assert len(list(root.rglob("x.json"))) == 5 and (root / "index.json").exists()


def test_one_that_a_writer_may_own_stays(root):
    young = left_behind(root / "scores" / ".s.json.abcdefgh.part", 23)
    future = left_behind(root / "scores" / ".t.json.abcdefgh.part", -48)  # a clock was set back since
    assert leftovers.sweep(root) == ((), 0, (young, future))


def test_what_a_killed_writer_leaves_has_a_name_that_is_known(root):
    program = (
        "import os, signal, sys; from pathlib import Path; from ivgbench.files import write_atomic\n"
        "write_atomic(Path(sys.argv[1]), lambda handle: os.kill(os.getpid(), signal.SIGKILL))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(root / "jobs" / "abc" / "video.mkv")])
    assert done.returncode == -signal.SIGKILL
    (path,) = leftovers.sweep(root).left
    os.utime(path, (0, 0))
    assert leftovers.sweep(root).removed == (path,)


def test_where_nothing_can_be_written_they_are_told_and_stay(root, monkeypatch):
    old = left_behind(root / "scores" / ".s.json.abcdefgh.part", 25)

    def refuse(**_):
        raise PermissionError("read-only")

    monkeypatch.setattr(leftovers.tempfile, "TemporaryFile", refuse)
    assert leftovers.sweep(root).left == (old,) and old.exists()


def test_the_doctor_tells(root, tmp_path):
    assert doctor._leftovers(tmp_path / "none").result == doctor._leftovers(root).result == "none"
    old = left_behind(root / "scores" / ".s.json.abcdefgh.part", 25)
    young = left_behind(root / "scores" / ".t.json.abcdefgh.part", 0)
    found = doctor._leftovers(root)
    assert f"1 of killed writers removed (0.0 MB); first: {old}" in found.result
    assert f"1 left, of writers at work or killed lately; first: {young}" in found.result
    assert not found.remedy
