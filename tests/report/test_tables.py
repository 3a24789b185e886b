import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import catalogue, stats
from ivgbench.report import paper, ranking, table, tables
from ivgbench.report.layout import evaluations
from ivgbench.store.runs import Store

MEASURED = [metric.column for metric in catalogue.MEASURED]


@pytest.fixture
def stored(monkeypatch):
    """Puts (rows, manifest) in the place of the store."""

    def put(run):
        monkeypatch.setattr(tables, "load", lambda number, runs, name: run)
        return run

    return put


def test_numbers_of_evaluations_in_print():
    assert [evaluations(one) for one in (20.0, 25.5, 100, 0, float("nan"))] == ["20", "25.5", "100", "0", "–"]


def line_of(frame, split, method):
    return frame[(frame["split"] == split) & (frame["method"] == method)].iloc[0]


def values_of(rows, split, method, metric):
    found = [r["value"] for r in rows if (r["split"], r["method"], r["metric"]) == (split, method, metric)]
    return np.array([np.nan if value is None else value for value in found])


def test_rows_stand_in_the_papers_order_with_the_reference_last(stored, make_run):
    stored(make_run(methods=["mask-norm-tid", "plain", "my-method", "peekaboo"]))
    frame = table(1)
    expected = ["plain", "peekaboo", "mask-norm-tid", "my-method", "ground-truth"]
    assert frame["method"].tolist() == expected * 2
    assert frame["split"].tolist() == ["static"] * 5 + ["dynamic"] * 5
    assert frame["label"].tolist()[:5] == ["Plain", "Peekaboo", "Mask Norm + TID", "my-method", "Ground truth"]


def test_every_column_by_hand(stored, make_run):
    rows, _ = stored(make_run(cases=10))
    line = line_of(table(1), "static", "peekaboo")

    def values(metric):
        return values_of(rows, "static", "peekaboo", metric)

    covered, found = values("covered"), values("n_detected")
    assert 0 < covered.sum() < 10
    assert line["clip_sim"] == pytest.approx(values("clip_sim").mean())
    assert line["coverage"] == pytest.approx(100 * covered.mean())
    assert line["covered_clips"] == covered.sum()
    # Peekaboo's mIoU: over covered clips only.
    assert line["miou"] == pytest.approx(100 * values("miou_volume")[covered == 1].mean())
    # Without the filter, every clip counts.
    assert line["miou_all"] == pytest.approx(100 * values("miou").mean())
    hits = np.where(found > 0, np.nan_to_num(values("ap50")) * found, 0)
    assert line["ap50"] == pytest.approx(100 * hits.sum() / found.sum())
    weight = covered * found
    assert line["centroid_distance"] == pytest.approx(np.nansum(values("centroid_distance") * weight) / weight.sum())
    assert line["nfe"] == 21
    assert line["seconds"] == pytest.approx(2.5)
    assert (line["n_scored"], line["n_expected"]) == (10, 10)
    assert (line["clip_sim_n"], line["miou_n"]) == (10, covered.sum())
    assert line["paper_miou"] == 29.92


def test_intervals_are_the_bootstrap_over_cases(stored, make_run):
    rows, _ = stored(make_run(cases=10))
    line = line_of(table(1), "dynamic", "mask-norm")
    got = stats.mean(values_of(rows, "dynamic", "mask-norm", "miou"))
    assert (line["miou_all_low"], line["miou_all_high"]) == pytest.approx((100 * got.low, 100 * got.high))
    for key in MEASURED:
        assert line[f"{key}_low"] <= line[key] <= line[f"{key}_high"]


def test_seeds_are_averaged_within_a_case(stored, make_run):
    rows, _ = stored(make_run(cases=6, seeds=(0, 1, 2)))
    line = line_of(table(1), "static", "plain")
    values = values_of(rows, "static", "plain", "clip_sim").reshape(6, 3)
    got = stats.mean(values.mean(1))
    assert (line["clip_sim"], line["clip_sim_low"], line["clip_sim_high"]) == pytest.approx(got[:3])
    assert (line["clip_sim_n"], line["n_scored"]) == (6, 18)
    # Eighteen independent clips would give another interval.
    assert stats.mean(values.ravel()).low != pytest.approx(got.low, abs=1e-3)


def test_clips_without_a_detection_stay_in_the_pool(stored, make_run):
    rows, _ = stored(make_run(cases=6, seeds=(0, 1, 2)))
    frame = table(1)
    for method in paper.LABELS:
        found = values_of(rows, "static", method, "n_detected")
        assert method != "plain" or (found == 0).any()
        hits = (np.nan_to_num(values_of(rows, "static", method, "ap50")) * found).sum()
        assert line_of(frame, "static", method)["ap50"] == pytest.approx(100 * hits / found.sum())


