"""Clips for people: any size can be shown; what is stored is exact."""

import numpy as np
import pytest

from ivgbench.store import video


def clip(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 1, 2), (2, 3, 5), (2, 49, 80), (2, 48, 81), (2, 999, 3), (2, 4, 8)])
def test_any_size_can_be_encoded(shape):
    made = clip(*shape)
    assert np.array_equal(video.decode(video.encode(made)), made)
    shown = video.decode(video.encode(made, lossless=False))
    assert shown.shape == (shape[0], shape[1] + shape[1] % 2, shape[2] + shape[2] % 2, 3)


def test_an_odd_side_gets_its_last_line_twice():
    made = np.zeros((2, 31, 33, 3), np.uint8)
    made[:, -1], made[:, :, -1] = 255, 255
    shown = video.decode(video.encode(made, lossless=False))
    assert shown.shape == (2, 32, 34, 3)
    assert shown[:, -2:].min() > 200 and shown[:, :, -2:].min() > 200 and shown[:, :-4, :-4].max() < 60


@pytest.mark.parametrize("shape", [(2, 7, 9), (2, 1, 1), (1, 1, 5000), (2, 49, 81)])
def test_clips_of_any_size_are_saved(tmp_path, shape):
    made = clip(*shape)
    video.save(tmp_path / "a.mp4", made)
    shown = video.decode(tmp_path / "a.mp4")
    assert len(shown) == len(made) and max(shown.shape[1:3]) <= max(video.LONGEST, *shape[1:3])
    video.save(tmp_path / "a.mkv", made)
    assert np.array_equal(video.decode(tmp_path / "a.mkv"), made)
