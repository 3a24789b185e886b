import csv
import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from ivgbench.metrics.catalogue import MEASURED
from ivgbench.report import layout, paper, render, tables


@pytest.fixture
def built(monkeypatch, make_run):
    monkeypatch.setattr(tables, "load", lambda number, runs, name: make_run())
    return tables.build(1)


@pytest.fixture
def partial(monkeypatch, make_run):
    rows, manifest = make_run()
    job = manifest["jobs"][0]["job"]
    monkeypatch.setattr(tables, "load", lambda *_: ([row for row in rows if row["job"] != job], manifest))
    return tables.build(1, allow_partial=True)


def printed(table, width=120, **settings):
    console = Console(width=width, file=io.StringIO(), **settings)
    render.show(table, console)
    return console.file.getvalue()


def test_files_are_written_and_the_same_results_give_the_same_bytes(built, tmp_path):
    first, second = render.write(built, tmp_path / "a"), render.write(built, tmp_path / "b")
    assert [path.name for path in first] == ["table1.csv", "table1.md", "table1.tex"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_only_seconds_depend_on_the_machine(monkeypatch, make_run, built):
    rows, manifest = make_run()
    slower = [{**row, "value": row["value"] * 2} if row["metric"] == "seconds" else row for row in rows]
    monkeypatch.setattr(tables, "load", lambda *_: (slower, manifest))
    other = tables.build(1)
    assert render.tex(other) == render.tex(built)
    ours, theirs = (list(csv.DictReader(io.StringIO(render.csv(one)))) for one in (built, other))
    for a, b in zip(ours, theirs, strict=True):
        assert {key for key in a if a[key] != b[key]} == {"seconds"}


def test_csv_holds_the_frame(built):
    rows = list(csv.DictReader(io.StringIO(render.csv(built))))
    assert len(rows) == 14
    assert [row["label"] for row in rows[:7]] == built.frame["label"].tolist()[:7]
    assert float(rows[1]["miou"]) == pytest.approx(built.frame["miou"][1], abs=1e-6)
    assert rows[0]["paper_miou"] == ""
    assert "partial" not in rows[0]


def test_csv_is_what_pandas_writes(built):
    rows = [{"label": 'a "b", c', "x": 1, "whole": 3, "y": 2.5}, {"label": "=1", "x": float("nan"), "whole": 4, "z": 1}]
    for made in (built, replace(built, rows=rows, whole=("whole",)), replace(built, rows=rows, whole=("x", "z"))):
        frame = made.frame.assign(run=made.run).replace("=1", "'=1")
        assert render.csv(made) == frame.to_csv(index=False, float_format="%.6f", lineterminator="\n")


def test_markdown_tables_are_regular_and_mark_one_best_per_column(built):
    text = render.markdown(built)
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        lines = block.strip().split("\n")
        assert len({line.count("|") for line in lines}) == 1
    static = text.split("## ")[1].split("\n\n")[1]
    for column in range(len(MEASURED) + 1):
        cells = [line.split("|")[3 + column] for line in static.split("\n")[2:]]
        if column == 1:
            continue  # attained: no rank
        assert sum("**" in cell for cell in cells) >= 1, column
        assert "**" not in cells[-2]  # the reference


def test_paper_stands_below_and_says_that_it_cannot_be_compared(built):
    for text in (render.markdown(built), render.tex(built), printed(built)):
        assert text.index("Mask Norm + TID") < text.index("not comparable in absolute value")
        assert "33.82" in text.split("not comparable")[1]
        assert paper.SOURCE in text


def test_a_partial_run_says_so_everywhere(partial):
    for text in (render.markdown(partial), render.tex(partial), printed(partial)):
        assert "PARTIAL RUN" in text
        assert "1 missing of 84 clips" in text
    assert all(row["partial"].startswith("1 missing") for row in csv.DictReader(io.StringIO(render.csv(partial))))
    assert "5/6" in printed(partial)


@pytest.mark.parametrize("width", [120, 140, 160])
def test_print_fits_and_cuts_nothing(built, width):
    text = printed(built, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for label in built.frame["label"]:
        assert re.search(rf"^ {re.escape(label)} +\S", text, re.MULTILINE), label
    assert "pocket lab" in text.splitlines()[0]


def test_a_narrow_terminal_hides_nothing(built):
    text = printed(built, 60, force_terminal=True, color_system=None)
    assert "…" not in text


def test_colours_replace_marks(built):
    plain, coloured = printed(built), printed(built, force_terminal=True, color_system="standard")
    assert "*58" in plain or re.search(r"\*\d", plain)
    assert not re.search(r"[*+]\d", re.sub(r"\x1b\[[0-9;]*m", "", coloured))
    assert "\x1b[" in coloured


def test_numbers():
    assert layout.number(float("nan"), 2) == "–"
    assert layout.number(-0.001, 2) == "0.00"
    assert layout.number(-0.1, 1) == "-0.1"
    assert layout.number(12.345, 1) == "12.3"


def test_tex_is_escaped(monkeypatch, make_run):
    rows, manifest = make_run(methods=["plain", "peekaboo"])
    for item in [*rows, *manifest["jobs"]]:
        if item["label"] == "peekaboo":
            item["label"] = r"t_i&d 50% #1 {$x^2$} ~ \o"
    monkeypatch.setattr(tables, "load", lambda *_: (rows, manifest))
    text = render.tex(tables.build(1))
    assert r"t\_i\&d 50\% \#1 \{\$x\textasciicircum{}2\$\} \textasciitilde{} \textbackslash{}o" in text
    body = [line for line in text.splitlines() if not line.startswith("%")]
    for line in body:
        assert not re.search(r"(?<!\\)[%#_]", line), line
    for tabular in re.findall(r"\\begin{tabular}{(l r*|lr*)}(.*?)\\end{tabular}", text, re.DOTALL):
        for line in tabular[1].splitlines():
            if line.endswith(r"\\") and "multicolumn" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == len(tabular[0]) - 1
    assert render.markdown(tables.build(1)).count(r"t\_i&d 50% #1 {$x^2$} ~ \\o") == 2


def test_no_path_and_no_date(built):
    for text in (render.csv(built), render.markdown(built), render.tex(built)):
        assert not re.search(r"20\d\d-\d\d|/home/|/tmp/|/work/", text)


def test_captions_that_clip_cuts_are_marked_at_their_number_and_told_below(monkeypatch, make_run, built):
    rows, manifest = make_run()
    told = [{**row, "metric": "caption_cut", "value": 0.0} for row in rows if row["metric"] == "clip_sim"]
    monkeypatch.setattr(tables, "load", lambda *_: (rows + told, manifest))
    assert render.markdown(tables.build(1)) == render.markdown(built)
    for row in told:
        row["value"] = float((row["split"], row["case"]) == ("static", "case-02"))
    made = tables.build(1)
    static = made.frame["split"] == "static"
    assert (made.frame["captions_cut"] == static).all()
    for text in (render.markdown(made), printed(made)):
        assert (
            text.count("†") == static.sum() + 1 and "† The prompts of 1 cases (7 clips; the first is case-02)" in text
        )
    assert render.tex(made).count(r"$\dagger$") == static.sum() and "†" not in render.markdown(built)
