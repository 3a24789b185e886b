"""Runs from plan to rows: resumable at any point, the same results by any road, failures as rows with a reason."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fake_lab import FakeLab, InlineEngine, unit

from ivgbench import load_suite
from ivgbench.engines.local import DiskFull, LocalEngine
from ivgbench.errors import UserError
from ivgbench.generator.sampling import Sampling
from ivgbench.report import table
from ivgbench.runs import runner
from ivgbench.runs.external import import_videos
from ivgbench.runs.planning import make_plan, shard_of
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store
from ivgbench.store.video import decode, encode

SPEC = RunSpec(
    "r",
    (MethodSpec("plain", {"shift": 0.3}), MethodSpec("tid")),
    suites=("static", "dynamic"),
    cases=2,
    ground_truth=True,
)
FIRST = "pocket-static-00"


def value(rows: list[dict], label: str, case: str, metric: str) -> float | None:
    (found,) = [r["value"] for r in rows if (r["label"], r["case"], r["metric"]) == (label, case, metric)]
    return found


def without_times(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["metric"] != "seconds"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[list[dict], dict]:
    """Rows and manifest of the whole run, made in one go."""
    root = tmp_path_factory.mktemp("finished")
    lab = FakeLab(root / "log")
    outcome = runner.run(make_plan(SPEC, lab), Store(root), lab, InlineEngine())
    assert outcome == ("r", 12, 12, 0, 0)
    return Store(root).load_rows("r")


def test_every_job_has_all_its_metrics(finished):
    rows, manifest = finished
    assert len(manifest["jobs"]) == 12
    metrics = {
        "clip_sim", "clip_sim_squash", "clip_sim_shuffled", "covered", "miou", "miou_volume", "ap50",
        "centroid_distance", "n_detected", "nfe", "backward", "seconds",
    }  # fmt: skip
    for entry in manifest["jobs"]:
        mine = {row["metric"] for row in rows if row["job"] == entry["job"] and row["status"] == "ok"}
        assert metrics <= mine
    assert {(entry["suite"], entry["split"]) for entry in manifest["jobs"]} == {
        ("pocket-static", "static"),
        ("pocket-dynamic", "dynamic"),
    }
    assert {entry["label"] for entry in manifest["jobs"]} == {"plain", "mask-norm-tid", "ground-truth"}


def test_the_numbers_are_those_of_the_clips(finished):
    rows, _ = finished
    case = load_suite("static").cases[0]
    assert value(rows, "mask-norm-tid", FIRST, "miou_volume") > 0.99
    assert value(rows, "plain", FIRST, "miou_volume") < 0.6
    assert (
        value(rows, "mask-norm-tid", FIRST, "covered") == 1 and value(rows, "mask-norm-tid", FIRST, "n_detected") == 8
    )
    assert (value(rows, "plain", FIRST, "nfe"), value(rows, "ground-truth", FIRST, "nfe")) == (3, 0)
    video = FakeLab(None).draw(case, 0.0, 0).video
    frames = np.stack([unit(frame.mean().round(3)) for frame in video])
    assert value(rows, "mask-norm-tid", FIRST, "clip_sim") == pytest.approx(100 * (frames @ unit(case.prompt)).mean())
    # The floor shuffles over the captions of the whole suite, not of the two cases that were run.
    others = np.stack([unit(other.prompt) for other in load_suite("static").cases[1:]])
    assert value(rows, "mask-norm-tid", FIRST, "clip_sim_shuffled") == pytest.approx(100 * (frames @ others.T).mean())


@pytest.mark.parametrize("limit", [0, 1, 5, 11, 12, 30, 60])
def test_a_run_killed_anywhere_goes_on_to_the_same_rows(tmp_path, finished, limit):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        runner.run(make_plan(SPEC, lab), store, lab, InlineEngine(limit))
    assert {row["metric"] for row in store.load_rows("r")[0]} == {"missing"}
    runner.run(make_plan(SPEC, lab), store, lab, InlineEngine())
    assert len(lab.made()) == 12  # nothing was made twice
    assert without_times(store.load_rows("r")[0]) == without_times(finished[0])


def test_a_finished_run_has_nothing_to_do(tmp_path, capsys):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    runner.run(make_plan(SPEC, lab), store, lab, InlineEngine())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "jobs").rglob("*.*")}
    capsys.readouterr()
    assert runner.run(make_plan(SPEC, lab), store, lab, InlineEngine(0)).made == 0
    assert "nothing to do: all 12 jobs are done" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "jobs").rglob("*.*")}


def test_two_worker_processes_and_two_shards_give_the_same_rows(tmp_path, finished):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    plan = make_plan(SPEC, lab)
    first, second = shard_of(plan.jobs, "0/2"), shard_of(plan.jobs, "1/2")
    assert sorted(j.id for j in (*first, *second)) == sorted(j.id for j in plan.jobs)
    assert runner.run(plan, store, lab, LocalEngine(2), second).total == 6
    half = [row for row in store.load_rows("r")[0] if row["metric"] == "missing"]
    assert len(half) == 6
    runner.run(plan, store, lab, LocalEngine(1), first)
    assert without_times(store.load_rows("r")[0]) == without_times(finished[0])


def test_batches_give_the_same_rows(tmp_path, finished):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    assert runner.run(make_plan(SPEC, lab), store, lab, InlineEngine(), batch_size=3).made == 12
    assert lab.made().count("batch:3") > 0
    assert without_times(store.load_rows("r")[0]) == without_times(finished[0])
    assert store.sidecar(make_plan(SPEC, lab).jobs[1].id)["environment"]["batch"] == 3


def test_a_bad_case_does_not_cost_its_batch(tmp_path):
    broken = FakeLab(tmp_path / "log", {FIRST: "raise"})
    store = Store(tmp_path)
    outcome = runner.run(make_plan(SPEC, broken), store, broken, InlineEngine(), batch_size=4)
    assert (outcome.made, outcome.failed) == (10, 2)
    failed = {row["case"] for row in store.load_rows("r")[0] if row["metric"] == "failed"}
    assert failed == {FIRST}


def test_a_method_may_be_sampled_in_its_own_way(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"adapter")
    own = MethodSpec("tid", {}, "own", sampling=Sampling(7, 2.0, "checkpoint", dtype="float16"))
    spec = RunSpec("r", (MethodSpec("plain"), own), cases=1, suites=("static",), lora=str(tmp_path / "a.pt"))
    jobs = make_plan(spec, FakeLab(None)).jobs
    common, special = (one.sampling for one in jobs)
    assert common == Sampling(3, 6.0, "ddim", "", "", "float32", (48, 80))
    assert special == Sampling(7, 2.0, "checkpoint", "", "", "float16", (48, 80))
    assert jobs[0].lora == jobs[1].lora and len(jobs[0].lora) == 64 and jobs[0].lora_file.endswith("a.pt")


def test_failures_are_rows_and_are_tried_again(tmp_path, finished):
    broken = FakeLab(tmp_path / "log", {FIRST: "raise", "pocket-dynamic-01": "die"})
    store = Store(tmp_path)
    outcome = runner.run(make_plan(SPEC, broken), store, broken, LocalEngine(1))
    assert (outcome.made, outcome.failed) == (8, 4)
    rows, _ = store.load_rows("r")
    reasons = {row["case"]: row["status"] for row in rows if row["metric"] == "failed"}
    assert reasons[FIRST] == "failed: FloatingPointError: latents are not finite"
    assert reasons["pocket-dynamic-01"].startswith("failed: the worker process died: killed by signal 9")
    mended = FakeLab(tmp_path / "log2")
    outcome = runner.run(make_plan(SPEC, mended), store, mended, InlineEngine())
    assert (outcome.made, outcome.failed) == (4, 0)
    assert without_times(store.load_rows("r")[0]) == without_times(finished[0])


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, finished):
    lab, store = FakeLab(tmp_path / "log", {"pocket-dynamic-00": "full"}), Store(tmp_path)
    with pytest.raises(DiskFull, match=r"video\.mkv: .* MB free"):
        runner.run(make_plan(SPEC, lab), store, lab, LocalEngine(1))
    assert not any(store.failure(job.id) for job in make_plan(SPEC, lab).jobs)
    roomy = FakeLab(tmp_path / "log2")
    assert runner.run(make_plan(SPEC, roomy), store, roomy, InlineEngine()).made == 12 - 7
    assert without_times(store.load_rows("r")[0]) == without_times(finished[0])


def test_what_another_run_has_made_meanwhile_is_not_made_again(tmp_path):
    plan, store = make_plan(SPEC, FakeLab(None)), Store(tmp_path)

    class Overtaken(InlineEngine):
        """Another run makes everything just before this one's first item."""

        def run(self, *asked):
            if not first.made():
                runner.run(plan, Store(tmp_path), first, InlineEngine())
            yield from super().run(*asked)

    first, second = FakeLab(tmp_path / "first"), FakeLab(tmp_path / "second")
    assert runner.run(plan, store, second, Overtaken()).failed == 0
    assert len(first.made()) == 12 and second.made() == []


