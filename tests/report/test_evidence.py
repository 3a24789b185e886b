"""From a stored run to samples and to CLAIMS.md, on numbers that can be checked by hand."""

from pathlib import Path

import numpy as np
import pytest

from ivgbench.metrics.fid import fid
from ivgbench.report import claims_text, evidence, paper
from ivgbench.report.claims import METRICS, judge
from ivgbench.report.claims_file import load_claims
from ivgbench.runs.recording import BASELINE, MASKED, NORMALISED, Activations
from ivgbench.runs.spec import load_spec

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
METHODS = ["plain", "mask-norm"]  # those of the stored run


@pytest.fixture(scope="module")
def samples(stored):
    return evidence.samples(stored[0].root, "table1", None, {"clip": stored[2]["clip"]})


def test_values_are_means_over_cases_in_printed_units(stored, samples):
    _, rows, _, _ = stored
    mine = [r["value"] for r in rows if (r["metric"], r["split"], r["label"]) == ("miou", "static", "mask-norm")]
    sample = samples["miou_all", "static"]
    assert sample.values["mask-norm"] == pytest.approx(100 * np.mean(mine))
    assert sample.cases == 4 and set(sample.values) == set(METHODS)
    spread = sample.draws["mask-norm"].std()
    assert abs(sample.draws["mask-norm"].mean() - sample.values["mask-norm"]) < spread


def test_rows_share_their_resamples(samples):
    sample = samples["coverage", "dynamic"]
    value, draws = sample.difference("plain", "plain")
    assert value == 0 and not draws.any()


def test_fid_is_against_the_reference_rows_clips(stored, samples):
    _, _, manifest, features = stored
    by_label = {label: np.concatenate([features[e["job"]] for e in manifest["jobs"] if e["label"] == label])
                for label in (*METHODS, paper.GROUND_TRUTH)}  # fmt: skip
    sample = samples["fid", "clip"]
    for method in METHODS:
        assert sample.values[method] == pytest.approx(fid(by_label[method], by_label[paper.GROUND_TRUTH]))
    # 4 cases a split; the two seeds of a case travel together.
    assert sample.cases == 8 and sample.centred
    assert sample.values["plain"] > sample.values["mask-norm"]
    assert samples["kid", "clip"].values["plain"] > samples["kid", "clip"].values["mask-norm"]


def test_activation_metrics_by_hand():
    base = np.ones((4, 3)) * [[2.0], [3.0], [4.0], [5.0]]
    masked = base * [0.9, 0.8, 1.2]
    base, masked = (np.stack([one, one, np.flip(one, 1)], axis=1) for one in (base, masked))  # the three tensors
    cases = (("dynamic", "d", "c", 0), ("static", "s", "a", 0), ("static", "s", "a", 1), ("static", "s", "b", 0))
    seen = Activations({BASELINE: base, MASKED: masked, NORMALISED: base}, "up_blocks.0", np.zeros(0), 2, cases)
    found = evidence.activation_samples(seen)
    assert found["variance_masked", "static"].values[MASKED] == pytest.approx(85)
    assert found["variance_after", "static"].values[MASKED] == pytest.approx(120)
    assert found["text_variance_masked", "static"].values[MASKED] == pytest.approx(100)
    assert found["text_variance_after", "static"].values[MASKED] == pytest.approx(90)
    assert found["variance_error", "static"].values == pytest.approx({BASELINE: 0, MASKED: 15, NORMALISED: 0})
    assert found["variance_error", "static"].cases == 2 and found["variance_error", "dynamic"].cases == 1


def test_the_committed_claims_fit_their_run_and_print(samples):
    spec = load_claims(BENCHMARKS / "claims.toml")
    run = load_spec(spec.run)
    labels = {one.label or one.method for one in run.methods}
    for claim in spec.claims:
        assert {claim.row, *(one for one in claim.than if isinstance(one, str))} <= labels, claim.id
        assert claim.metric in METRICS
    judged = judge(spec, samples)
    assert {one.verdict for one in judged} == {"open"}  # four cases are too few for anything
    text = claims_text.markdown(spec, judged, "table1", "pocket")
    assert text.count("**open**") == 2 * len(spec.claims) and "on the pocket lab" in text and "untested" in text
    assert "4 cases on static, 96 are needed" in text and "fid is not measured on denoiser" in text
    assert all(line in text for line in spec.contradictions)
    assert text == claims_text.markdown(spec, judge(spec, samples), "table1", "pocket")
