"""Every file says whose it is: whole and unharmed, but another's, it is not taken. And what a full disk tells."""

import errno

import numpy as np
import pytest

from ivgbench import files
from ivgbench.engines.local import failure_of
from ivgbench.store.records import Damaged
from ivgbench.store.runs import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def swap(one, other):
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def test_a_clip_is_its_own_jobs(store):
    rng = np.random.default_rng(0)
    for job in "ab":
        store.save_clip(job, rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8), {})
    swap(store.root / "jobs" / "a", store.root / "jobs" / "b")
    with pytest.raises(Damaged, match="another job"):
        store.sidecar("a")
    assert Store(store.root).intact("b") is None


def test_cached_arrays_are_of_their_model_and_key(store):
    for model, key in (("m", "a"), ("m", "b"), ("n", "a")):
        store.save_arrays(model, key, {"x": np.full(2, len(model + key))})
    swap(store._cache_path("m", "a"), store._cache_path("m", "b"))
    assert store.arrays("m", "a") is None and store.arrays("m", "b") is None
    store.save_arrays("m", "a", {"x": np.ones(2)})
    swap(store._cache_path("m", "a"), store._cache_path("n", "a"))
    assert store.arrays("m", "a") is None and store.arrays("n", "a") is None


def test_cached_arrays_of_before_are_read(store):
    path = store._cache_path("m", "a")
    path.parent.mkdir(parents=True)
    np.savez(path, x=np.arange(3))
    assert store.arrays("m", "a")["x"].tolist() == [0, 1, 2]


def test_a_score_is_of_its_judges(store):
    for score in ("j-1", "j-2"):
        store.save_score(score, "pixels", {"miou": 0.5}, {})
    swap(store._score_path("j-1"), store._score_path("j-2"))
    assert store.score("j-1", "pixels") is None and store.score("j-2", "pixels") is None


def test_every_turned_bit_of_a_cached_file_is_found(store):
    store.save_arrays("m", "a", {"boxes": np.arange(8.0).reshape(2, 4), "scores": np.ones(2)})
    path = store._cache_path("m", "a")
    data = path.read_bytes()
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        found = store.arrays("m", "a")
        if found is not None:  # a bit that says nothing, such as one of the time that all archives have
            assert found["boxes"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]] and found["scores"].tolist() == [1, 1]
            assert found.keys() == {"boxes", "scores"}


def test_an_index_that_cannot_be_written_costs_nothing(store, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    store.index.put("a", [1, 2], "note")
    monkeypatch.setattr("ivgbench.store.index.write_atomic", full)
    store.index.save()
    assert store.index.get("a", [1, 2]) == "note"
    monkeypatch.undo()
    store.index.save()
    assert Store(store.root).index.get("a", [1, 2]) == "note"


def test_a_full_disk_tells_what_was_to_be_written_and_what_is_free(tmp_path):
    def fill(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "jobs" / "a" / "video.mkv"
    with pytest.raises(OSError, match="No space") as fault:
        files.write_atomic(path, fill)
    assert fault.value.filename == str(path) and list(path.parent.iterdir()) == []
    failure = failure_of(fault.value)
    assert failure.kind == "disk" and failure.reason.startswith(f"{path}: ") and "MB free" in failure.reason
