import math

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import control

NAN = [math.nan] * 4
LEFT, RIGHT = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]


def score(asked, detected, variant="clean", size=(100, 100)):
    return control.score(np.array(asked, float), np.array(detected, float), variant, size)


def still(box, frames=4):
    return [box] * frames


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([0.2, 0.2, 0.6, 0.6], 1.0),
        ([0.4, 0.2, 0.8, 0.6], 1 / 3),  # half of each: .08 / (.16 + .16 - .08)
        ([0.6, 0.2, 1.0, 0.6], 0.0),  # touching along an edge
        ([0.6, 0.6, 1.0, 1.0], 0.0),  # touching in a corner
        ([0.7, 0.7, 0.9, 0.9], 0.0),  # apart on both axes: the product of two negative sides must not count
        ([0.3, 0.3, 0.5, 0.5], 0.25),  # inside: .04 / .16
        ([0.0, 0.0, 1.0, 1.0], 0.16),  # around
        ([0.3, 0.3, 0.3, 0.3], 0.0),  # a point
    ],
)
def test_clean_iou_by_hand(found, expected):
    got = score(still([0.2, 0.2, 0.6, 0.6]), still(found))
    assert got["miou"] == pytest.approx(expected, abs=1e-12)
    assert got["miou_det"] == pytest.approx(expected, abs=1e-12)
    assert got["miou_volume"] == pytest.approx(expected, abs=0.02)  # the same on a grid of 100 x 100 pixels


def test_missed_frames_count_as_zero_in_clean_miou():
    got = score(still(LEFT), [LEFT, NAN, LEFT, NAN])
    assert got["miou"] == pytest.approx(0.5)
    assert got["miou_det"] == pytest.approx(1.0)
    assert got["miou_volume"] == pytest.approx(0.5)
    assert (got["ap50"], got["ap50_strict"], got["n_detected"], got["n_frames"]) == (1.0, 0.5, 2, 4)


@pytest.mark.parametrize("variant", control.VARIANTS)
@pytest.mark.parametrize(
    ("detected", "frames", "covered"), [(4, 8, False), (5, 8, True), (3, 7, False), (4, 7, True), (0, 4, False)]
)
def test_exactly_half_is_not_covered(variant, detected, frames, covered):
    got = score(still(LEFT, frames), still(LEFT, detected) + still(NAN, frames - detected), variant)
    assert got["covered"] is covered
    assert got["n_detected"] == detected


def test_nothing_detected():
    got = score(still(LEFT), still(NAN))
    assert (got["covered"], got["miou"], got["miou_volume"], got["ap50_strict"], got["n_detected"]) == (
        False,
        0,
        0,
        0,
        0,
    )
    assert all(math.isnan(got[key]) for key in ("ap50", "miou_det", "centroid_distance"))


def test_iou_of_exactly_one_half_is_a_hit_only_in_the_clean_definition():
    whole = [0.0, 0.0, 1.0, 1.0]
    assert score(still(whole), still(LEFT))["ap50"] == 1.0
    assert score(still(whole), still(LEFT), "peekaboo")["ap50"] == 0.0  # 1e-5 in the union


def test_centroid_distance_is_in_diagonals_of_the_frame():
    # Centres 0.5 of the width apart: 40 pixels of 80, diagonal of 60 x 80 is 100.
    got = score(still(LEFT), still(RIGHT), size=(60, 80))
    assert got["centroid_distance"] == pytest.approx(0.4)
    # And a move down counts by height.
    got = score(still([0, 0, 1, 0.5]), still([0, 0.5, 1, 1]), size=(60, 80))
    assert got["centroid_distance"] == pytest.approx(0.3)


def test_frames_that_ask_for_nothing_are_left_out():
    asked = [LEFT, LEFT, [0.5, 0.5, 0.5, 0.5], [0.9, 0.2, 0.1, 0.4]]
    got = score(asked, [LEFT, NAN, RIGHT, RIGHT])
    only = score(asked[:2], [LEFT, NAN])
    assert got == only
    assert got["miou"] == pytest.approx(0.5)
    nothing = score(asked[2:], [RIGHT, RIGHT])
    assert not nothing["covered"]
    assert math.isnan(nothing["miou"])
    assert nothing["n_frames"] == 0


def test_volume_iou_weighs_big_frames_more():
    # Frame 0: 100 of 100 columns hit. Frame 1: asked 10 columns, found elsewhere, 10 columns.
    asked = [[0, 0, 1, 1], [0, 0, 0.1, 1]]
    found = [[0, 0, 1, 1], [0.9, 0, 1, 1]]
    got = score(asked, found)
    assert got["miou"] == pytest.approx(0.5)
    assert got["miou_volume"] == pytest.approx(100 / 120)


def test_volume_iou_truncates_corners_to_pixels():
    # 0.19 * 10 = 1.9 -> column 1, 0.59 * 10 = 5.9 -> column 5 (exclusive): 4 columns of 10 against 10.
    got = score([[0, 0, 1, 1]], [[0.19, 0, 0.59, 1]], size=(10, 10))
    assert got["miou_volume"] == pytest.approx(0.4, abs=1e-6)
    assert got["miou"] == pytest.approx(0.4, abs=1e-12)
    assert score([[0, 0, 1, 1]], [[0.19, 0, 0.6, 1]], size=(10, 10))["miou_volume"] == pytest.approx(0.5, abs=1e-6)


