"""The asked scene, drawn: one name wherever it is printed, and nobody else's row may have it."""

import pytest

from ivgbench.errors import UserError
from ivgbench.report import paper, qualitative, tables
from ivgbench.report.page import writing
from ivgbench.runs.identity import Entry, is_kept, row_name
from ivgbench.runs.lab import ground_truth_job
from ivgbench.runs.spec import MethodSpec, RunSpec


def test_one_name(stored, tmp_path):
    store, rows, *_ = stored
    assert row_name("ground-truth") == paper.print_name("ground-truth") == "Ground truth"
    assert row_name("floor") == paper.print_name("floor") == "Reference again"
    assert row_name("theirs") == "theirs" and row_name("plain") == "plain"
    built = tables.build(1, store.root)
    assert built.frame["label"].tolist().count("Ground truth") == 2 and "Ground truth is not ranked" in str(built.notes)
    (line,) = writing.failures([{**rows[0], "label": "ground-truth", "metric": "missing", "status": "missing"}])
    assert line.startswith("Ground truth, suite")


def test_messages_have_it_too(tmp_path, make_run):
    from ivgbench.cases import Case, Subject
    from ivgbench.store.runs import Store

    class World:
        world_version = staticmethod(lambda: "world-1")

    case = Case("c", "a star", (Subject("star", ((0.1, 0.1, 0.5, 0.5),)),))
    entry = Entry(ground_truth_job(World, case, 0), "s", case, "ground-truth", "static")
    assert entry.describe().startswith("Ground truth, suite s") and entry.job.describe().startswith("Ground truth, ")
    _, manifest = make_run(["plain"], cases=1)
    manifest["jobs"] = [one for one in manifest["jobs"] if one["label"] == "ground-truth"]
    Store(tmp_path).save_manifest("table1", manifest)
    with pytest.raises(UserError, match="no clip of Ground truth, case"):
        qualitative.figure4(tmp_path, None, tmp_path)
    with pytest.raises(UserError, match="first: Ground truth, case"):
        tables.build(1, tmp_path)


@pytest.mark.parametrize("label", ["ground-truth", "Ground truth", "GROUND_TRUTH", " ground  truth", "floor", "Floor",
                                   "Reference again", "reference-again"])  # fmt: skip
def test_no_other_row_is_called_so(label):
    assert is_kept(label)
    with pytest.raises(UserError, match="is kept for the rows Ground truth and Reference again"):
        RunSpec("r", (MethodSpec("plain", label=label),))


@pytest.mark.parametrize("label", ["plain", "ground truth of mine", "floors", "reference"])
def test_other_labels_are_free(label):
    assert not is_kept(label)
