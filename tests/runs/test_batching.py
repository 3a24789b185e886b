"""Clips that share a network call: what can be made together, how many, and what happens when they are too many."""

import os
from dataclasses import replace

import pytest
from fake_lab import FakeLab, InlineEngine

from ivgbench.engines.base import TRIES
from ivgbench.engines.local import LocalEngine
from ivgbench.errors import UserError
from ivgbench.runs import batching, runner
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

SPEC = RunSpec("r", (MethodSpec("plain"), MethodSpec("tid")), suites=("static", "dynamic"), cases=4)
FIRST = "pocket-static-00"


def jobs(spec=SPEC):
    return make_plan(spec, FakeLab(None)).jobs


def test_batches_hold_what_can_be_made_together():
    every = jobs()
    made = batching.batches(every, 3)
    assert sorted(job.id for batch in made for job in batch) == sorted(job.id for job in every)
    assert [len(batch) for batch in made] == [3, 3, 3, 3, 2, 2]
    assert all(len({job.method for job in batch}) == 1 for batch in made)
    assert batching.batches(every, 1) == [[job] for job in every]


@pytest.mark.parametrize("size", [0, -1, "0", "-2", "many", 1.5, True, None, "²"])
def test_a_size_that_is_none_is_one_line(size):
    with pytest.raises(UserError, match="--batch-size must be at least 1, or auto, got"):
        batching.chosen(size, None, 1)


def test_a_spec_may_say_it_and_is_called_the_same(tmp_path):
    assert replace(SPEC, batch_size="auto").named_by_content("run") == replace(
        SPEC.named_by_content("run"), batch_size="auto"
    )
    with pytest.raises(UserError, match="run 'r': batch_size must be at least 1, or auto, got 'fast'"):
        replace(SPEC, batch_size="fast")


@pytest.mark.parametrize(
    ("room", "count", "workers", "size"),
    [
        (100, 100, 1, batching.MOST),  # more gain nothing
        (3, 100, 1, 3),  # what fits
        (100, 10, 4, 3),  # an even share, rounded up
        (0, 10, 1, 1),  # one clip is always tried
    ],
)
def test_auto_is_the_least_of_its_bounds(room, count, workers, size):
    class Roomy(FakeLab):
        def room(self, workers):
            return lambda job: room

    assert batching.chosen("auto", Roomy(None), workers)(jobs()[0], count) == size


def test_ground_truth_and_what_does_not_batch_are_made_one_by_one():
    truth = make_plan(replace(SPEC, ground_truth=True), FakeLab(None)).jobs[0]
    assert batching.chosen("auto", FakeLab(None), 1)(truth, 8) == 1
    plan = make_plan(replace(SPEC, methods=(MethodSpec("plain"), MethodSpec("mask-norm")), cases=1), Lab("cpu"))
    plain, normalised = plan.jobs[:2]
    room = Lab("cpu").room(2)
    assert room(normalised) == 1 and room(plain) > 8


def test_what_fits_is_by_the_plans_count(monkeypatch):
    (plain,) = make_plan(replace(SPEC, methods=SPEC.methods[:1], suites=("static",), cases=1), Lab("cpu")).jobs
    counts = []
    for gigabytes in (1, 2, 4):
        monkeypatch.setattr(batching, "available", lambda gigabytes=gigabytes: gigabytes * 10**9)
        counts.append(batching.fitting("cpu", False, 1)(plain))
    assert 0 < counts[0] < counts[1] < counts[2] and abs(counts[2] / counts[1] - 2) < 0.2
    monkeypatch.setattr(batching, "available", lambda: 2 * 10**9)
    assert batching.fitting("cpu", False, 2)(plain) == counts[0]
    assert batching.available() > 0


class Small(FakeLab):
    """Has memory for two clips at once."""

    def generate_batch(self, backbone, jobs, callback=None):
        self.note(f"batch:{len(jobs)}")
        if len(jobs) > 2:
            self.too_much()
        return [self.generate(backbone, job, callback) for job in jobs]

    def too_much(self):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")


class Smallest(Small):
    """The same, and nothing says so: the worker is killed."""

    def too_much(self):
        os._exit(9)


