"""A row per metric: what is known of each stands in one place, and its version is part of what a score counts for."""

import json
from dataclasses import replace

import pytest

from ivgbench.metrics import catalogue
from ivgbench.metrics.catalogue import COLUMN, KNOWN, OF_CLIPS, OF_SETS, Metric, from_record
from ivgbench.runs import comparing
from ivgbench.store.runs import Store, metrics_version

ROW = Metric("jumps", "how far boxes jump", ("detections",), "Jumps", "%", -1, 1, 3, "jumps", interval=True)


def test_names_and_columns_are_told_apart():
    assert len(KNOWN) == len(OF_CLIPS) + len(OF_SETS)
    columns = [column for metric in KNOWN.values() if metric.column for column in metric.columns()]
    assert len(columns) == len(set(columns)) and COLUMN["miou_all"].name == "miou"
    assert all(name in KNOWN for metric in KNOWN.values() for name in metric.weight)


def test_what_is_printed_in_percent_is_stored_as_a_fraction():
    assert (ROW.scale, ROW.head, ROW.arrow) == (100, "Jumps %", "↓")
    other = replace(ROW, unit="diagonals", better=0)
    assert (other.scale, other.head, other.arrow) == (1, "Jumps", "")
    assert replace(ROW, spread=("_std",)).columns() == ["jumps", "jumps_low", "jumps_high", "jumps_std"]


def test_rows_of_sets_have_what_the_catalogue_says():
    import numpy as np

    x, y = np.random.default_rng(0).normal(size=(2, 12, 3))
    owner = np.repeat(np.arange(6), 2)
    sums = comparing.kernel.own_sums(y, owner, comparing.cubic(3))
    found = comparing.fid_metrics(x, owner, comparing.gaussian(y)) | comparing.kid_metrics(x, owner, y, owner, sums)
    for metric in catalogue.BY_FRAMES:
        assert found.keys() >= set(metric.columns()), metric.name
    for name in ("jedi", "jedi_v2"):
        sums = comparing.kernel.own_sums(y, range(12), comparing.quadratic(3))
        mine = [one for one in catalogue.BY_CLIPS if one.name in (name, f"{name}_unbiased")]
        assert {key for one in mine for key in one.columns()} <= comparing.video_metrics(x, y, sums, name).keys()


def test_a_row_is_kept_as_plain_data():
    kept = json.loads(json.dumps(ROW.record()))
    assert from_record(kept) == ROW == from_record({**kept, "of a later version": 1})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "name must be a text"),
        ("what", "two\nlines", "what must be a text on one line"),
        ("title", 3, "title must be a text"),
        ("needs", ("pixels",), "it needs 'pixels'; known: video"),
        ("better", 2, "better must be -1, 0 or 1, got 2"),
        ("better", True, "better must be"),
        ("decimals", 1.5, "decimals must be a whole number from 0 to 9"),
        ("version", 0, "version must be a whole number from 1"),
    ],
)
def test_a_row_that_cannot_be_is_refused(field, value, words):
    with pytest.raises(ValueError, match=words) as refused:
        replace(ROW, **{field: value})
    assert "\n" not in str(refused.value)


def test_a_score_is_for_the_versions_of_its_metrics(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.save_score("s", "pixels", {"clip_sim": 1.0}, {})
    kept = json.loads((tmp_path / "scores" / "s.json").read_text())
    # Metrics in their first version leave no trace: what was scored before they had versions still counts.
    assert kept.keys() == {"score", "pixel_sha256", "score_version", "metrics", "record_sha256"}
    assert metrics_version() == 2
    assert store.score("s", "pixels") == {"clip_sim": 1.0}
    raised = tuple(replace(one, version=2) if one.name == "miou" else one for one in OF_CLIPS)
    monkeypatch.setattr(catalogue, "OF_CLIPS", raised)
    assert store.score("s", "pixels") is None and metrics_version() == [2, {"miou": 2}]
    store.save_score("s", "pixels", {"clip_sim": 2.0}, {})
    assert store.score("s", "pixels") == {"clip_sim": 2.0}
