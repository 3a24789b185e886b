"""The bars of base models, side by side."""

import pytest

from ivgbench.pocket.exams import bars


def exam(clips=256, speed=2.0, turn=0.5, **shares):
    told = {what: least for what, least in bars.LEAST.items()} | shares
    told |= {"speed, px/frame": speed, "speed in the world, px/frame": 1.9}
    told |= {"acceleration, px/frame^2": turn, "acceleration in the world, px/frame^2": 0.0}
    return {bars.PART: {**told, "clips": float(clips)}}


def test_a_share_meets_its_bar_from_the_bar_on():
    exams = {"pocket": exam(coverage=0.949, **{"shape right": 0.901})}
    assert bars.verdict("pocket", "coverage", exams) == bars.MISSED
    assert bars.verdict("pocket", "shape right", exams) == bars.verdict("pocket", "colour right", exams) == bars.MET


@pytest.mark.parametrize(
    ("speed", "told"), [(1.85, bars.MET), (1.95, bars.MET), (2.0, bars.MISSED), (1.7, bars.MISSED)]
)
def test_motion_is_to_be_nearer_to_the_worlds_than_the_first_models(speed, told):
    exams = {"pocket": exam(), "pocket-dit": exam(speed=speed)}
    assert bars.verdict("pocket-dit", "speed, px/frame", exams) == told
    assert bars.verdict("pocket", "speed, px/frame", exams) == ""


def test_fewer_captions_than_asked_or_nobody_to_compare_with_leave_a_bar_open():
    assert bars.verdict("pocket", "coverage", {"pocket": exam(clips=64, coverage=0.0)}) == bars.OPEN
    assert bars.verdict("pocket-dit", "speed, px/frame", {"pocket-dit": exam()}) == bars.OPEN


def test_the_table_has_a_column_a_model_and_marks_what_is_missed():
    table = bars.table({"pocket": exam(), "pocket-dit": exam(clips=64), "other": exam(coverage=0.5, turn=0.1)})
    assert "| measured | asked | pocket | pocket-dit | other |" in table
    assert "| captions | 256 | 256 | 64 | 256 |" in table
    assert "| coverage | at least 95% | 95.0%, met | 95.0%, open | **50.0%**, missed |" in table
    assert "| 0.50 (the world's 0.00) | 0.50 (the world's 0.00), open | 0.10 (the world's 0.00), met |" in table
