"""FID, KID and JEDi of a run: the same cases for all, the same rows by any road, references that are checked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_lab import Encoder, FakeLab, InlineEngine

from ivgbench import load_suite, world
from ivgbench.engines.local import LocalEngine
from ivgbench.errors import UserError
from ivgbench.metrics import fid, jedi, kernel, kid
from ivgbench.metrics.jedi import jedi_unbiased
from ivgbench.metrics.jedi import quadratic as jedi_kernel
from ivgbench.metrics.kid import kid_xvideo
from ivgbench.report import tables
from ivgbench.runs import comparing, references, runner
from ivgbench.runs.planning import make_plan, shard_of
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store
from ivgbench.store.video import encode
from ivgbench.world import reference

SPEC = RunSpec(
    "r",
    (MethodSpec("plain", {"shift": 0.3}), MethodSpec("tid")),
    cases=3,
    references=("world", "suite"),
    reference_videos=10,
    frame_encoders=("clip", "cells"),
    ground_truth=True,
)


def run(root, spec=SPEC, lab=None, engine=None, shard=None):
    lab = lab or FakeLab(root / "log")
    plan = make_plan(spec, lab)
    return runner.run(plan, Store(root), lab, engine or InlineEngine(), shard_of(plan.jobs, shard))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    run(root)
    return root


def row_of(root, reference, label):
    (found,) = [row for row in Store(root).set_rows("r") if (row["reference"], row["label"]) == (reference, label)]
    return found


def test_a_row_per_method_and_reference(finished):
    rows = Store(finished).set_rows("r")
    labels = {"plain", "mask-norm-tid", "ground-truth", "floor"}
    assert {(row["reference"], row["label"]) for row in rows} == {(r, m) for r in ("world", "suite") for m in labels}
    for row in rows:
        assert (row["n_videos"], row["n_frames"], row["n_expected"]) == (6, 48, 6)
        assert (row["reference_videos"], row["reference_frames"]) == (10, 80)
        assert set(row["metrics"]["frames"]) == {"clip", "cells"}
    # By this two runs know whether they were compared with the same videos.
    assert len({(row["reference"], row["against"]) for row in rows}) == len({row["against"] for row in rows}) == 2


def test_the_numbers_are_those_of_the_clips(finished):
    lab, encoder = FakeLab(finished / "log"), Encoder(finished / "direct", "direct")
    cases = [case for name in ("static", "dynamic") for case in load_suite(name).cases[:3]]
    clips = [lab.draw(case, 0.3, 0).video for case in cases]
    drawn = [world.sample_clip("reference", index).video for index in range(10)]
    x, y = (np.concatenate([encoder.embed_video(video) for video in videos]) for videos in (clips, drawn))
    got = row_of(finished, "world", "plain")["metrics"]
    assert got["frames"]["cells"]["fid"] == pytest.approx(fid(x, y), rel=1e-6)
    assert got["frames"]["cells"]["kid_subset_size"] == 24
    assert got["frames"]["cells"]["kid"] == pytest.approx(kid(x, y, subset_size=24)[0], rel=0.2)
    owners = [np.repeat(np.arange(len(one)), 8) for one in (clips, drawn)]
    assert got["frames"]["cells"]["kid_xvideo"] == pytest.approx(kid_xvideo(x, y, *owners), rel=1e-6)
    x, y = (np.stack([encoder.embed_clip(video) for video in videos]) for videos in (clips, drawn))
    assert got["video"]["jedi"] == pytest.approx(jedi(x, y), rel=1e-6)
    assert got["video"]["jedi_unbiased"] == pytest.approx(jedi_unbiased(x, y), rel=1e-6)


def test_what_the_suite_asks_for_is_near_the_suite(finished):
    """The ground truth is drawn as the suite's reference is; another box in another place is not."""
    values = {
        label: row_of(finished, "suite", label)["metrics"]["frames"]["cells"]["kid_xvideo"]
        for label in ("ground-truth", "floor", "plain")
    }
    assert max(values["ground-truth"], values["floor"]) < values["plain"]


def without_jobs(rows):
    return sorted(rows, key=lambda row: (row["reference"], row["label"]))


def test_workers_shards_and_order_change_nothing(finished, tmp_path):
    expected = without_jobs(Store(finished).set_rows("r"))
    root = tmp_path / "shards"
    run(root, shard="1/2")
    assert Store(root).set_rows("r") == []
    run(root, engine=LocalEngine(2), shard="0/2")
    assert without_jobs(Store(root).set_rows("r")) == expected


def test_a_finished_run_computes_nothing_again_and_a_new_reference_only_itself(finished, capsys):
    embedded = finished / "embedded"
    before = embedded.read_text()
    run(finished)
    assert "nothing to do" in capsys.readouterr().err and embedded.read_text() == before
    more = RunSpec(**{**SPEC.__dict__, "reference_videos": 12})
    run(finished, more)
    # Two more of each source, and the floors move on by two; for both encoders.
    assert len(embedded.read_text().split()) - len(before.split()) == 2 * (2 + 2)
    assert row_of(finished, "world", "plain")["reference_videos"] == 12
    run(finished)
    assert row_of(finished, "world", "plain")["reference_videos"] == 10