def test_a_batch_without_memory_is_halved_and_so_are_the_next(tmp_path, capsys):
    lab, store = Small(tmp_path / "log"), Store(tmp_path)
    outcome = runner.run(make_plan(SPEC, lab), store, lab, InlineEngine(), batch_size=8)
    assert (outcome.made, outcome.failed) == (16, 0)
    tried = [line for line in lab.made() if line.startswith("batch:")]
    # Of each of the two kinds: eight, four, then twos.
    assert tried == ["batch:8", "batch:4", *["batch:2"] * 4] * 2
    assert lab.made().count("freed") == 4
    assert "too little memory for 8 clips of plain at once: going on with 4" in capsys.readouterr().err


def test_a_smaller_size_is_kept_for_the_next_batch(tmp_path):
    lab, store = Small(tmp_path / "log"), Store(tmp_path)
    runner.run(make_plan(SPEC, lab), store, lab, InlineEngine(), batch_size=4)
    tried = [line for line in lab.made() if line.startswith("batch:")]
    assert tried == ["batch:4", "batch:2", "batch:2"] * 2 + ["batch:2"] * 4


def test_a_batch_that_kills_its_worker_is_halved_and_so_are_those_that_wait(tmp_path, capsys):
    lab, store = Smallest(tmp_path / "log"), Store(tmp_path)
    assert runner.run(make_plan(SPEC, lab), store, lab, LocalEngine(1), batch_size=4)[2:4] == (16, 0)
    tried = [line for line in lab.made() if line.startswith("batch:")]
    # Of each of the two kinds the first four; the other four, of either, are not tried.
    assert sorted(tried) == ["batch:2"] * 8 + ["batch:4"] * 2
    assert "4 clips of plain are made again, 2 at once: the worker process died: exit code 9" in capsys.readouterr().err


def test_a_case_that_kills_its_worker_is_the_only_one_to_fail(tmp_path, capsys):
    lab, store = FakeLab(tmp_path / "log", {FIRST: "die"}), Store(tmp_path)
    outcome = runner.run(make_plan(SPEC, lab), store, lab, LocalEngine(1), batch_size=4)
    assert (outcome.made, outcome.failed) == (14, 2)  # the case itself, of both methods
    failed = {row["case"]: row["status"] for row in store.load_rows("r")[0] if row["metric"] == "failed"}
    # Once in four, once in two, and alone as often as it is tried.
    assert failed == {FIRST: "failed: the worker process died: killed by signal 9 (out of memory?) (3 times)"}
    assert lab.made().count(FIRST) == 2 * (1 + 1 + TRIES)


class Odd(Small):
    """Fails on batches for a reason that has nothing to do with memory."""

    def too_much(self):
        raise ValueError("heads do not fit")


def test_a_batch_that_fails_otherwise_is_made_one_by_one_and_says_why(tmp_path, capsys):
    lab, store = Odd(tmp_path / "log"), Store(tmp_path)
    outcome = runner.run(make_plan(SPEC, lab), store, lab, InlineEngine(), batch_size=8)
    assert (outcome.made, outcome.failed) == (16, 0)
    assert [line for line in lab.made() if line.startswith("batch:")] == ["batch:8"] * 2
    told = capsys.readouterr().err
    assert "8 clips of plain at once failed, made one by one: ValueError: heads do not fit" in told


def test_auto_makes_the_same_rows(tmp_path):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    assert runner.run(make_plan(SPEC, lab), store, lab, InlineEngine(), batch_size="auto").made == 16
    assert lab.made().count("batch:3") == 2 and lab.made().count("batch:2") == 1
    sizes = {job.method: store.sidecar(job.id)["environment"]["batch"] for job in jobs()[:2]}
    assert sizes == {"plain": 3, "mask-norm-tid": 1}


def test_the_command_takes_it(command_line, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(runner, "run", lambda *all_of: asked.append(all_of[-1]) or runner.Outcome("r", 0, 0, 0, 0))
    spec = tmp_path / "a.toml"
    spec.write_text('name = "a"\nbatch_size = "auto"\ncases = 1\nmethods = ["plain"]\n')
    where = ["--runs", tmp_path / "runs", "--workers", 1]
    assert command_line("run", "--spec", spec, *where)[0] == 0
    assert command_line("run", "--spec", spec, "--batch-size", 3, *where)[0] == 0
    assert command_line("run", "--method", "plain", "--cases", 1, *where)[0] == 0
    assert asked == ["auto", 3, 1]
    code, _, err = command_line("run", "--method", "plain", "--batch-size", "most", *where)
    assert code == 2 and "--batch-size must be at least 1, or auto, got 'most'" in err
