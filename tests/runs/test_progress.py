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
    assert told.err.endswith("\n"), "what is said next has a line of its own"


def test_a_failure_stands_alone(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with pytest.raises(ValueError), progress.late_progress() as stage:
        stage("costs", 2)
        wait_for(stage)
        raise ValueError
    assert capsys.readouterr().err == ""


def test_a_bar_shows_the_steps_of_what_is_at_work(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with progress.progress("generate", 4, 1) as bar:
        bar.steps("first", 5, 20, 2)
        bar.steps("second", 1, 4)
        assert bar._bar.tasks[0].completed == 1.75 and bar._bar.tasks[0].fields["beside"] == "6/24 steps"
    told = capsys.readouterr()
    assert told.out == "" and "1/4" in told.err and "6/24 steps" in told.err
    with progress.progress("generate", 4, 1) as bar:
        bar.steps("first", 5, 20, 2)
        bar.ended("first")
        bar()
        bar()
    assert "3/4" in (told := capsys.readouterr().err) and "steps" not in told
    with progress.progress("generate", 0) as bar:
        bar.steps("first", 1, 2)
    assert capsys.readouterr() == ("", "")
