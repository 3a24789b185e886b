"""From a stored run to samples and to CLAIMS.md, on numbers that can be checked by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ivgbench.metrics.fid import fid
from ivgbench.report import paper
from ivgbench.runs.spec import load_spec
from ivgbench.study import agreement, claims_text, evidence, variants
from ivgbench.study.claims import METRICS, Claim, ClaimsSpec, judge, judge_variants
from ivgbench.study.claims_file import load_claims
from ivgbench.study.recording import BASELINE, MASKED, NORMALISED, Activations

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
METHODS = ["plain", "mask-norm"]  # those of the stored run


@pytest.fixture(scope="module")
def samples(stored):
    return evidence.samples(stored[0].root, "table1", {"clip": stored[2]["clip"]})


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
    assert sample.difference("plain", "plain") == (0, 0)


def test_fid_is_against_the_reference_rows_clips(stored, samples):
    _, _, manifest, features = stored
    by_label = {label: np.concatenate([features[e["job"]] for e in manifest["jobs"] if e["label"] == label])
                for label in (*METHODS, paper.GROUND_TRUTH)}  # fmt: skip
    sample = samples["fid", "clip"]
    for method in METHODS:
        assert sample.values[method] == pytest.approx(fid(by_label[method], by_label[paper.GROUND_TRUTH]))
    # 4 cases a split; the two seeds of a case travel together.
    assert sample.cases == 8
    assert sample.values["plain"] > sample.values["mask-norm"]
    assert samples["kid", "clip"].values["plain"] > samples["kid", "clip"].values["mask-norm"]


def test_the_ground_truth_alone_is_compared_with_nothing(stored):
    store, _, manifest, _ = stored
    entries = pd.DataFrame(manifest["jobs"])
    drawn = entries[entries["label"] == paper.GROUND_TRUTH]
    assert evidence.set_samples(store, drawn, manifest["clip"], 10) == {}


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
    labels = [one.label or one.method for one in run.methods]
    columns = {one: variants.rows(labels, one) for one in variants.of_labels(labels)}
    assert [*map(str, columns)] == [
        "tuned, additive", "tuned, multiplicative", "paper, additive", "paper, multiplicative"
    ]  # fmt: skip
    for claim in spec.claims:
        for rows in columns.values():
            assert {claim.row, *(one for one in claim.than if isinstance(one, str))} <= set(rows.values()), claim.id
        assert claim.metric in METRICS
    assert (run.cases, run.seeds) == (spec.cases, (0, 1))
    judged = judge_variants(spec, dict.fromkeys(columns, samples))
    assert {one.verdict for mine in judged.values() for one in mine} == {"open"}  # four cases are too few
    study = claims_text.Study(spec, judged, agreement.orders(dict.fromkeys(columns, samples)), "table1", "pocket", 4, 2)
    text = claims_text.markdown(study)
    assert text.count("**open**") == 4 * len(spec.claims) and "on the pocket lab" in text and "untested" in text
    assert "4 cases on static, 20 are needed" in text and "fid is not measured on denoiser" in text
    assert all(line in text for line in spec.contradictions)


def test_rows_of_a_variant_are_called_as_claims_call_them(samples):
    named = evidence.renamed(samples, {"mask-norm": "x", "not-there": "y"})["miou_all", "static"]
    assert named.values == {"x": samples["miou_all", "static"].values["mask-norm"]} and named.cases == 4


def clustered(seed, cases=20, seeds=2, effect=0.0):
    """Clips of two rows as a table [clips, rows]. Their difference varies from case to case more than within one."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([["s"], range(cases), range(seeds)], names=["suite", "case", "seed"])
    common, own = (np.repeat(rng.normal(size=cases), seeds) for _ in range(2))
    noise = rng.normal(size=(2, cases * seeds))
    b = 10 * common + 0.3 * noise[0]
    return pd.DataFrame({"a": b + effect + 2 * own + 0.5 * noise[1], "b": b}, index=index)


def of_clips(table):
    return evidence.of_cases(evidence.of_clips(table, ["suite", "case"]))


def test_seeds_of_a_case_are_one_cluster_and_rows_are_paired_clip_by_clip():
    table = clustered(0)
    sample = of_clips(table.sample(frac=1, random_state=1))  # in whatever order the clips come
    difference = (table["a"] - table["b"]).groupby(level="case").mean()
    value, error = sample.difference("a", "b")
    assert sample.cases == 20 and value == pytest.approx(difference.mean())
    # The analytic error of a mean of clusters, and by brute force: whole cases drawn, both seeds of each together.
    assert error == pytest.approx(difference.std(ddof=1) / np.sqrt(20), rel=0.03)
    rng, clips = np.random.default_rng(5), (table["a"] - table["b"]).to_numpy().reshape(20, 2)
    drawn = [clips[rng.integers(0, 20, 20)].mean() for _ in range(5000)]
    assert error == pytest.approx(np.std(drawn) * np.sqrt(20 / 19), rel=0.04)
    # 40 clips taken for independent would seem to know it better.
    assert error > 1.25 * (table["a"] - table["b"]).std() / np.sqrt(40)


def test_a_clip_that_a_row_lacks_counts_for_no_row():
    table = clustered(0)
    table.iloc[3, 0] = np.nan
    whole = (table["a"] - table["b"]).dropna().groupby(level="case").mean()
    assert of_clips(table).difference("a", "b")[0] == pytest.approx(whole.mean())
    table.iloc[2, 1] = np.nan  # the case's other seed
    assert of_clips(table).cases == 19


def test_equal_rows_get_a_verdict_as_rarely_as_promised_with_two_seeds_a_case():
    spec = ClaimsSpec(Path("run.toml"), (Claim("x", "", "", "m", "a", ("b",), "higher", ("static",)),), 20)
    found = [judge(spec, {("m", "static"): of_clips(clustered(seed))})[0].verdict for seed in range(300)]
    assert 0.02 < np.mean([one != "open" for one in found]) < 0.085
    sure = [judge(spec, {("m", "static"): of_clips(clustered(seed, effect=3.0))})[0].verdict for seed in range(20)]
    assert set(sure) == {"holds"}
