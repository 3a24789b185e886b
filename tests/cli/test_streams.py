"""Printing never fails: whatever the output's encoding, and whoever has stopped listening."""

import io
import json
import sys

import pytest

from ivgbench import cli
from ivgbench.cases import Case, Subject, Suite
from ivgbench.cli import streams
from ivgbench.report import render

FILES = ["table1.csv", "table1.md", "table1.tex"]
PROMPT = "a red star – über 空 \U0001f600"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-16", "cp437", "utf-8"])
def test_a_table_is_written_and_printed_in_any_encoding(shell, runs, tmp_path, encoding):
    done = shell(f"ivgbench table 1 --runs {runs} --out t > printed", PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == FILES
    printed = (tmp_path / "printed").read_text(encoding)
    assert "Mask Norm + TID" in printed and "not comparable" in printed and "\\u" not in printed


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("ivgbench table 1 --runs {runs} --out t | head -1; exit ${{PIPESTATUS[0]}}", 0, b"written"),
        ("ivgbench table 1 --runs {runs} --out t 2>&1 | true; exit ${{PIPESTATUS[0]}}", 0, b""),
        ("ivgbench table 1 --runs {runs} --out t >&-", 0, b"written"),
        ("ivgbench table 1 --runs {runs} --out t >&- 2>&- <&-", 0, b""),
        ("ivgbench table 1 --runs {runs} --out t > /dev/full", 1, b"could not be printed: No space left on device"),
        ("ivgbench table 1 --runs {runs} --out t 2> /dev/full", 0, b""),
    ],
    ids=["head", "a pipe without a reader", "closed", "all closed", "full disk", "full disk for errors"],
)
def test_files_are_there_even_when_printing_fails(shell, runs, tmp_path, line, code, told):
    done = shell(line.format(runs=runs))
    assert done.returncode == code and told in done.stderr
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == FILES


def test_an_error_keeps_its_exit_code_without_a_reader(shell):
    assert shell("ivgbench table 1 2>&-").returncode == 2
    assert shell("ivgbench table 1 > /dev/full").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp1252"])
def test_a_shown_suite_is_the_same_in_any_encoding(shell, tmp_path, encoding):
    box = [[0.1, 0.1, 0.5, 0.5]] * 2
    Suite("mine", 2, (Case("a", PROMPT, (Subject("red star", box),)),)).save(tmp_path / "mine.jsonl")
    done = shell("ivgbench suites show ./mine.jsonl", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert json.loads(done.stdout.decode(encoding))["prompt"] == PROMPT
    refused = shell("ivgbench suites show '空–'", PYTHONIOENCODING=encoding)
    assert refused.returncode == 2 and refused.stderr.count(b"\n") == 1
    assert b"Traceback" not in refused.stderr


def test_signs_are_spelled_and_other_characters_escaped():
    assert "".join(map(streams.spell, "–×±↑é\U0001f600\udc80")) == "-x+-^\\u00e9\\ud83d\\ude00\\udc80"
    out = io.TextIOWrapper(io.BytesIO(), "cp1252", newline="")
    steady = streams.Steady(out)
    steady.write("± ↑ 空")
    steady.flush()
    assert out.buffer.getvalue() == "± ^ \\u7a7a".encode("cp1252") and steady.fault is None


class Broken(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_work_goes_on_behind_a_broken_stream(monkeypatch):
    """A program that prints along its way does all of its work, and then says that its output is lost."""
    done, error = [], io.StringIO()
    monkeypatch.setattr(sys, "stdout", Broken())
    monkeypatch.setattr(sys, "stderr", error)

    def task():
        for number in range(3):
            print(number)
            done.append(number)

    with pytest.raises(SystemExit) as left:
        cli.in_one_line(task)
    assert done == [0, 1, 2] and left.value.code == 1 and "could not be printed" in error.getvalue()
    assert isinstance(sys.stdout, Broken) and sys.stderr is error


def test_files_are_written_before_anything_is_printed(monkeypatch, runs, tmp_path):
    there = []
    monkeypatch.setattr(render, "show", lambda table: there.extend(path.name for path in tmp_path.iterdir()))
    monkeypatch.setattr(sys, "argv", ["ivgbench", "table", "1", "--runs", str(runs), "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        cli.main()
    assert sorted(there) == FILES