def test_a_damaged_clip_is_made_again(tmp_path, capsys, finished):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    plan = make_plan(SPEC, lab)
    runner.run(plan, store, lab, InlineEngine())
    store.video_path(plan.jobs[4].id).write_bytes(b"scribble")
    assert runner.run(plan, store, lab, InlineEngine()).made == 1
    assert "damaged clip" in capsys.readouterr().err
    assert without_times(store.load_rows("r")[0]) == without_times(finished[0])


def test_other_weights_are_other_jobs(tmp_path):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    runner.run(make_plan(SPEC, lab), store, lab, InlineEngine())
    newer = FakeLab(tmp_path / "log2", weights="w2")
    assert runner.run(make_plan(SPEC, newer), store, newer, InlineEngine()).made == 8  # Ground truth stays


def test_what_the_detector_cannot_judge_fails_with_its_words(tmp_path):
    suite = load_suite("static")
    ring = [case for case in suite.cases if case.subjects[0].phrase == "blue ring"]
    assert ring, "no blue ring among the captions: give the fake detector another phrase not to know"
    path = tmp_path / "ring.jsonl"
    type(suite)("ring", 8, tuple(ring)).save(path)
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    plan = make_plan(RunSpec("r", (MethodSpec("plain"),), suites=(str(path),)), lab)
    assert runner.run(plan, store, lab, InlineEngine()).failed == 1
    (row,) = store.load_rows("r")[0]
    assert row["status"] == "failed: the detector does not know 'blue ring'"
    # The clip is there: once it can be judged, nothing is made again and the failure is forgotten.
    taught = FakeLab(tmp_path / "log2", knows_rings=True)
    assert runner.run(plan, store, taught, InlineEngine()) == ("r", 1, 0, 0, 0)
    assert not any(row["status"].startswith("failed") for row in store.load_rows("r")[0])
    assert not store.failure(plan.jobs[0].id)


