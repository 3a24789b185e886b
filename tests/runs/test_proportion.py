"""Work in proportion to what is new: what was hashed, read, scored and loaded is counted."""

import json
import os
import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from fake_lab import FakeLab, InlineEngine

from ivgbench import load_suite
from ivgbench.files import digest, write_json
from ivgbench.metrics import clip_sim
from ivgbench.runs import runner, scoring
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store import clips, index, records, runs
from ivgbench.store.runs import Store

SPEC = RunSpec("r", (MethodSpec("plain"), MethodSpec("tid")), suites=("static",), cases=3, ground_truth=True)


@pytest.fixture
def counts(monkeypatch):
    """What is done from now on, by what it is."""
    found = Counter()

    def count(owner, name, what):
        real = getattr(owner, name)

        def called(*arguments):
            found[what] += 1
            return real(*arguments)

        monkeypatch.setattr(owner, name, called)

    count(Store, "arrays", "cache reads")
    count(clips, "file_sha256", "clips hashed")
    count(clips, "read_record", "sidecars read")
    count(Store, "save_score", "scores written")
    count(scoring, "score_job", "scores")
    count(FakeLab, "start_worker", "workers")
    return found


def run(root, spec=SPEC):
    lab = FakeLab(root / "log")
    return runner.run(make_plan(spec, lab), Store(root), lab, InlineEngine())


def test_a_finished_run_is_hardly_looked_at(tmp_path, counts):
    run(tmp_path)
    counts.clear()
    assert run(tmp_path) == ("r", 9, 0, 0, 0)
    assert not counts


def test_the_manifest_of_a_finished_run_is_read_once(tmp_path, monkeypatch):
    run(tmp_path)
    read = []
    monkeypatch.setattr(runs, "read_record", lambda path: read.append(path.parent.name) or records.read_record(path))
    run(tmp_path)
    assert read.count("manifests") == 1


def test_jobs_of_a_row_share_what_they_have_in_common():
    jobs = [one for one in make_plan(SPEC, FakeLab(None)).jobs if one.method == "plain"]
    assert len(jobs) == 3 and len({id(one.sampling) for one in jobs}) == len({id(one.options) for one in jobs}) == 1


def test_a_large_record_is_never_whole_in_memory(tmp_path):
    value = {"b": list(range(100_000)), "a": "\u00e9"}
    tracemalloc.start()
    write_json(tmp_path / "a.json", value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    assert (tmp_path / "a.json").read_text() == text and peak < len(text) / 2
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"a": 1, "b": float("nan")})
    assert (tmp_path / "a.json").read_text() == text and len([*tmp_path.iterdir()]) == 1


