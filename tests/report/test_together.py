"""Several runs in one table: as one run where they can be compared, refused with what differs where not."""

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.report import layout, ranking, render, table, tables, together

SUITES = {"pocket-static": "a" * 64, "pocket-dynamic": "b" * 64}


@pytest.fixture
def runs(monkeypatch, make_run):
    """A function: puts made-up runs, by name, in the place of the store's."""
    stored = {}
    monkeypatch.setattr(tables, "load", lambda number, runs, name: stored[name])

    def put(name, methods, label=None, jobs="", **options):
        rows, manifest = make_run(methods=methods, name=name, **{"truth": False, "cases": 4, **options})
        for item in [*rows, *manifest["jobs"]]:
            item["job"] = jobs + item["job"]
            item["label"] = label or item["label"]
        made = {entry["suite"] for entry in manifest["jobs"]}
        manifest["suites"] = {suite: SUITES[suite] for suite in made}
        stored[name] = (rows, manifest)
        return rows, manifest

    return put


def refused(*names) -> str:
    with pytest.raises(UserError) as fault:
        table(1, run=list(names))
    return str(fault.value)


def test_rows_are_those_of_each_run_ranked_together(runs, make_run):
    runs("ours", ["plain", "peekaboo"], truth=True)
    for row in runs("theirs", ["external"], label="their system", jobs="t")[0]:
        row["value"] = row["value"] and 0.9 * row["value"]
    frame = table(1, run=["ours", "theirs"])
    alone = tables.build(1, run="ours").frame
    for split in ("static", "dynamic"):
        here = frame[frame["split"] == split]
        assert here["label"].tolist() == ["Plain", "Peekaboo", "their system", "Ground truth"]
        same = alone[alone["split"] == split]
        for key in ("clip_sim", "miou_all", "miou_all_low", "n_scored"):
            assert here[here["label"] != "their system"][key].tolist() == same[key].tolist()
    marks = np.array(ranking.ranks(frame.to_dict("records"), "miou_all", +1, 1))
    rivals = frame[frame["method"] != "ground-truth"]
    for split, here in rivals.groupby("split"):
        order = here["miou_all"].sort_values(ascending=False).index
        assert (len(order), split, marks[order].tolist()) == (3, split, [1, 2, 0])
    built = tables.build(1, run=["ours", "theirs"])
    assert built.run == "ours + theirs" and len(layout.splits(built, True)) == 2
    assert any("Runs: ours (backbone pocket): plain, peekaboo, Ground truth; theirs" in note for note in built.notes)
    assert "ours + theirs" in render.markdown(built) and "pocket lab" in built.title


def test_one_name_is_one_run_and_a_name_twice_counts_once(runs):
    runs("ours", ["plain"])
    for named in ("ours", ["ours"], ["ours", "ours"]):
        assert tables.build(1, run=named).run == "ours"


def test_what_two_runs_share_stands_there_once(runs):
    runs("ours", ["plain", "peekaboo"], truth=True)
    runs("more", ["plain", "mask-norm"], truth=True)
    frame = table(1, run=["ours", "more"])
    here = frame[frame["split"] == "static"]
    assert here["label"].tolist() == ["Plain", "Peekaboo", "Mask Norm", "Ground truth"]
    assert here["n_scored"].tolist() == [4] * 4


def test_a_run_need_not_have_every_split(runs):
    runs("ours", ["plain"])
    runs("still", ["external"], label="theirs", jobs="t", splits=("static",))
    runs("moving", ["external"], label="theirs", jobs="t", splits=("dynamic",))
    frame = table(1, run=["ours", "still", "moving"])
    assert frame[["split", "label"]].to_numpy().tolist() == [
        ["static", "Plain"], ["static", "theirs"], ["dynamic", "Plain"], ["dynamic", "theirs"],
    ]  # fmt: skip
    assert "they have no suite in common (pocket-static; pocket-dynamic)" in refused("still", "moving")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detector": "owlvit-1"}, "their detectors differ (pocket-yolo-0123; owlvit-1)"),
        ({"clip": "ViT-B-16"}, "their CLIP models differ (clip-pocket-4567; ViT-B-16)"),
        ({"metrics": 2}, "their versions of the metrics differ (None; 2)"),
        ({"suites": {**SUITES, "pocket-dynamic": "c" * 64}}, "the suite 'pocket-dynamic' differs (sha256 bbb"),
    ],
)  # fmt: skip
def test_other_judges_or_suites_are_refused(runs, changes, words):
    runs("ours", ["plain"])
    _, manifest = runs("theirs", ["external"], label="theirs", jobs="t")
    manifest |= changes
    said = refused("ours", "theirs")
    assert said.startswith("runs 'ours' and 'theirs' cannot stand in one table: ") and words in said


