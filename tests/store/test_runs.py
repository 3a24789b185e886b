"""The files of runs: exact clips, damage found by hash, failures as rows, nothing half written."""

import errno
import hashlib
import json

import numpy as np
import pytest

from ivgbench import files
from ivgbench.errors import UserError
from ivgbench.store import video as videos
from ivgbench.store.clips import Damaged, each_done
from ivgbench.store.runs import Store


@pytest.fixture
def clip() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 48, 80, 3), dtype=np.uint8)


def entry(job: str, case: str = "c") -> dict:
    about = {
        "method": "plain",
        "label": "plain",
        "options": {},
        "suite": "s",
        "split": "static",
        "case": case,
        "seed": 0,
    }
    return {"job": job, "score": f"{job}-x", **about}


def test_a_clip_comes_back_bit_for_bit(tmp_path, clip):
    store = Store(tmp_path)
    facts = store.save_clip("j", clip, {"nfe": 3})
    assert np.array_equal(store.clip("j"), clip)
    assert store.sidecar("j") == facts
    assert facts["shape"] == [3, 48, 80, 3] and facts["pixel_sha256"] == videos.pixel_sha256(clip)


def test_the_same_pixels_make_the_same_file(clip):
    assert videos.encode(clip) == videos.encode(clip.copy())
    odd = clip[:, :47, :79]  # sides that no chroma subsampling could keep
    assert np.array_equal(videos.decode(videos.encode(odd)), odd)


def test_an_mp4_is_for_looking_at(tmp_path, clip):
    videos.save(tmp_path / "a.mp4", clip)
    assert videos.decode(tmp_path / "a.mp4").shape == (3, 48 * 7, 80 * 7, 3)
    with pytest.raises(UserError, match="to look at"):
        videos.save(tmp_path / "a.avi", clip)


