"""A run made from nothing with other rounding, and the numbers a snapshot keeps of it."""

import os

import pytest
import torch
from fake_lab import FakeLab, InlineEngine

from ivgbench.errors import UserError
from ivgbench.gate import snapshot, variations
from ivgbench.gate.variations import AS_IT_IS, SSE, VARIATIONS, Variation, VariedLab, made
from ivgbench.runs.lab import Lab
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.suites import load_suite

SPEC = RunSpec(
    "gate", (MethodSpec("plain"), MethodSpec("tid")), cases=2, ground_truth=True, references=("world",),
    reference_videos=3,
)  # fmt: skip


@pytest.fixture
def fake(tmp_path, monkeypatch):
    lab = FakeLab(tmp_path / "log")
    monkeypatch.setattr(variations, "VariedLab", lambda variation: lab)
    return lab


def test_a_run_gives_every_metric_of_both_tables_and_no_seconds(fake):
    with made(SPEC, engine=InlineEngine()) as runs:
        found = snapshot.values(runs, "gate")
    columns = {(name.table, name.column) for name in found}
    assert columns == {("table 1", c) for c in snapshot.OF_TABLE_1} | {("table 2", c) for c in snapshot.OF_TABLE_2}
    assert not any(name.column == "seconds" for name in found)
    assert {name.rows for name in found} == {"static", "dynamic", "world, clip", "world, denoiser"}
    assert not runs.exists()


def test_it_starts_from_nothing_every_time(fake):
    for _ in range(2):
        with made(SPEC, engine=InlineEngine()):
            pass
    clips = fake.made()
    assert len(clips) == 2 * 12 and clips[:12] == clips[12:]


def test_a_failed_clip_is_no_snapshot(fake):
    fake.broken = {load_suite("static").cases[0].id: "raise"}
    with pytest.raises(UserError, match="2 of 12 clips failed"), made(SPEC, engine=InlineEngine()):
        pass


def test_the_environment_of_workers_is_put_back():
    os.environ["MKL_CBWR"] = "AVX2"
    try:
        with variations._environment(SSE):
            assert {name: os.environ[name] for name in SSE} == SSE
        assert os.environ["MKL_CBWR"] == "AVX2" and "ONEDNN_MAX_CPU_ISA" not in os.environ
    finally:
        del os.environ["MKL_CBWR"]


def test_every_weight_is_one_rounding_error_off_and_by_the_seed():
    base, off, other = (
        VariedLab(Variation("", nudge=seed)).backbone("pocket", "float32").unet.state_dict() for seed in (0, 1, 2)
    )
    for name, weight in base.items():
        apart = (off[name] - weight).abs()
        assert (apart <= 2 * torch.finfo(torch.float32).eps * weight.abs()).all() and (apart > 0).any()
    assert not torch.equal(off["conv_in.weight"], other["conv_in.weight"])


def test_workers_have_the_threads_that_a_variation_says():
    before = torch.get_num_threads()
    try:
        assert VariedLab(Variation("", threads=2)).start_worker()["threads"] == 2
        assert VariedLab(AS_IT_IS).start_worker()["threads"] == Lab("cpu").start_worker()["threads"] == 1
    finally:
        torch.set_num_threads(before)


def test_each_variation_differs_from_the_run_as_it_is_in_one_thing():
    for one in VARIATIONS:
        differing = [key for key in ("threads", "batch_size", "nudge", "environment") if
                     getattr(one, key) != getattr(AS_IT_IS, key)]  # fmt: skip
        assert len(differing) == 1, one.name
