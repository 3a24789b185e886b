"""Bars of what is usually quick: they wait, and a failure stands alone."""

import time

import pytest

from ivgbench.runs import progress


def test_what_is_quick_shows_nothing(capsys):
    with progress.late_progress() as stage:
        stage("plan", 1)()
    assert capsys.readouterr() == ("", "")


def wait_for(capsys_stage):
    """Long enough that the bars are there, whatever the machine does."""
    time.sleep(0.3)


def test_what_takes_its_time_shows_its_stages_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.late_progress() as stage:
        done = stage("costs", 2)
        wait_for(stage)
        done()
    told = capsys.readouterr()
    assert told.out == "" and "costs" in told.err and "1/2" in told.err


def test_a_failure_stands_alone(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with pytest.raises(ValueError), progress.late_progress() as stage:
        stage("costs", 2)
        wait_for(stage)
        raise ValueError
    assert capsys.readouterr().err.strip() == ""
