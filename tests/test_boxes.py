"""Box arithmetic on values that can be checked by hand."""

import numpy as np
import pytest

from ivgbench import boxes
from ivgbench.errors import UserError

UNIT = np.array([0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([0.0, 0.0, 1.0, 1.0], 1.0),
        ([2.0, 0.0, 3.0, 1.0], 0.0),  # apart on x
        ([0.0, 2.0, 1.0, 3.0], 0.0),  # apart on y
        ([2.0, 2.0, 3.0, 3.0], 0.0),  # apart on both: a product of two negative sides must not count
        ([1.0, 0.0, 2.0, 1.0], 0.0),  # touching
        ([0.25, 0.25, 0.75, 0.75], 0.25),  # contained
        ([0.5, 0.0, 1.5, 1.0], 1 / 3),
        ([0.5, 0.5, 0.5, 0.5], 0.0),  # no area
        ([0.8, 0.8, 0.2, 0.2], 0.0),  # inside out
    ],
)
def test_iou_by_hand(other, expected):
    assert boxes.iou(UNIT, np.array(other)) == pytest.approx(expected)
    assert boxes.iou(np.array(other), UNIT) == pytest.approx(expected)


def test_iou_is_symmetric_and_in_range():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 2, (2, 500, 4))
    values = boxes.iou(a, b)
    np.testing.assert_allclose(values, boxes.iou(b, a))
    assert values.min() >= 0 and values.max() <= 1 and (values > 0).any()


def test_two_empty_boxes_have_iou_0():
    assert boxes.iou(np.zeros(4), np.zeros(4)) == 0


def test_interpolation_holds_the_ends_and_is_straight_between():
    track = boxes.interpolate({2: (0, 0, 0.2, 0.2), 4: (0.4, 0, 0.6, 0.2)}, 6)
    np.testing.assert_allclose(track[:, 0], [0, 0, 0, 0.2, 0.4, 0.4])
    assert boxes.interpolate({0: (0, 0, 1, 1)}, 3).tolist() == [[0, 0, 1, 1]] * 3


@pytest.mark.parametrize(
    ("keyframes", "words"), [({}, "at least one box"), ({8: UNIT}, "keyframe 8"), ({-1: UNIT}, "-1")]
)
def test_keyframes_must_be_in_the_clip(keyframes, words):
    with pytest.raises(UserError, match=words):
        boxes.interpolate(keyframes, 8)


def test_resampling_keeps_both_ends_and_the_path():
    track = boxes.interpolate({0: (0, 0, 0.5, 0.5), 15: (0.5, 0.25, 1, 0.75)}, 16)
    new = boxes.resample(track, 24)
    assert new.shape == (24, 4)
    np.testing.assert_allclose(new[[0, -1]], track[[0, -1]])
    np.testing.assert_allclose(new, boxes.interpolate({0: track[0], 23: track[-1]}, 24))
    np.testing.assert_array_equal(boxes.resample(track, 16), track)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([0.1, 0.1, 1.2, 0.5], "leaves the frame"),
        ([-0.1, 0.1, 0.2, 0.5], "leaves the frame"),
        ([0.5, 0.1, 0.5, 0.5], "empty"),
        ([0.5, 0.6, 0.7, 0.5], "empty"),
        ([0.5, np.nan, 0.7, 0.9], "not finite"),
    ],
)
def test_a_bad_box_is_named_with_its_frame(box, words):
    with pytest.raises(UserError, match=rf"here: box of frame 1.*{words}"):
        boxes.check(np.array([[0.1, 0.1, 0.5, 0.5], box]), "here")


def test_a_track_is_a_list_of_fours():
    with pytest.raises(UserError, match="here: boxes must be"):
        boxes.check([[0, 0, 1]], "here")


def test_rasterised_boxes_are_truncated_at_both_ends():
    # 0.3 x 20 = 6, 0.65 x 20 = 13; 0.25 x 12 = 3, 0.8 x 12 = 9.6 -> 9. Rows are y: the grid is not square.
    (mask,) = boxes.rasterise(np.array([[0.3, 0.25, 0.65, 0.8]]), 12, 20)
    expected = np.zeros((12, 20), bool)
    expected[3:9, 6:13] = True
    np.testing.assert_array_equal(mask, expected)
    assert boxes.rasterise(np.array([[0.51, 0.51, 0.54, 0.54]]), 12, 20).sum() == 0  # thinner than a cell
    assert boxes.rasterise(UNIT[None], 12, 20).all()