def test_workers_without_weights_stop_the_run_at_once(tmp_path):
    lab = FakeLab(tmp_path / "log", {"start": "raise"})
    with pytest.raises(UserError, match="no weights here"):
        runner.run(make_plan(SPEC, lab), Store(tmp_path), lab, LocalEngine(1))


def test_jobs_asked_for_twice_are_made_once(tmp_path):
    twins = RunSpec("r", (MethodSpec("tid"), MethodSpec("mask-norm-tid", {}, "twin")), suites=("static",), cases=1)
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    assert runner.run(make_plan(twins, lab), store, lab, InlineEngine()).total == 1
    assert {row["label"] for row in store.load_rows("r")[0]} == {"mask-norm-tid", "twin"}


def test_a_case_in_two_suites_is_made_once_and_scored_in_both(tmp_path):
    whole, half = load_suite("static"), tmp_path / "half.jsonl"
    renamed = replace(whole.cases[0], id="first-again", metadata={"split": "own"})
    type(whole)("half", 8, (renamed, *whole.cases[1:4])).save(half)
    spec = RunSpec("r", (MethodSpec("tid"),), suites=("static", str(half)), cases=4, ground_truth=True)
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    outcome = runner.run(make_plan(spec, lab), store, lab, InlineEngine())
    assert outcome == ("r", 8, 8, 0, 0) and len(lab.made()) == 8
    rows, manifest = store.load_rows("r")
    assert len(manifest["jobs"]) == 16 and {row["status"] for row in rows} == {"ok"}
    first, second = ([r for r in rows if r["case"] == case] for case in (FIRST, "first-again"))
    assert {row["job"] for row in first} == {row["job"] for row in second}
    assert {(row["suite"], row["split"]) for row in second} == {("half", "own")}
    for name, equal in (("miou", True), ("clip_sim", True), ("clip_sim_shuffled", False)):
        # The captions that are shuffled are those of the suite, and the suites are not the same.
        one, two = (value(part, "mask-norm-tid", part[0]["case"], name) for part in (first, second))
        assert (one == two) == equal
    frame = table(1, tmp_path, "r")
    assert frame["n_scored"].tolist() == frame["n_expected"].tolist() == [7, 7, 1, 1]


def test_a_replaced_clip_has_no_score_until_it_is_scored(tmp_path):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    plan = make_plan(RunSpec("r", (MethodSpec("tid"),), suites=("static",), cases=1), lab)
    runner.run(plan, store, lab, InlineEngine())
    assert value(store.load_rows("r")[0], "mask-norm-tid", FIRST, "miou") > 0.8
    facts = store.sidecar(plan.jobs[0].id)
    store.save_clip(plan.jobs[0].id, np.zeros((8, 48, 80, 3), np.uint8), facts)
    assert [row["status"] for row in store.load_rows("r")[0]] == ["missing"]
    assert runner.run(plan, store, lab, InlineEngine()).made == 0
    assert value(store.load_rows("r")[0], "mask-norm-tid", FIRST, "miou") == 0


