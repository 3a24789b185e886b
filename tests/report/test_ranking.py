"""Marks of best and second best: what is equal in print is equal, and a crowd of equals is not marked."""

import pytest

from ivgbench.report import layout, ranking, render, tables
from ivgbench.report.page import writing
from ivgbench.report.ranking import places


@pytest.mark.parametrize(
    ("values", "decimals", "marks"),
    [
        ([1, 2, 3, 4], 0, [0, 0, 2, 1]),
        ([5, 5, 5, 5, 5, 1], 0, [0] * 6),  # five tie
        ([5, 5, 5], 0, [0] * 3),  # all tie
        ([5, 5], 0, [0, 0]),
        ([5, 5, 1], 0, [0, 0, 0]),  # two of three
        ([5, 5, 3, 1], 0, [1, 1, 2, 0]),  # two of four
        ([5, 5, 5, 4, 3, 2, 1, 0], 0, [0] * 8),  # three of eight
        ([5, 4, 4, 4, 3], 0, [1, 0, 0, 0, 0]),  # a crowd behind the best
        ([5, 4, 4], 0, [1, 0, 0]),
        ([5, 4, 4, 1], 0, [1, 2, 2, 0]),
        ([99.9, 99.96, 100.0, 90.0], 1, [2, 1, 1, 0]),  # 100.0 twice in print
        ([99.9, 99.96, 100.0, 90.0], 0, [0] * 4),
        ([0.0004, -0.0004, 1, 2], 3, [0, 0, 2, 1]),
        ([1], 0, [0]),
        ([], 0, []),
    ],
)
def test_places(values, decimals, marks):
    assert places(values, +1, decimals) == marks
    assert places([-value for value in values], -1, decimals) == marks


def test_no_minus_zero_in_print():
    assert places([0.0004, -0.0004, -1, -2], +1, 3) == [1, 1, 2, 0]


@pytest.fixture
def tied(monkeypatch, make_run):
    """Six methods; on static boxes five share the best CLIP-SIM, in print only."""
    rows, manifest = make_run()
    methods = list(dict.fromkeys(entry["method"] for entry in manifest["jobs"] if entry["method"] != "ground-truth"))
    for row in rows:
        if row["split"] == "static" and row["metric"] == "clip_sim" and row["method"] in methods:
            row["value"] = 41.0 if row["method"] == methods[0] else 50.0 + 0.0001 * methods.index(row["method"])
    monkeypatch.setattr(tables, "load", lambda number, runs, name: (rows, manifest))
    return tables.build(1)


def column(block, number):
    return [row[number].rank for row in block.rows]


def test_a_column_in_which_five_rows_tie_marks_none_in_any_output(tied):
    static, dynamic, _ = layout.blocks(tied)
    assert not any(column(static, 2)) and sorted(column(dynamic, 2))[-2:] == [1, 2]
    assert {1, 2} <= set(column(static, 6))  # the other columns are what they were
    for text, best, second in (
        (render.markdown(tied), "**50.00**", "<u>50.00</u>"),
        (render.tex(tied), "\\textbf{50.00}", "\\underline{50.00}"),
    ):
        assert "50.00" in text and best not in text and second not in text
    assert any(ranking.RULE in note for note in tied.notes)


def test_the_page_marks_what_the_tables_mark(tied, monkeypatch, tmp_path):
    manifest = {"jobs": [], "suites": {}, "environment": {}, "backbone": "b", "detector": "d", "clip": "c"}

    class Stored:
        choose = staticmethod(lambda run, default: default)
        load_rows = staticmethod(lambda run: ([], manifest))
        set_rows = staticmethod(lambda run: [])

    monkeypatch.setattr(writing, "Store", lambda runs: Stored)
    monkeypatch.setattr(tables, "build", lambda *_: tied)
    page = writing.write(tmp_path, None, tmp_path / "report").read_text(encoding="utf-8")
    ranks = [cell.rank for block in layout.blocks(tied) for row in block.rows for cell in row]
    assert page.count('class="best"') == ranks.count(1) and page.count('class="second"') == ranks.count(2)
    assert 'class="best">50.00' not in page
