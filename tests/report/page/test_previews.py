"""Previews: every frame of a clip, in its place."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from ivgbench.report.page import previews


def frames_of(video):
    place = previews.grid(video.shape)
    with Image.open(io.BytesIO(previews.picture(video))) as picture:
        whole = np.asarray(picture.convert("RGB"))
    assert whole.shape == (*place.size[::-1], 3)
    for number in range(place.frames):
        top, left = number // place.columns * place.height, number % place.columns * place.width
        yield whole[top : top + place.height, left : left + place.width]


@pytest.mark.parametrize("shape", [(8, 48, 80), (1, 20, 20), (24, 320, 576), (7, 1, 3), (5, 300, 2)])
def test_every_frame_is_in_its_place(shape):
    video = np.zeros((*shape, 3), np.uint8)
    for number, frame in enumerate(video):
        frame[:] = 9 * number
    for number, frame in enumerate(frames_of(video)):
        assert abs(frame.astype(int) - 9 * number).max() <= 4


def test_small_frames_keep_their_edges_and_large_ones_become_smaller():
    assert previews.grid((8, 48, 80))[1:3] == (160, 96)
    assert previews.grid((24, 320, 576))[1:3] == (346, 192)
    video = np.zeros((2, 48, 80, 3), np.uint8)
    video[:, 10:20, 30:50] = (250, 20, 20)
    frame = next(frames_of(video))
    assert frame[20:40, 60:100, 0].min() > 170 and frame[16:44, 102:].max() < 60


@pytest.mark.parametrize("shape", [(5000, 300, 400), (3, 1, 9000), (9000, 1, 1), (2, 20_000, 20_000), (81, 480, 832)])
def test_no_preview_is_larger_than_a_browser_holds(shape):
    place = previews.grid(shape)
    assert max(place.size) <= previews.LONGEST and math.prod(place.size) <= previews.MOST_PIXELS
    assert place.columns * -(-place.frames // place.columns) >= place.frames == shape[0]
    assert min(place.width, place.height) >= 1


def test_a_preview_that_was_cut_is_none(tmp_path):
    path = tmp_path / "clip.webp"
    path.write_bytes(previews.picture(np.zeros((2, 8, 8, 3), np.uint8)))
    assert previews.is_whole(path)
    for data in (path.read_bytes()[:-1], b"", b"new"):
        path.write_bytes(data)
        assert not previews.is_whole(path)
    assert not previews.is_whole(tmp_path / "none.webp")