def test_one_damaged_clip_costs_itself_alone(tmp_path, counts):
    run(tmp_path)
    store = Store(tmp_path)
    job = make_plan(SPEC, FakeLab(None)).jobs[4].id
    data = bytearray(store.video_path(job).read_bytes())
    data[len(data) // 2] ^= 1
    store.video_path(job).write_bytes(data)
    counts.clear()
    assert run(tmp_path).made == 1
    # It is hashed where it is missed, where it is written, and where it is found.
    assert counts["clips hashed"] <= 4 and counts["scores"] <= 1
    counts.clear()
    run(tmp_path)
    assert not counts


def test_a_store_of_before_and_a_copy_are_hashed_once(tmp_path, counts):
    run(tmp_path)
    (tmp_path / "index.json").unlink()
    counts.clear()
    assert run(tmp_path) == ("r", 9, 0, 0, 0)
    assert counts["clips hashed"] == 9 and counts["scores"] == counts["workers"] == counts["cache reads"] == 0
    for video in tmp_path.rglob("video.mkv"):  # as after a copy that does not keep times
        os.utime(video)
    counts.clear()
    run(tmp_path)
    assert counts["clips hashed"] == 9 and counts["scores"] == 0
    counts.clear()
    run(tmp_path)
    assert not counts


@pytest.mark.parametrize("content", [b"", b"0\n{}", b"no index", b"[]\n[]"])
def test_an_index_that_is_damaged_is_none(tmp_path, counts, content):
    run(tmp_path)
    (tmp_path / "index.json").write_bytes(content)
    counts.clear()
    assert run(tmp_path) == ("r", 9, 0, 0, 0)
    assert counts["clips hashed"] == 9 and counts["scores"] == 0


def test_what_is_missing_of_a_score_or_a_look_is_done_again(tmp_path, counts):
    run(tmp_path)
    scores = sorted((tmp_path / "scores").iterdir())
    whole = scores[0].read_bytes()
    scores[0].unlink()
    scores[1].write_bytes(b"{}")
    next((tmp_path / "cache").glob("white-box*/*.npz")).unlink()
    counts.clear()
    run(tmp_path)
    assert counts["scores"] == counts["scores written"] == 2 and counts["workers"] == 1
    assert scores[0].read_bytes() == whole


def test_the_captions_are_read_once_for_all_clips(tmp_path, counts):
    run(tmp_path)
    for score in (tmp_path / "scores").iterdir():
        score.unlink()
    counts.clear()
    run(tmp_path)
    prompts = {case.prompt for case in load_suite("static").cases}
    looks = 2 * 3  # detections and features, both ways: whether they can be read, and what they are
    assert counts["scores"] == 9 and counts["cache reads"] <= len(prompts) + 9 * looks


def test_a_damaged_look_is_computed_again_where_it_is_needed(tmp_path, counts):
    run(tmp_path)
    looks = [*(tmp_path / "cache").glob("white-box*/*.npz")]
    for file in [*looks[:2], *(tmp_path / "scores").iterdir()]:
        file.write_bytes(b"PK")
    counts.clear()
    assert run(tmp_path).failed == 0
    assert counts["workers"] == 1 and counts["scores"] == 9


def test_the_floor_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    captions = rng.normal(size=(9, 5))
    captions /= np.linalg.norm(captions, axis=1, keepdims=True)
    frames, prompts = captions[:4], [*"abacadbba"]
    means = clip_sim.others(prompts, captions)
    for prompt in set(prompts):
        expected = clip_sim.shuffled(frames, prompt, prompts, captions)
        assert clip_sim.floor(frames, means[prompt]) == pytest.approx(expected, rel=1e-12)
    assert np.isnan(clip_sim.floor(frames, clip_sim.others(["a", "a"], captions[:2])["a"]))


def test_an_id_is_the_hash_of_the_whole_identity():
    (job, *_) = make_plan(SPEC, FakeLab(None)).jobs
    for one in (
        job,
        replace(job, backbone='a "case":null b', lora="l", options={"case": None}, changed={"case": None}),
    ):
        assert one.id == digest(one.identity())[:20]


def test_an_index_knows_files_by_size_and_time(tmp_path):
    file, path = tmp_path / "a", tmp_path / "index.json"
    file.write_bytes(b"one")
    mine, theirs = index.Index(path), index.Index(path)
    mine.put("a", index.stamps(file), {"is": 1})
    assert mine.get("a", index.stamps(file)) == {"is": 1}
    mine.save()
    theirs.put("b", index.stamps(file), 2)
    theirs.save()
    both = index.Index(path)
    assert both.get("a", index.stamps(file)) == {"is": 1} and both.get("b", index.stamps(file)) == 2
    file.write_bytes(b"three")
    assert both.get("a", index.stamps(file)) is None and both.get("never", index.stamps(file)) is None
    both.drop("b")
    both.save()
    assert index.Index(path).get("b", index.stamps(file)) is None
    assert index.stamps(tmp_path / "none") is None


def test_a_manifest_that_says_the_same_is_not_written_again(tmp_path):
    store = Store(tmp_path)
    path = store.save_manifest("r", {"jobs": [], "metrics": 2})
    about = path.stat()
    os.utime(path, ns=(0, 0))
    store.save_manifest("r", {"jobs": [], "metrics": 2})
    assert path.stat().st_ino == about.st_ino and path.stat().st_mtime_ns > 0  # but it has gone on
    store.save_manifest("r", {"jobs": [], "metrics": 3})
    assert store.manifest("r")["metrics"] == 3
    path.write_text("{")
    store.save_manifest("r", {"jobs": [], "metrics": 3})
    assert store.manifest("r")["metrics"] == 3
