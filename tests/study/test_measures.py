"""Samples by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ivgbench.report import paper
from ivgbench.study import measures
from ivgbench.study.claims import Sample
from ivgbench.study.evidence import of_cases, renamed


def test_two_splits_are_not_paired():
    values = np.random.default_rng(0).normal(size=48)
    both = {("miou_all", split): of_cases(pd.DataFrame({"a": values + shift}))
            for split, shift in (("static", 0.0), ("dynamic", 2.0))}  # fmt: skip
    sample = measures.across_splits(both)["miou_dynamic_over_static", "both"]
    assert sample.values["a"] == pytest.approx(2) and sample.cases == 48
    # As pairs the difference would not vary at all; apart it has the error of two means.
    assert sample.draws["a"].std() == pytest.approx(np.sqrt(2) * values.std() / np.sqrt(48), rel=0.1)
    assert measures.across_splits({("miou_all", "static"): both["miou_all", "static"]}) == {}


def test_the_share_of_the_attainable(monkeypatch):
    # Case by case the floor is 10 and the ground truth 60: plain's 50 and 30 are four and two fifths of the way.
    told = {"plain": (50.0, 30.0), paper.GROUND_TRUTH: (60.0, 60.0)}
    rows = [
        {"suite": "s", "case": f"c{k}", "label": label, "split": "static", "metric": metric, "value": value}
        for label, values in told.items()
        for k, one in enumerate(values)
        for metric, value in (("clip_sim", one), ("clip_sim_shuffled", 10.0), ("covered", 1.0))
    ]
    monkeypatch.setattr(measures, "Store", lambda runs: SimpleNamespace(load_rows=lambda run: (rows, {})))
    sample = measures.attained_sim("runs", "run")["clip_sim_attained", "static"]
    assert sample.values == pytest.approx({"plain": 60, paper.GROUND_TRUTH: 100}) and sample.cases == 2
    assert sorted(set(sample.draws["plain"].round(6))) == [40, 60, 80]
    rows[:] = [row for row in rows if row["label"] == "plain"]
    assert measures.attained_sim("runs", "run") == {}


def test_probes_become_samples_in_percent():
    def probe(early, ap=0.6):
        right = np.array([[1.0, 1.0, 0.5], [0.25, 1.0, 0.5]])
        return {"map_ap": np.array(ap), "map_chance": np.array(0.1), "sink": np.array([0.2, 0.7]),
                "early": np.array(early), "right": right}  # fmt: skip

    found = measures.of_probes([probe(0.4), probe(0.6), probe(np.nan, np.nan)])
    assert found["layout_iou", "both"].values == pytest.approx({"plain": 50})
    assert found["layout_iou", "both"].cases == 2
    assert found["map_ap", "both"].values == pytest.approx({"words": 60, "constant": 10})
    assert found["sink_mass", "both"].values == pytest.approx({"bos": 20, "content-free": 70})
    assert found["words_right", "background"].values == pytest.approx({"plain": 100, "swapped": 25})
    assert found["words_right", "background"].cases == 3


def test_rows_of_two_recordings_are_joined_over_the_same_cases():
    def sample(**rows):
        return Sample(rows, {row: np.full(3, value) for row, value in rows.items()}, 4)

    first = {("v", "static"): sample(plain=1.0, masked=2.0)}
    second = renamed({("v", "static"): sample(plain=1.0, masked=3.0)}, {"masked": "literal"})
    both = measures.joined(first, second)["v", "static"]
    assert both.values == {"plain": 1.0, "masked": 2.0, "literal": 3.0}
    assert both.difference("literal", "masked")[0] == 1.0
