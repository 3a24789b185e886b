"""Texts from elsewhere: where they are shown they are text, and command nothing."""

import io
import json
import re
import subprocess
import sys

import pandas as pd
import pytest
from traps import words

from ivgbench.cli.streams import Steady
from ivgbench.errors import UserError
from ivgbench.report import render, tables
from ivgbench.runs.spec import MethodSpec
from ivgbench.store.runs import Store
from ivgbench.suites import imports, records
from ivgbench.texts import spreadsheet

#: The title of the window, the clipboard, a report of the terminal's state that is typed as a command, and the same
#: in 8 bits; a bell, a backspace, a text that is turned around.
COMMANDS = ["\x1b]0;owned\x07", "\x1b]52;c;cm0gLXJm\x07", "\x1b[6n", "\x1bP+q\x1b\\", "\x9b6n", "\x1bc", "\a", "\b",
            "\u202egpj.exe", "\x7f"]  # fmt: skip


@pytest.mark.parametrize("text", COMMANDS)
def test_a_terminal_is_not_commanded(text):
    stream = io.StringIO()
    Steady(stream).write(f"a{text}b\n")
    assert stream.getvalue().startswith("a\\u") and stream.getvalue().endswith("b\n")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", stream.getvalue())


def test_colours_and_bars_stay():
    stream = io.StringIO()
    Steady(stream).write("\x1b[1;32mgreen\x1b[0m\r\x1b[2K\x1b[1A\x1b[?25l\ttext – über 👩‍🚀\n")
    assert stream.getvalue() == "\x1b[1;32mgreen\x1b[0m\r\x1b[2K\x1b[1A\x1b[?25l\ttext – über 👩‍🚀\n"


def test_a_json_text_means_the_same():
    stream, text = io.StringIO(), json.dumps({"prompt": "\x1b]0;x\x07\u202e"}, ensure_ascii=False)
    Steady(stream).write(text)
    assert json.loads(stream.getvalue()) == {"prompt": "\x1b]0;x\x07\u202e"}


@pytest.mark.parametrize("text", [*COMMANDS, "a\nb", "a\rb"])
def test_a_label_is_one_line(text):
    with pytest.raises(UserError, match="cannot be printed"):
        MethodSpec("plain", label=f"a{text}")


FORMULAS = ["=HYPERLINK(1)", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_spreadsheet_runs_no_text(text):
    assert spreadsheet(text) == f"'{text}" and spreadsheet(f"a {text}") == f"a {text}"


@pytest.fixture
def table(make_run, tmp_path):
    """Table 1 of a run whose first row is called by a text."""

    def made(label):
        rows, manifest = make_run(["plain", "mask-norm"], cases=2)
        for one in (*rows, *manifest["jobs"]):
            if one["label"] == "plain":
                one["label"] = label
        store = Store(tmp_path)
        store.save_manifest("table1", manifest)
        made = pytest.MonkeyPatch()
        made.setattr(Store, "load_rows", lambda self, run: (rows, manifest))
        try:
            return tables.build(1, tmp_path, "table1")
        finally:
            made.undo()

    return made


@pytest.mark.parametrize("text", FORMULAS[:4])
def test_the_rows_of_a_table_are_no_formulas(table, text):
    labels = list(pd.read_csv(io.StringIO(render.csv(table(text))))["label"])
    assert f"'{text}" in labels and text not in labels


def test_the_notes_of_an_import_are_no_formulas(tmp_path):
    note = imports.Note(*["=1"] * len(imports.Note._fields))
    imports.Import.write(type("R", (), {"notes": [note]})(), tmp_path / "notes.csv")
    assert all(cell == "'=1" for cell in (tmp_path / "notes.csv").read_text().splitlines()[1].split(","))


def test_latex_prints_what_it_is_given(table):
    text = render.tex(table(r"\input{/etc/passwd} $\write18{ls}$ % & #1 ^^5c"))
    assert r"\input" not in text and r"\write" not in text
    assert r"\textbackslash{}input\{/etc/passwd\}" in text
    assert all(line.startswith("%") for line in text.rstrip().rpartition("\n\n")[2].splitlines())


def test_markup_is_text(table, capsys):
    label = "[red]x[/red] [link=http://x]y[/link]"
    render.show(table(label))
    out = "".join(capsys.readouterr().out.split())
    assert "[red]" in out and "[/link]" in out


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir [{}]", "!!python/object/new:os.mkdir [{}]", "!!python/name:os.mkdir",
            "!!python/module:os", "!unknown {}"])  # fmt: skip
def test_yaml_makes_no_objects(tmp_path, tag):
    place, file = tmp_path / "sprung", tmp_path / "mine.yaml"
    file.write_text(f"cases:\n  - case: {tag.format(place)}\n")
    with pytest.raises(UserError):
        records.read(file)
    assert not place.exists()


def test_options_and_specs_are_data(tmp_path):
    place, spec = tmp_path / "sprung", tmp_path / "spec.toml"
    spec.write_text(f'name = "r"\n[[methods]]\nmethod = "tid"\noptions = {{ gamma = {json.dumps(words(place))} }}\n')
    command = [sys.executable, "-m", "ivgbench", "plan", "--spec", str(spec), "--runs", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and not place.exists()