def test_an_unreadable_video_is_the_users_error(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(UserError, match="cannot read the video"):
        videos.decode(tmp_path / "a.mp4")


def test_a_damaged_clip_is_found_and_removed(tmp_path, clip):
    store = Store(tmp_path)
    for job in ("good", "flipped", "gone", "scribbled", "unfinished"):
        store.save_clip(job, clip, {})
    data = bytearray(store.video_path("flipped").read_bytes())
    data[len(data) // 2] ^= 1
    store.video_path("flipped").write_bytes(data)
    store.video_path("gone").unlink()
    (tmp_path / "jobs/scribbled/sidecar.json").write_text("{")
    (tmp_path / "jobs/unfinished/sidecar.json").unlink()
    with pytest.raises(Damaged, match="hash"):
        store.sidecar("flipped")
    said = []
    assert list(each_done(store, ["good", "flipped", "gone", "scribbled", "unfinished", "never"], said.append)) == [
        "good"
    ]
    assert len(said) == 3
    assert store.sidecar("flipped") is None  # as if it had never been made


def test_rows_say_what_became_of_every_job(tmp_path, clip):
    store = Store(tmp_path)
    jobs = ("ok", "bad", "none", "unscored", "unseen", "damaged", "gone")
    store.save_manifest("r", {"jobs": [entry(job, job) for job in jobs]})
    for job in ("ok", "unscored", "unseen", "damaged", "gone"):
        pixels = store.save_clip(job, clip, {})["pixel_sha256"]
    for job in ("ok", "damaged", "gone"):
        store.save_score(f"{job}-x", pixels, {"miou": 0.5, "ap50": float("nan"), "nfe": 3}, {})
    store.video_path("damaged").write_bytes(b"scribble")
    store.video_path("gone").unlink()
    store.fail_score("unseen-x", pixels, "no such\nphrase", {})
    store.fail_score("ok-y", pixels, "these judges are another run's", {})
    store.fail("bad", "it\nbroke", {})
    rows, manifest = store.load_rows("r")
    assert manifest["run"] == "r"
    assert [(row["job"], row["metric"], row["value"], row["status"]) for row in rows] == [
        ("ok", "ap50", None, "undefined"),
        ("ok", "miou", 0.5, "ok"),
        ("ok", "nfe", 3, "ok"),
        ("bad", "failed", None, "failed: it broke"),
        ("none", "missing", None, "missing"),
        ("unscored", "missing", None, "missing"),
        ("unseen", "failed", None, "failed: no such phrase"),
        ("damaged", "missing", None, "missing"),
        ("gone", "missing", None, "missing"),
    ]
    assert store.score("unseen-x", pixels) is None and store.score_failure("ok-x", pixels) is None
    keys = {"job", "method", "label", "suite", "split", "case", "seed", "metric", "value", "status"}
    assert all(row.keys() == keys for row in rows)


def test_a_score_is_of_the_pixels_it_was_made_from(tmp_path, clip):
    store = Store(tmp_path)
    store.save_manifest("r", {"jobs": [entry("j"), entry("k")]})
    for job in ("j", "k"):
        pixels = store.save_clip(job, clip, {})["pixel_sha256"]
    store.save_score("j-x", pixels, {"miou": 0.9}, {})
    store.fail_score("k-x", pixels, "no such phrase", {})
    assert [row["status"] for row in store.load_rows("r")[0]] == ["ok", "failed: no such phrase"]
    for job in ("j", "k"):
        store.save_clip(job, clip * 0, {})
    assert [row["status"] for row in store.load_rows("r")[0]] == ["missing", "missing"]


def test_a_clip_clears_its_old_failure(tmp_path, clip):
    store = Store(tmp_path)
    store.fail("j", "once", {})
    assert store.failure("j") == "once"
    store.save_clip("j", clip, {})
    assert store.failure("j") is None


def test_cached_arrays_are_kept_apart_by_model_and_key(tmp_path):
    store = Store(tmp_path)
    store.save_arrays("owl/vit thr=.1", "k", {"boxes": np.array([[0.1, np.nan]])})
    assert store.arrays("owl/vit thr=.2", "k") is None and store.arrays("owl/vit thr=.1", "other") is None
    # Ids that only differ in what a file name cannot hold.
    assert store.arrays("owl vit thr=.1", "k") is None
    np.testing.assert_array_equal(store.arrays("owl/vit thr=.1", "k")["boxes"], [[0.1, np.nan]])


def test_what_was_there_and_is_gone_is_told(tmp_path):
    store = Store(tmp_path)
    store.save_arrays("m", "k", {"a": np.zeros(3)})
    assert store.kept_arrays("m", "k").keys() == {"a"}
    with pytest.raises(UserError, match="what was cached of other is gone; run the same again"):
        store.kept_arrays("m", "other")
    with pytest.raises(UserError, match="the clip of job j is gone; run the same again"):
        store.pixels("j")


@pytest.mark.parametrize("content", [b"", b"PK not a zip", None], ids=["empty", "broken", "pickle"])
def test_a_cache_file_that_cannot_be_read_is_no_cache(tmp_path, content):
    store = Store(tmp_path)
    store.save_arrays("m", "k", {"a": np.zeros(3)})
    (path,) = (tmp_path / "cache").rglob("*.npz")
    if content is None:
        np.savez(path, a=np.array([{}], dtype=object))
    else:
        path.write_bytes(content)
    assert store.arrays("m", "k") is None


def test_a_full_disk_leaves_the_old_file(tmp_path, clip, monkeypatch):
    store = Store(tmp_path)
    store.save_clip("j", clip, {"nfe": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save_clip("j", clip[:1], {"nfe": 2})
    assert store.sidecar("j")["nfe"] == 1 and np.array_equal(store.clip("j"), clip)
    assert not list(tmp_path.rglob("*.part"))


def test_runs_are_found_by_name(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(UserError, match="none yet"):
        store.manifest("table1")
    store.save_manifest("mine", {"jobs": []})
    for other in ("._mine", "mine (conflicted copy)"):  # left by an archive, by a drive that is shared
        (tmp_path / f"manifests/{other}.json").write_bytes(b"")
    assert store.runs() == ["mine"] and store.choose(None, "table1") == "mine"
    with pytest.raises(UserError, match=r"no run 'table1'.*mine"):
        store.manifest("table1")
    with pytest.raises(UserError, match="not allowed"):
        store.manifest("../mine")
    (tmp_path / "manifests/mine.json").write_text(json.dumps({})[:1])
    with pytest.raises(UserError, match="damaged"):
        store.manifest("mine")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"label": 3}, "label of job j is 3; run 'r' again"),
        ({"options": []}, "options of job j is .*; run 'r' again"),
        ({"label": None}, "label of job j is None"),
    ],
)
def test_a_manifest_with_fields_of_another_kind_is_told(tmp_path, change, told):
    store, job = Store(tmp_path), {"job": "j", "method": "plain", "label": "plain", "options": {}}
    store.save_manifest("r", {"jobs": [job | change]})
    with pytest.raises(UserError, match=told):
        store.manifest("r")


def test_a_manifest_that_lacks_what_a_table_reads_is_told(tmp_path):
    store = Store(tmp_path)
    store.save_manifest("r", {"jobs": [{"job": "j", "method": "plain"}]})
    with pytest.raises(UserError, match="job j has no label; run 'r' again"):
        store.load_rows("r")
    store.save_manifest("r", {"jobs": [], "own_metrics": [{}]})
    with pytest.raises(UserError, match="are no metrics; run 'r' again"):
        store.manifest("r")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"version": 1}', b'{"version": 1, "notes": null}', b"\xff"])
def test_an_index_of_another_layout_is_an_empty_one(tmp_path, body):
    (tmp_path / "index.json").write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert Store(tmp_path).index.get("clip x", [1]) is None