def test_cases_of_the_same_id_in_two_suites_are_two_cases(stored, make_run):
    rows, manifest = make_run(cases=4, splits=("static",))
    again, more = make_run(cases=4, splits=("static",))
    for item in [*again, *more["jobs"]]:
        item["suite"], item["job"] = "other-static", f"other-{item['job']}"
    stored(([*rows, *again], {**manifest, "jobs": [*manifest["jobs"], *more["jobs"]]}))
    line = line_of(table(1), "static", "plain")
    assert (line["clip_sim_n"], line["n_scored"], line["n_expected"]) == (8, 8, 8)


def test_nothing_covered_is_undefined_and_not_zero(stored, make_run):
    rows, manifest = make_run(cases=4)
    for row in rows:
        if row["method"] == "plain" and row["metric"] in ("covered", "n_detected"):
            row["value"] = 0.0
        if row["method"] == "plain" and row["metric"] in ("ap50", "centroid_distance"):
            row["value"], row["status"] = None, "undefined"
    stored((rows, manifest))
    line = line_of(table(1), "static", "plain")
    assert (line["coverage"], line["miou_n"], line["ap50_n"]) == (0, 0, 0)
    assert np.isnan([line["miou"], line["ap50"], line["centroid_distance"]]).all()
    assert line["miou_all"] > 0


def test_floor_and_attained(stored, make_run):
    rows, _ = stored(make_run())
    built = tables.build(1)
    made = np.concatenate([values_of(rows, "static", method, "clip_sim_shuffled") for method in paper.LABELS])
    assert built.floors["static"] == pytest.approx(made.mean())
    line, truth = (line_of(built.frame, "static", method) for method in ("plain", "ground-truth"))
    own = line["clip_sim_shuffled"]
    assert line["clip_sim_attained"] == pytest.approx((line["clip_sim"] - own) / (truth["clip_sim"] - own))
    assert truth["clip_sim_attained"] == 1


def test_without_a_reference_nothing_is_attained(stored, make_run):
    stored(make_run(truth=False))
    assert table(1)["clip_sim_attained"].isna().all()


def test_ranks_ignore_the_reference_and_follow_the_direction(stored, make_run):
    stored(make_run())
    frame = table(1)
    rows = frame.to_dict("records")
    clip = np.array(ranking.ranks(rows, "clip_sim", +1, 2))
    assert frame.loc[(clip == 1) & (frame["split"] == "static"), "method"].tolist() == ["mask-norm-tid"]
    assert frame.loc[(clip == 2) & (frame["split"] == "static"), "method"].tolist() == ["mask-norm-id"]
    distance = ranking.ranks(rows, "centroid_distance", -1, 3)
    rivals = frame[(frame["split"] == "dynamic") & (frame["method"] != "ground-truth")]
    assert distance[rivals["centroid_distance"].idxmin()] == 1
    assert (clip[frame["method"] == "ground-truth"] == 0).all()


def test_a_lone_method_has_no_rank_and_what_is_undefined_neither():
    values = {"a": 2.0, "b": 3.0, "c": 1.0, "d": np.nan}
    rows = [{"split": "static", "method": method, "clip_sim": value} for method, value in values.items()]
    assert ranking.ranks([*rows, {"split": "static", "method": "e"}], "clip_sim", +1, 2) == [2, 1, 0, 0, 0]
    assert ranking.ranks(rows[:1], "clip_sim", +1, 2) == [0]
    assert ranking.ranks(rows, "clip_sim", 0, 2) == [0, 0, 0, 0]


@pytest.fixture
def broken(make_run):
    """A run with one clip failed, one missing, and one whose scores lack a metric."""
    rows, manifest = make_run()
    jobs = [job["job"] for job in manifest["jobs"] if job["method"] == "peekaboo"][:3]
    kept = [row for row in rows if row["job"] not in jobs[:2]]
    kept = [row for row in kept if (row["job"], row["metric"]) != (jobs[2], "miou")]
    failed = next(row for row in rows if row["job"] == jobs[0])
    gone = next(row for row in rows if row["job"] == jobs[1])
    kept.append({**failed, "metric": "failed", "value": None, "status": "failed: out of memory"})
    kept.append({**gone, "metric": "missing", "value": None, "status": "missing"})
    return kept, manifest


def test_a_partial_run_is_refused_with_counts_and_the_first_reason(stored, broken):
    stored(broken)
    with pytest.raises(
        UserError, match=r"1 failed and 2 missing of 84 clips; first: peekaboo, case case-00.*out of memory"
    ):
        table(1)


def test_a_partial_run_is_allowed_and_says_so(stored, broken):
    stored(broken)
    built = tables.build(1, allow_partial=True)
    line = line_of(built.frame, "static", "peekaboo")
    assert (line["n_scored"], line["n_expected"], line["clip_sim_n"]) == (3, 6, 3)
    assert "1 failed and 2 missing" in built.partial
    assert line_of(built.frame, "static", "plain")["n_scored"] == 6