def test_other_cases_are_refused(runs):
    runs("ours", ["plain"])
    runs("theirs", ["external"], label="theirs", jobs="t", cases=3)
    said = refused("ours", "theirs")
    assert "cases differ (4 of pocket-" in said and "; 3 of pocket-" in said


def test_one_label_for_two_systems_is_refused(runs):
    runs("ours", ["external"], label="theirs")
    runs("theirs", ["external"], label="theirs", jobs="t")
    said = refused("ours", "theirs")
    assert "both have a row 'theirs'" in said and "give one of them another label" in said


def test_one_label_for_two_methods_in_different_splits_is_refused(runs):
    runs("both", ["plain"])
    runs("still", ["peekaboo"], label="mine", splits=("static",))
    runs("moving", ["mask-norm"], label="mine", splits=("dynamic",))
    assert "'mine' is not the same method in both" in refused("both", "still", "moving")


def test_a_partial_run_among_several_is_refused_and_named(runs):
    runs("ours", ["plain"])
    rows, _ = runs("theirs", ["external"], label="theirs", jobs="t")
    rows[:] = [row for row in rows if row["case"] != "case-00"]
    said = refused("ours", "theirs")
    assert "run 'ours + theirs' is partial: 2 missing of 16 clips; first: theirs, case case-00" in said
    assert tables.build(1, run=["ours", "theirs"], allow_partial=True).partial


# ---- Table 2


def set_rows(label, videos=4, reference="world", against="r1", encoder="e1"):
    metrics = {"frames": {"clip": {"fid": 1.0}}, "video": {"jedi": 1.0}}
    return [
        {"reference": reference, "label": label, "method": label, "encoders": {"frames clip": encoder},
         "n_videos": videos, "n_expected": 4, "reference_videos": 9, "reference_frames": 72, "against": against,
         "metrics": metrics}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder": "e2"}, "their encoders differ"),
        ({"against": "r2"}, "their references differ"),
        ({"reference": "folder"}, "their references differ"),
        ({"videos": 3}, "their numbers of videos differ"),
    ],
)
def test_sets_against_something_else_are_refused(changes, words):
    ours, theirs = ((set_rows("a"), {"run": "ours"}), (set_rows("b", **changes), {"run": "theirs"}))
    together.check_sets([ours, (set_rows("b"), {"run": "theirs"})])
    with pytest.raises(UserError, match=f"runs 'ours' and 'theirs' cannot stand in one table: {words}"):
        together.check_sets([ours, theirs])


def test_table_2_of_two_runs(tmp_path, stored):
    """Rows computed by `sets` for two runs of one store, then both in one table."""
    from ivgbench.runs.identity import clips_digest

    store, _, manifest, _ = stored
    alone = {}
    for label in ("plain", "mask-norm"):
        entries = [entry for entry in manifest["jobs"] if entry["label"] == label]
        own = {**manifest, "jobs": entries, "suites": SUITES}
        store.save_manifest(label, own)
        numbers = {f"{name}{end}": float(len(label)) for name in ("fid", "kid", "kid_xvideo", "jedi", "jedi_unbiased")
                   for end in ("", "_low", "_high")}  # fmt: skip
        numbers |= {"kid_std": 0.1, "kid_subset_size": 4, "dimension": 3}
        (row,) = set_rows(label, videos=160)
        row["metrics"] = {"frames": {"clip": numbers}, "video": numbers}
        alone[label] = {
            **row,
            "n_expected": 160,
            "n_frames": 1280,
            "reference_videos": 400,
            "clips": clips_digest({entry["job"]: store.intact(entry["job"]) for entry in entries}),
        }
        store.save_set_rows(label, [alone[label]])
    built = tables.build(2, store.root, ["mask-norm", "plain"])
    assert built.frame["label"].tolist() == ["Plain", "Mask Norm"] and built.run == "mask-norm + plain"
    np.testing.assert_array_equal(built.frame["fid"], [5, 9])
    assert [row[2].rank for row in layout.references(built)[0].rows] == [1, 2]
    assert "Runs: mask-norm" in render.markdown(built)
    store.save_set_rows("plain", [{**alone["plain"], "against": "other videos"}])
    with pytest.raises(UserError, match="their references differ"):
        tables.build(2, store.root, ["mask-norm", "plain"])