def test_peekaboo_charges_missed_frames_with_the_way_to_the_corner():
    asked = still([0.25, 0.25, 0.75, 0.75], 2)  # rows and columns 2..5 of 8: centre 3.5, 3.5
    got = score(asked, [asked[0], NAN], "peekaboo", size=(8, 8))
    assert got["centroid_distance"] == pytest.approx((0 + math.hypot(3.5, 3.5)) / 2 / math.hypot(320, 576))
    assert got["miou"] == got["miou_volume"] == pytest.approx(16 / (32 + 1e-5))
    assert got["ap50"] == 1.0


def test_peekaboo_centres_on_a_frame_that_is_not_square():
    # Rows 0..3 and columns 8..11 of 8 x 16, against rows 4..7 and columns 0..3: centres (1.5, 9.5) and (5.5, 1.5).
    got = score([[0.5, 0, 0.75, 0.5]], [[0, 0.5, 0.25, 1]], "peekaboo", size=(8, 16))
    assert got["centroid_distance"] == pytest.approx(math.hypot(4, 8) / math.hypot(320, 576))


def test_peekaboo_cuts_to_the_shorter_track_but_counts_detections_over_the_whole_clip():
    got = score(still(LEFT, 4), still(RIGHT, 2) + still(LEFT, 2) + still(NAN, 3), "peekaboo")
    assert (got["n_detected"], got["n_frames"], got["covered"]) == (4, 4, True)
    assert got["miou"] == pytest.approx(1 / 3, abs=1e-6)
    assert score(still(LEFT, 4), still(LEFT, 4) + still(NAN, 4), "peekaboo")["covered"] is False


def test_peekaboo_drops_clips_with_less_than_five_pixels_asked():
    assert math.isnan(score([[0, 0, 0.4, 0.1]], [LEFT], "peekaboo", size=(10, 10))["miou"])  # 4 pixels
    assert score([[0, 0, 0.5, 0.1]], [LEFT], "peekaboo", size=(10, 10))["miou"] == pytest.approx(5 / 50, abs=1e-6)


def test_peekaboo_leaves_detections_thinner_than_a_pixel_out_of_ap50_but_counts_them():
    got = score(still(LEFT, 2), [LEFT, [0.31, 0.31, 0.33, 0.33]], "peekaboo", size=(10, 10))
    assert (got["ap50"], got["n_detected"]) == (1.0, 2)


def test_trailblazer_gives_boxes_apart_on_both_axes_an_overlap():
    corner = [0.0, 0.0, 0.1, 0.1]
    assert score([corner], [[0.2, 0.2, 0.3, 0.3]], "trailblazer")["miou"] == pytest.approx(1.0)
    # Further apart the "union" is negative and the result is put to 0.
    assert score([corner], [[0.6, 0.6, 0.7, 0.7]], "trailblazer")["miou"] == 0.0
    # Apart on one axis: negative, put to 0.
    assert score([corner], [[0.2, 0.0, 0.3, 0.1]], "trailblazer")["miou"] == 0.0
    # Touching or overlapping boxes are as they should be.
    assert score([LEFT], [[0.25, 0, 0.75, 1]], "trailblazer")["miou"] == pytest.approx(1 / 3)


def test_trailblazer_averages_over_detected_frames_and_counts_a_clip_without_any_as_zero():
    assert score(still(LEFT), [LEFT, NAN, NAN, NAN], "trailblazer")["miou"] == pytest.approx(1.0)
    assert score(still(LEFT), still(NAN), "trailblazer")["miou"] == 0.0


def test_ranges_and_symmetry_on_random_boxes():
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b = np.sort(rng.random((2, 6, 2, 2)), axis=2).reshape(2, 6, 4)
        b[rng.random(6) < 0.3] = np.nan
        for variant in ("clean", "peekaboo"):
            got = score(a, b, variant, size=(24, 40))
            for key in ("miou", "miou_det", "miou_volume", "ap50", "ap50_strict", "centroid_distance"):
                assert math.isnan(got[key]) or 0 <= got[key] <= 1, (variant, key)
        whole = a[::-1]
        assert score(a, whole)["miou"] == pytest.approx(score(whole, a)["miou"])
        assert score(a, a)["miou"] == pytest.approx(1)


def test_moving_both_tracks_together_changes_nothing():
    rng = np.random.default_rng(1)
    a, b = np.sort(rng.random((2, 6, 2, 2)) / 2, axis=2).reshape(2, 6, 4)
    before, after = score(a, b), score(a + 0.5, b + 0.5)
    assert before["miou"] == pytest.approx(after["miou"])
    assert before["centroid_distance"] == pytest.approx(after["centroid_distance"])


@pytest.mark.parametrize(
    ("asked", "detected", "variant", "size", "word"),
    [
        (still(LEFT, 4), still(LEFT, 5), "clean", (8, 8), "5 frames"),
        (still(LEFT, 4), still(LEFT, 3), "trailblazer", (8, 8), "3 frames"),
        ([[0, 0, 1]], [LEFT], "clean", (8, 8), "shape"),
        (np.zeros((0, 4)), np.zeros((0, 4)), "clean", (8, 8), "F >= 1"),
        ([NAN], [LEFT], "clean", (8, 8), "asked box of frame 0"),
        ([LEFT, LEFT], [LEFT, [0, 0, math.nan, 1]], "clean", (8, 8), "detected box of frame 1"),
        ([LEFT], [LEFT], "official", (8, 8), "unknown variant"),
        ([LEFT], [LEFT], "clean", (0, 8), "size"),
    ],
)
def test_wrong_input_is_refused(asked, detected, variant, size, word):
    with pytest.raises(UserError, match=word):
        score(asked, detected, variant, size)
