"""The world is exact where it says so: boxes, captions, independence of its streams."""

import itertools

import numpy as np
import pytest

from ivgbench import load_suite, world
from ivgbench.boxes import check
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.store.video import pixel_sha256
from ivgbench.world import drawing, reference


def test_the_pixels_are_those_of_the_worlds_version():
    # These literals must not be changed. When a scene's pixels have to change, raise WORLD_VERSION and add a line.
    pinned = {1: ["6f4343495d620f6d", "3af58e45365824e4", "b945e28b34048760", "e10993771e7692ac", "8e739a89147acdf2"]}
    drawn = [world.sample_clip(*one).video for one in (("report", 0), ("reference", 1), ("held-out", 2))]
    drawn += [reference.render_case(load_suite(split).cases[0], 0) for split in ("static", "dynamic")]
    assert [pixel_sha256(video)[:16] for video in drawn] == pinned[world.WORLD_VERSION]


def box(x0, y0, x1, y1, frames=2):
    return np.tile(np.array([x0, y0, x1, y1], float), (frames, 1))


@pytest.mark.parametrize("shape", world.SHAPES)
def test_a_shape_touches_all_four_sides_of_its_box_and_nothing_outside(shape):
    # The frame is not square, so swapped axes would show; 10 to 60 % of 80 px, 25 to 75 % of 48 px.
    alpha = world.sprite_alpha(shape, box(0.1, 0.25, 0.6, 0.75))[0]
    rows, columns = np.flatnonzero(alpha.max(1) > 0), np.flatnonzero(alpha.max(0) > 0)
    assert (rows[0], rows[-1]) == (12, 35)
    assert (columns[0], columns[-1]) == (8, 47)


def test_a_square_covers_its_box_in_full_and_a_ring_has_a_hole():
    assert world.sprite_alpha("square", box(0.1, 0.25, 0.6, 0.75)).sum() == 2 * 40 * 24
    assert world.sprite_alpha("ring", box(0.1, 0.25, 0.6, 0.75))[0, 24, 28] == 0
    assert world.sprite_alpha("circle", box(0.1, 0.25, 0.6, 0.75))[0].sum() == pytest.approx(
        np.pi / 4 * 40 * 24, rel=0.01
    )


def test_shapes_differ_from_each_other_inside_one_box():
    drawn = {shape: world.sprite_alpha(shape, box(0.2, 0.2, 0.6, 0.7))[0] for shape in world.SHAPES}
    for one, other in itertools.combinations(world.SHAPES, 2):
        assert np.abs(drawn[one] - drawn[other]).sum() > 0.1 * drawn["square"].sum(), (one, other)


def test_captions_are_read_back():
    for text in world.all_captions():
        pairs, background = world.parse_caption(text)
        assert world.caption([" ".join(pair) for pair in pairs], background) == text
    two = world.caption(["red star", "orange ring"], "teal")
    assert two == "a red star and an orange ring on a teal background"
    assert world.parse_caption(two) == ([("red", "star"), ("orange", "ring")], "teal")


@pytest.mark.parametrize("text", ["", "a cat on a grey background", "a red star", "a red star on a plaid background"])
def test_other_sentences_are_refused(text):
    with pytest.raises(ValueError, match="not a sentence"):
        world.parse_caption(text)


def test_a_clip_is_a_function_of_split_and_index():
    first, again = world.sample_clip("report", 5), world.sample_clip("report", 5)
    assert (first.video == again.video).all() and first.caption == again.caption
    assert first.video.shape == (world.FRAMES, world.HEIGHT, world.WIDTH, 3)
    assert not (first.video == world.sample_clip("tuning", 5).video).all()
    assert (world.sample_clip("report", 5, only=3).video[0] == first.video[3]).all()
    assert len(set(world.SPLIT_SEEDS.values())) == len(world.SPLIT_SEEDS)


def test_tracks_stay_in_the_frame_and_some_stand_still():
    tracks = [world.random_track(np.random.default_rng(seed)) for seed in range(200)]
    for track in tracks:
        check(track, "track")
    still = np.mean([np.ptp(track, axis=0).max() < 1e-12 for track in tracks])
    assert 0.3 < still < 0.5


def test_content_does_not_depend_on_place():
    clips = [world.sample_clip("held-out", index, only=0) for index in range(1500)]
    left = np.array([clip.sprites[0].boxes[0, 0] for clip in clips])
    for colour in world.COLOURS:
        mine = left[[clip.sprites[0].colour == colour for clip in clips]]
        # Four standard errors of the mean of that many draws: there are eight colours to be unlucky with.
        assert abs(mine.mean() - left.mean()) < 4 * left.std() / np.sqrt(len(mine))


def test_ground_truth_puts_the_asked_colour_in_the_asked_box():
    case = Case("c", "a red square on a teal background", (Subject("red square", box(0.5, 0.25, 0.75, 0.75, 8)),))
    video = reference.render_case(case, seed=0).astype(int)
    inside = video[:, 12:36, 40:60].reshape(-1, 3).mean(0)
    assert np.abs(inside - world.COLOURS["red"]).max() <= drawing.COLOUR_JITTER + 1
    assert (reference.render_case(case, seed=1) != video).any(), "the seed draws another texture"
    with pytest.raises(UserError, match="no boxes for 'red square'"):
        reference.render_case(Case("c", case.prompt, (Subject("teal", box(0.1, 0.1, 0.3, 0.3, 8)),)), 0)
