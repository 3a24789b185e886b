"""The file of a calibration: facts by number or id, and damage that is told."""

import pytest

from ivgbench import calibration
from ivgbench.calibration import Calibration, Finding
from ivgbench.errors import UserError


def record(*findings):
    made = [Finding(number, id, f"text of {id}", "source", "", "", verdict) for number, id, verdict in findings]
    return Calibration("pocket", "w1", "run", 48, (0,), "command", {}, tuple(made))


def test_a_fact_fails_where_a_part_of_it_fails():
    found = record((1, "a", "holds"), (1, "b", "fails"), (2, "c", "holds"), (2, "d", "open"), (3, "e", "not used"))
    assert [found.verdict(key) for key in (1, 2, 3, "a", "d")] == ["fails", "open", "not used", "holds", "open"]
    assert found.text(1) == "text of b" and found.text("a") == "text of a" and found.text(3) == "text of e"
    with pytest.raises(UserError, match="has no fact 7; it has 1, 2, 3"):
        found.verdict(7)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"calibration_version": 0}', '{"calibration_version": 1, "x": 2}'])
def test_a_damaged_file_is_told_in_one_line(tmp_path, text):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(UserError, match="not a calibration"):
        calibration.load(path)


def test_bars_in_a_word():
    kept = {"source": "", "asked": "", "measured": "", "verdict": "open"}
    words = [calibration.bar(Finding(1, "a", "t", bar=True, met=met, **kept)) for met in (True, False, None)]
    assert words == ["met", "**missed**", "not measured"]
    assert calibration.bar(Finding(1, "a", "t", **kept)) == "–"
