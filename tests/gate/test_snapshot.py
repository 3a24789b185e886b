"""The regression gate's arithmetic: what a tolerance is made of, and what counts as changed."""

import contextlib
import math

import pytest

from ivgbench.cli import app
from ivgbench.errors import UserError
from ivgbench.gate import snapshot
from ivgbench.gate.snapshot import Metric, changes, tolerances


def metric(column="miou", rows="static", label="Peekaboo", table="table 1"):
    return Metric(table, rows, label, column)


STATIC, DYNAMIC = metric(), metric(rows="dynamic")


def test_a_tolerance_is_three_times_the_largest_move_of_a_column_in_any_row():
    base = {STATIC: 10.0, DYNAMIC: 20.0, metric(label="Plain"): 30.0}
    others = [{**base, STATIC: 10.5}, {**base, DYNAMIC: 19.0}]
    found = tolerances(base, others)
    assert found[STATIC] == found[DYNAMIC] == 3.0
    assert found[metric(label="Plain")] == pytest.approx(0.03), "what never moved may move by a thousandth"


def test_encoders_are_on_scales_of_their_own_and_references_are_not():
    names = {
        (reference, encoder): Metric("table 2", f"{reference}, {encoder}", "Plain", "fid")
        for reference in ("world", "suite")
        for encoder in ("clip", "denoiser")
    }
    base = dict.fromkeys(names.values(), 1.0)
    found = tolerances(base, [{**base, names["world", "clip"]: 1.5}])
    assert found[names["suite", "clip"]] == 1.5 and found[names["world", "denoiser"]] == pytest.approx(0.001)


def test_what_is_undefined_now_and_then_has_no_tolerance():
    base = {STATIC: None, DYNAMIC: 5.0}
    assert tolerances(base, [{STATIC: 1.0, DYNAMIC: None}]) == {STATIC: math.inf, DYNAMIC: math.inf}
    assert tolerances(base, [base])[STATIC] == 0


@pytest.mark.parametrize(
    ("kept", "new", "told"),
    [
        ((10.0, 0.5), 10.5, None),
        ((10.0, 0.5), 9.4, "was 10, is 9.4, tolerance 0.5"),
        ((10.0, 0.5), None, "was 10, is undefined, tolerance 0.5"),
        ((None, 0.0), None, None),
        ((None, 0.0), 3.0, "was undefined, is 3, tolerance 0"),
        ((None, math.inf), 3.0, None),
        ((10.0, math.inf), None, None),
    ],
)
def test_what_counts_as_changed(kept, new, told):
    found = changes({STATIC: kept}, {STATIC: new})
    assert [str(one) for one in found] == ([] if told is None else [f"table 1 / static / Peekaboo / miou: {told}"])


def test_a_metric_that_is_gone_and_one_that_is_new_are_changes():
    found = changes({STATIC: (1.0, 9.0)}, {DYNAMIC: 1.0})
    assert [str(one).split(": ")[1] for one in found] == [
        "was 1, is missing, tolerance 9",
        "was missing, is 1, tolerance 0",
    ]


def test_a_snapshot_is_read_as_it_was_written(tmp_path):
    base = {STATIC: 10.0, DYNAMIC: None}
    snapshot.save(tmp_path / "s.json", base, {"two threads": {STATIC: 10.25, DYNAMIC: 1.0}}, {"torch": "2"})
    kept, environment = snapshot.load(tmp_path / "s.json")
    assert kept == {STATIC: (10.0, 0.75), DYNAMIC: (None, math.inf)} and environment == {"torch": "2"}
    assert changes(kept, base) == []


@pytest.mark.parametrize("content", [None, "{", "[]", '{"version": 99}', '{"version": 1, "metrics": [{}]}'])
def test_no_snapshot_or_a_damaged_one_is_one_clear_line(tmp_path, content):
    path = tmp_path / "s.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="ivgbench snapshot update"):
        snapshot.load(path)


def test_the_command_names_what_changed_and_fails(tmp_path, monkeypatch, capsys):
    from ivgbench.gate import variations

    spec = tmp_path / "gate.toml"
    spec.write_text('name = "gate"\nmethods = ["plain"]\n')
    made = {STATIC: 10.0}
    monkeypatch.setattr(variations, "made", lambda *_: contextlib.nullcontext(tmp_path))
    monkeypatch.setattr(snapshot, "values", lambda *_: dict(made))
    options = ["--spec", str(spec), "--snapshots", str(tmp_path)]
    app(["snapshot", "update", *options], standalone_mode=False)
    app(["snapshot", "check", *options], standalone_mode=False)
    assert "all 1 metrics are within their tolerances" in capsys.readouterr().out
    made[STATIC] = 10.1
    with pytest.raises(SystemExit) as ended:
        app(["snapshot", "check", *options], standalone_mode=False)
    assert ended.value.code == 1
    assert "table 1 / static / Peekaboo / miou: was 10, is 10.1, tolerance 0.01" in capsys.readouterr().out