def test_rows_are_of_the_pixels_they_were_made_from(tmp_path):
    run(tmp_path)
    store, before = Store(tmp_path), row_of(tmp_path, "world", "plain")["metrics"]
    job = next(job["job"] for job in store.manifest("r")["jobs"] if job["label"] == "plain")
    tables.build(2, tmp_path, "r")
    facts = store.sidecar(job)
    store.save_clip(job, store.clip(job) // 2, {name: facts[name] for name in ("spec", "nfe", "backward", "seconds")})
    with pytest.raises(UserError, match="are of other clips than it has now; run it again"):
        tables.build(2, tmp_path, "r")
    run(tmp_path)
    tables.build(2, tmp_path, "r")
    assert row_of(tmp_path, "world", "plain")["metrics"] != before
    store.discard(job)
    with pytest.raises(UserError, match="are of other clips than it has now; run it again"):
        tables.build(2, tmp_path, "r")


def test_a_case_without_a_clip_of_every_method_counts_for_none(tmp_path):
    broken = FakeLab(tmp_path / "log", {"pocket-static-01": "raise"})
    assert run(tmp_path, lab=broken).failed == 2
    rows = Store(tmp_path).set_rows("r")
    assert {(row["n_videos"], row["n_expected"]) for row in rows} == {(5, 6)}
    run(tmp_path)
    assert {row["n_videos"] for row in Store(tmp_path).set_rows("r")} == {6}


def test_too_few_cases_are_said_and_no_error(tmp_path, capsys):
    spec = RunSpec(**{**SPEC.__dict__, "cases": 1, "suites": ("static",)})
    assert run(tmp_path, spec).failed == 0
    assert "wait until every method has clips of at least 2 cases" in capsys.readouterr().err
    assert Store(tmp_path).set_rows("r") == []


# ---- references


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "animals" / "deep"
    place.mkdir(parents=True)
    for index in range(9):
        video = world.sample_clip("held-out", index).video[: 4 + index]
        (place.parent if index % 2 else place).joinpath(f"{index}.{('mkv', 'mp4')[index % 2]}").write_bytes(
            encode(video, lossless=index % 2 == 0)
        )
    (place / "notes.txt").write_text("no video")
    return place.parent


def chosen(source, count, floor, seed=0, suites=("static",)):
    """What is gathered of a source, with a store beside it."""
    spec = RunSpec(**{**SPEC.__dict__, "reference_videos": count, "reference_seed": seed, "suites": suites})
    lab = FakeLab(None)
    plan = make_plan(RunSpec(**{**spec.__dict__, "references": ()}), lab)
    store = Store(Path(source).parent / "looked") if Path(source).is_dir() else None
    return references.gather(str(source), Path(source).name, floor, plan, store, lab, InlineEngine())


def test_a_folder_is_a_reference(folder, tmp_path):
    spec = RunSpec(**{**SPEC.__dict__, "references": (str(folder),), "reference_videos": 3})
    run(tmp_path, spec)
    row = row_of(tmp_path, "animals", "plain")
    videos = chosen(folder, 3, 6).videos
    assert row["reference_videos"] == 3 and row["reference_frames"] == sum(len(one.load()) for one in videos)
    assert row_of(tmp_path, "animals", "floor")["n_videos"] == 6


def test_the_choice_depends_on_seed_and_names_only(folder):
    first = chosen(folder, 4, 3)
    assert first == chosen(folder, 4, 3) and not set(first.videos) & set(first.floor)
    assert {one.key for one in chosen(folder, 4, 3, seed=1).videos} != {one.key for one in first.videos}
    moved = folder.rename(folder.with_name("elsewhere"))
    assert [one.key for one in chosen(moved, 4, 3).videos] == [one.key for one in first.videos]
    assert len(chosen(moved, 400, 6).videos) == 9 and chosen(moved, 400, 6).floor == ()
    assert chosen(moved, 6, 4).floor == ()  # three are left, and a floor of three is not comparable


@pytest.mark.parametrize(("make", "words"), [(False, "no such folder"), (True, "0 videos in it; at least 2")])
def test_a_folder_without_videos_is_refused(tmp_path, make, words):
    if make:
        (tmp_path / "here").mkdir()
    with pytest.raises(UserError, match=words):
        references.check([str(tmp_path / "here")])


def test_what_the_world_draws_is_never_the_reported_clips():
    drawn = chosen("suite", 100, 6, suites=("static", "dynamic"))
    assert len({one.key for one in (*drawn.videos, *drawn.floor)}) == 106
    assert len({one.case.id for one in drawn.videos[:96]}) == 96 and drawn.videos[96].index == 1
    first = drawn.videos[0]
    assert not np.array_equal(first.load(), reference.render_case(first.case, first.index))
    assert chosen("world", 100, 6).videos[7].load().shape == (8, 48, 80, 3)


def test_v_jepa_2_has_a_metric_of_its_own():
    names = {one: comparing.jedi_name(one) for one in ("pocket", "vjepa:a,b", "vjepa2", "vjepa2:folder")}
    assert list(names.values()) == ["jedi", "jedi", "jedi_v2", "jedi_v2"]
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3))
    k = kernel.own_sums(y, range(5), jedi_kernel(3))
    found = comparing.video_metrics(x, y, k, "jedi_v2")
    assert found["jedi_v2"] == jedi(x, y) and found["jedi_v2_unbiased"] == pytest.approx(jedi_unbiased(x, y))
    assert not any(key == "jedi" or key.startswith("jedi_unbiased") for key in found)


def test_encoders_of_one_id_are_refused(tmp_path):
    with pytest.raises(UserError, match="the encoders cells and cells have one id"):
        run(tmp_path, replace(SPEC, frame_encoders=("cells", "cells")))
