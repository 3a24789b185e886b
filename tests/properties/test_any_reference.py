"""References of any kind: every file of a folder is a video, a copy, or named; statistics are sound or refused."""

import io

import numpy as np
import pytest
from damage import damaged
from fake_lab import FakeLab, InlineEngine
from generated import answer, holds_for
from hypothesis import strategies as st
from test_any_video import KINDS, files  # noqa: F401, a fixture

from ivgbench.metrics.fid import against
from ivgbench.runs import reference_folders, reference_statistics
from ivgbench.store.runs import Store

WIDTH = 4
kinds = st.sampled_from([kind[:2] for kind in KINDS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("references")


@holds_for(st.lists(st.tuples(kinds, st.booleans(), st.data()), max_size=4), dear=4)
def test_every_file_of_a_folder_is_accounted_for(files, folder, made):  # noqa: F811
    place, store = folder / "videos", Store(folder / "store")
    place.mkdir(exist_ok=True)
    for path in place.iterdir():
        path.unlink()
    for number, (kind, whole, data) in enumerate(made):
        content = files[kind] if whole else data.draw(damaged(files[kind]))
        (place / f"{number}.{kind[0]}").write_bytes(content)
    found = reference_folders.find(place, range, 9, store, FakeLab(folder / "log"), InlineEngine())
    assert len(found.videos) + len(found.unreadable) + len(found.copies) == len(made)
    assert all(reason and len(reason.splitlines()) == 1 for reason in found.unreadable.values())
    assert len({one.key for one in found.videos}) == len(found.videos)
    assert all(one.load().ndim == 4 for one in found.videos)


def moments(seed: int = 0) -> dict[str, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(20, WIDTH))
    return {"mean": x.mean(0), "covariance": np.cov(x, rowvar=False), "count": np.array(20), "encoder": np.array("e-1")}


def as_npz(arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@st.composite
def other_moments(draw):
    """Statistics in which one or two arrays are other ones."""
    arrays = moments(draw(st.integers(0, 9)))
    for name in draw(st.lists(st.sampled_from(sorted(arrays)), max_size=2, unique=True)):
        kind = draw(st.sampled_from(["gone", "number", "sign", "shape", "dtype", "scale", "renamed"]))
        array = arrays.pop(name)
        if kind == "renamed":
            arrays[draw(st.sampled_from(["mu", "sigma", "n", "extractor", "x"]))] = array
        elif kind == "shape":
            arrays[name] = array.reshape(draw(st.sampled_from([(1, *array.shape), (-1,), (*array.shape, 1)])))
        elif kind == "dtype":
            arrays[name] = array.astype(draw(st.sampled_from(["U8", "S8", "bool" if name != "encoder" else "U3"])))
        elif kind == "number" and array.dtype.kind in "fi":
            array = np.array(array, dtype=np.float64)
            array.flat[0] = draw(st.floats())
            arrays[name] = array
        elif kind == "scale" and array.dtype.kind in "fi":
            with np.errstate(all="ignore"):
                arrays[name] = array * 10.0 ** draw(st.integers(-300, 300))
        elif kind == "sign" and array.dtype.kind in "fi":
            arrays[name] = -array
    return as_npz(arrays)


@holds_for(st.one_of(other_moments(), damaged(as_npz(moments())), st.binary(max_size=40)), st.integers(0, 99))
def test_statistics_are_sound_or_refused(folder, data, seed):
    path = folder / "statistics.npz"
    path.write_bytes(data)
    told = answer(reference_statistics.load, path)
    if told is not None:
        assert told.frames >= 2 and told.encoder and len(told.key) == 64
        x = np.random.default_rng(seed).normal(size=(9, WIDTH))
        value = answer(against, x, told.gaussian)
        assert value is None or (np.isfinite(value) and value >= 0)
