"""Recordings: made once, with the clip that a run would make, and read back as they were."""

from dataclasses import replace

import numpy as np
import pytest
from fake_lab import InlineEngine

from ivgbench.errors import UserError
from ivgbench.generator.sampling import Sampling
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store
from ivgbench.study import recording
from ivgbench.study.variants import READINGS

SPEC = RunSpec("activations", recording.ROWS, suites=("static",), cases=1, sampling=Sampling(2))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("runs"))
    plan = make_plan(SPEC, Lab("cpu"))
    return plan, store, recording.record(plan, store, InlineEngine(), "cpu")


def test_every_row_is_recorded_with_its_clip(recorded):
    plan, store, seen = recorded
    assert set(seen.variance) == {recording.BASELINE, recording.MASKED, recording.NORMALISED}
    assert all(values.shape == (1, 3, 2) and (values > 0).all() for values in seen.variance.values())
    assert seen.cases == (("static", "pocket-static", "pocket-static-00", 0),)
    assert all(store.sidecar(job.id)["nfe"] == 2 for job in plan.jobs)


def test_the_matched_quantiles_are_the_unmasked_ones(recorded):
    for masked, unmasked, matched in recorded[2].quantiles[0]:
        assert np.array_equal(matched, unmasked) and not np.array_equal(masked, unmasked)


def test_the_clip_is_the_one_that_an_unwatched_run_makes(recorded):
    plan, store, _ = recorded
    job = plan.jobs[-1]
    lab = Lab("cpu")
    assert np.array_equal(lab.generate(lab.backbone("pocket", "float32"), job).video, store.clip(job.id))


def test_whoever_waits_for_steps_is_told_them_while_they_are_recorded(recorded, tmp_path):
    lab, steps = recording.RecordingLab(Store(tmp_path), "cpu", None), []
    lab.generate(lab.backbone("pocket", "float32"), recorded[0].jobs[-1], lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]


def test_what_is_recorded_is_not_made_again(recorded):
    plan, store, seen = recorded
    again = recording.record(plan, store, InlineEngine(limit=0), "cpu")
    assert np.array_equal(again.quantiles, seen.quantiles)


def test_a_recording_replaces_no_clip(recorded, tmp_path, capsys):
    plan, store = recorded[0], Store(tmp_path)
    job = plan.jobs[0]
    black = store.save_clip(job.id, np.zeros((8, 48, 80, 3), np.uint8), {})
    recording.record(plan, store, InlineEngine(), "cpu")
    assert store.sidecar(job.id) == black
    assert "other pixels than the stored clip, which is kept" in capsys.readouterr().err


def test_a_missing_recording_is_named(recorded, tmp_path):
    with pytest.raises(UserError, match="no activations of plain, suite pocket-static, case pocket-static-00"):
        recording.read(list(recorded[0].entries), Store(tmp_path))


def test_a_layer_that_is_not_normalised_has_no_quantiles(tmp_path):
    half = MethodSpec("mask-norm", {"norm_self": False}, settings="paper")
    plan = make_plan(replace(SPEC, methods=(*recording.ROWS[:2], half)), Lab("cpu"))
    quantiles = recording.record(plan, Store(tmp_path), InlineEngine(), "cpu").quantiles
    assert np.isnan(quantiles[:, 0]).all() and np.isfinite(quantiles[:, 1]).all()


def test_rows_under_different_masks_are_not_compared(tmp_path):
    plain, masked, normalised = recording.ROWS
    later = replace(masked, options={**masked.options, "frozen_steps": 6})
    plan = make_plan(replace(SPEC, methods=(plain, later, normalised)), Lab("cpu"))
    with pytest.raises(UserError, match="same scope, without, bind, frozen_steps"):
        recording.record(plan, Store(tmp_path), InlineEngine(limit=0), "cpu")


def test_one_run_is_recorded_in_both_readings_and_shares_what_they_do(tmp_path):
    plain, masked, normalised = recording.ROWS
    methods = [plain, MethodSpec("trailblazer", {}, "me@home+and+away")]  # a row that is not recorded has any label
    for reading in READINGS:
        for row in (masked, normalised):
            label = f"{row.label or row.method}@paper+{reading}"
            methods.append(replace(row, label=label, options={**row.options, "mask": reading}))
    plan, store = make_plan(replace(SPEC, methods=tuple(methods)), Lab("cpu")), Store(tmp_path)
    found = {
        one: recording.record(mine, store, InlineEngine(), "cpu") for one, mine in recording.by_variant(plan).items()
    }
    assert [*map(str, found)] == ["paper, additive", "paper, multiplicative"]
    added, multiplied = found.values()
    assert np.array_equal(added.variance[recording.BASELINE], multiplied.variance[recording.BASELINE])
    assert not np.allclose(added.variance[recording.MASKED], multiplied.variance[recording.MASKED])
    assert len([*tmp_path.rglob("activations*.npz")]) <= 5 and not (store.intact(plan.entries[1].job.id))