def test_frames_of_another_size_are_another_job(tmp_path):
    class Square(FakeLab):
        def facts(self, spec, needed=True):
            found = super().facts(spec, needed)
            return found._replace(sampling=Sampling(size=(64, 64)).over(found.sampling))

    (wide,), (square,) = (
        make_plan(RunSpec("r", (MethodSpec("tid"),), suites=("static",), cases=1), lab).jobs
        for lab in (FakeLab(None), Square(None))
    )
    assert wide.id != square.id


def test_systems_that_lack_a_case_keep_each_their_own_reason(tmp_path):
    suite, store, lab = load_suite("static"), Store(tmp_path), FakeLab(tmp_path / "log")
    suite = replace(suite, cases=suite.cases[:2])
    names = {}
    for system in ("a", "b"):
        (tmp_path / system).mkdir()
        clip = lab.draw(suite.cases[0], 0.0, 0).video
        (tmp_path / system / f"{suite.cases[0].id}.mkv").write_bytes(encode(clip))
    (tmp_path / "b" / f"{suite.cases[1].id}.mp4").write_text("no video")
    for system in ("a", "b"):
        plan = import_videos(tmp_path / system, suite, system, store)
        assert runner.run(plan, store, lab, InlineEngine()).failed == 1
        names[system] = plan.spec.name
    reasons = {
        system: [row["status"] for row in store.load_rows(run)[0] if row["metric"] == "failed"]
        for system, run in names.items()
    }
    assert "no video" in reasons["a"][0] and "cannot read the video" not in reasons["a"][0]
    assert "cannot read the video" in reasons["b"][0]


def test_a_sidecar_tells_how_a_clip_was_made(tmp_path):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path)
    plan = make_plan(SPEC, lab)
    runner.run(plan, store, lab, InlineEngine())
    facts = store.sidecar(plan.jobs[1].id)
    assert facts["spec"] == json.loads(json.dumps(plan.jobs[1].identity()))
    assert facts["environment"]["threads"] == 1 and facts["environment"]["device"] == "fake"
    assert facts["environment"]["python"] and facts["seconds"] >= 0


@pytest.mark.parametrize("shard", ["2/2", "1", "a/b", "-1/2", "0/0"])
def test_bad_shards_are_refused(shard):
    with pytest.raises(UserError, match="write i/n"):
        shard_of((), shard)


def test_videos_of_another_system_are_scored(tmp_path, monkeypatch):
    column = np.zeros((8, 2, 1, 3), np.uint8)  # FFV1 stores no frame of one column
    suite = load_suite("static")
    videos = tmp_path / "theirs"
    videos.mkdir()
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path / "runs")
    clips = [lab.draw(case, 0.0, 0).video for case in suite.cases[:3]]
    (videos / f"{suite.cases[0].id}.mkv").write_bytes(encode(clips[0]))
    (videos / f"{suite.cases[1].id}.mkv").write_bytes(encode(clips[1][:5]))
    (videos / f"{suite.cases[2].id}.mp4").write_bytes(b"no video")
    (videos / f"{suite.cases[4].id}.MP4").write_bytes(b"a camera's letter case")
    (videos / f"{suite.cases[5].id}.mpeg").write_bytes(b"an ending that references may have")
    for ending in ("mkv", "Mov"):
        (videos / f"{suite.cases[6].id}.{ending}").write_bytes(b"which of them?")
    (videos / f"{suite.cases[7].id}.txt").write_text("notes")
    (videos / f"{suite.cases[8].id}.mp4").write_bytes(b"to be replaced")
    monkeypatch.setattr(
        "ivgbench.runs.external.videos.decode", lambda path: column if "-08" in path.name else decode(path)
    )
    plan = import_videos(videos, suite, "theirs", store)
    outcome = runner.run(plan, store, lab, InlineEngine())
    assert (outcome.total, outcome.made, outcome.failed) == (48, 0, 47)
    rows, _ = store.load_rows(plan.spec.name)
    assert value(rows, "theirs", FIRST, "miou_volume") > 0.99 and value(rows, "theirs", FIRST, "nfe") is None
    status = {row["case"]: row["status"] for row in rows if row["metric"] == "failed"}
    assert "5 frames, the case has boxes for 8" in status[suite.cases[1].id]
    assert "cannot read the video" in status[suite.cases[2].id]
    assert "no video pocket-static-03.*" in status[suite.cases[3].id]
    assert all("cannot read the video" in status[suite.cases[number].id] for number in (4, 5))
    assert "several videos: pocket-static-06.Mov, pocket-static-06.mkv" in status[suite.cases[6].id]
    assert "no video pocket-static-07.*" in status[suite.cases[7].id]
    assert "1x2 pixels cannot be stored" in status[suite.cases[8].id]
    with pytest.raises(UserError, match="no video is named after a case"):
        import_videos(tmp_path, suite, "x", store)