def test_rows_that_are_simply_not_there_are_missing(stored, make_run):
    rows, manifest = make_run()
    stored(([row for row in rows if row["method"] != "plain"], manifest))
    with pytest.raises(UserError, match="12 missing of 84 clips; first: plain, case case-00, seed 0"):
        table(1)
    frame = tables.build(1, allow_partial=True).frame
    assert (line_of(frame, "static", "plain")["n_scored"], line_of(frame, "static", "plain")["n_expected"]) == (0, 6)
    stored(([], manifest))
    with pytest.raises(UserError, match="no scored clip"):
        table(1, allow_partial=True)


def test_pocket_numbers_are_labelled(stored, make_run):
    rows, manifest = make_run(methods=["plain"])
    weights = "0123456789abcdef"
    for backbone, detector, expected in (
        ({"name": "pocket", "weights": weights}, "owlvit", True),
        ({"name": "zeroscope", "weights": weights}, "owlvit", False),
        ({"name": "external", "weights": ""}, "pocket-yolo-0", True),
    ):
        stored((rows, {**manifest, "backbone": backbone, "detector": detector}))
        built = tables.build(1)
        assert ("pocket lab" in built.title) is expected
        assert f"backbone {backbone['name']}" in built.notes[0]
        assert weights not in built.notes[0]


def test_a_complete_run_has_no_warning_and_the_order_of_rows_is_nothing(stored, make_run):
    rows, manifest = stored(make_run())
    built = tables.build(1)
    assert built.partial is None
    stored((rows[::-1], manifest))
    pd.testing.assert_frame_equal(table(1), built.frame)


def test_other_tables_and_empty_runs_are_refused(stored, make_run):
    with pytest.raises(UserError, match="no table 7"):
        table(7)
    stored(([], {"run": "empty", "jobs": []}))
    with pytest.raises(UserError, match="no jobs"):
        table(1)


def test_paper_numbers_are_all_there():
    assert len(paper.TABLE1) == 10
    assert len(paper.TABLE2) == 5
    assert {method for _, method in paper.TABLE1} == set(paper.TABLE2) == set(paper.LABELS) - {"plain"}
    # The paper's own statements about its table.
    best = max((row.miou, method) for (split, method), row in paper.TABLE1.items() if split == "static")
    assert best == (33.82, "mask-norm-tid")
    gain = [paper.TABLE1[s, "mask-norm-tid"].miou - paper.TABLE1[s, "mask-norm-id"].miou for s in ("static", "dynamic")]
    assert gain == pytest.approx([7.85, 12.41])


def test_importing_tables_loads_no_model_library():
    code = "import sys, ivgbench.report.render; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_table_reads_the_store(tmp_path, make_run):
    """Through real files: manifest, scores and sidecars as the runner leaves them."""
    rows, manifest = make_run(cases=3)
    store = Store(tmp_path)
    clip = np.zeros((2, 4, 4, 3), np.uint8)
    for job in manifest["jobs"]:
        job["score"] = f"{job['job']}-judged"
        values = {row["metric"]: row["value"] for row in rows if row["job"] == job["job"]}
        pixels = store.save_clip(job["job"], clip, {"seconds": 1.0})["pixel_sha256"]
        store.save_score(job["score"], pixels, values, {})
    store.save_manifest("table1", manifest)
    frame = table(1, runs=tmp_path)
    assert frame["n_scored"].tolist() == [3] * 14
    expected = values_of(rows, "static", "peekaboo", "clip_sim").mean()
    assert line_of(frame, "static", "peekaboo")["clip_sim"] == pytest.approx(expected)
    pd.testing.assert_frame_equal(table(1, runs=str(tmp_path), run="table1"), frame)

    store.discard(manifest["jobs"][0]["job"])
    store.fail(manifest["jobs"][0]["job"], "out of memory", {})
    with pytest.raises(
        UserError, match="1 failed of 42 clips; first: plain, case case-00, seed 0: failed: out of memory"
    ):
        table(1, runs=tmp_path)


def test_the_run_is_table1_or_the_only_one(tmp_path, make_run):
    with pytest.raises(UserError, match="there is no run in"):
        table(1, runs=tmp_path)
    store = Store(tmp_path)
    store.save_manifest("run-0123", {"jobs": []})
    with pytest.raises(UserError, match="'run-0123' has no jobs"):
        table(1, runs=tmp_path)
    store.save_manifest("run-4567", {"jobs": []})
    with pytest.raises(UserError, match=r"which run\?.*run-0123, run-4567"):
        table(1, runs=tmp_path)
    store.save_manifest("table1", {"jobs": []})
    with pytest.raises(UserError, match="'table1' has no jobs"):
        table(1, runs=tmp_path)
