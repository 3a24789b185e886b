"""Boxes drawn into pixels: where they are asked, sharp, seen on any ground, and in a copy."""

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.report.overlay import draw_boxes
from ivgbench.store.video import decode, encode

CYAN, MAGENTA = (0, 0xE5, 0xFF), (0xFF, 0x3D, 0xF2)


def where(picture, colour):
    """(first row, last row, first column, last column) of the pixels in a colour; None where there are none."""
    rows, columns = np.nonzero((picture == colour).all(-1))
    return (rows.min(), rows.max(), columns.min(), columns.max()) if len(rows) else None


@pytest.mark.parametrize("size", [(336, 560), (320, 576), (191, 321), (720, 1280)])
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_box_is_drawn_where_it_is_asked(size, shade):
    height, width = size
    video = np.full((2, *size, 3), shade, np.uint8)
    track = np.array([[0.25, 0.5, 0.75, 1.0], [np.nan] * 4])
    drawn = draw_boxes(video, [track])
    top, bottom, left, right = where(drawn[0], CYAN)
    assert abs(top - 0.5 * height) <= 1 and height - 1 - bottom <= 1
    assert abs(left - 0.25 * width) <= 1 and abs(right + 1 - 0.75 * width) <= 1
    inside = drawn[0, top + 12 : bottom - 12, left + 12 : right - 12]
    assert (inside == shade).all() and (drawn[0, : top - 2] == shade).all()
    # The line, its dark edge, and nothing else: no mixed colours.
    kinds = {tuple(pixel) for pixel in drawn[0].reshape(-1, 3)}
    assert kinds == {CYAN, (0, 0, 0), (shade,) * 3}
    assert np.array_equal(drawn[1], video[1]) and (video == shade).all()


def test_every_subject_has_a_colour_of_its_own():
    video = np.zeros((1, 320, 576, 3), np.uint8)
    drawn = draw_boxes(video, [np.array([[0.1, 0.1, 0.4, 0.4]]), np.array([[0.6, 0.6, 0.9, 0.9]])])
    assert where(drawn[0], CYAN)[3] < 576 / 2 < where(drawn[0], MAGENTA)[2]


def test_lines_keep_their_colour_in_h264():
    video = np.full((2, 336, 560, 3), 128, np.uint8)
    drawn = draw_boxes(video, [np.array([[0.101, 0.2, 0.4, 0.6]] * 2)])
    lines = (drawn == CYAN).all(-1)
    seen = decode(encode(drawn, lossless=False))[lines].astype(int)
    assert np.abs(seen - CYAN).mean() < 40  # smeared over 2x2 pixels it would be half the ground's


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (0.5, 0.5, 0.501, 0.501), (-0.5, -0.5, 0.2, 0.2), (1.5, 1.5, 2, 2)])
def test_boxes_of_any_size_are_drawn_or_cut(box):
    drawn = draw_boxes(np.full((1, 50, 70, 3), 9, np.uint8), [np.array([box], float)])
    assert (drawn == 9).all() == (box[0] > 1)


def test_boxes_for_other_frames_are_refused():
    with pytest.raises(UserError, match=r"need \[2,4\], got \[3, 4\]"):
        draw_boxes(np.zeros((2, 8, 8, 3), np.uint8), [np.zeros((3, 4))])
