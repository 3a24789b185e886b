"""What is made worse is made worse as said, and the encoders that judge notice."""

import numpy as np
import pytest

from ivgbench import world
from ivgbench.judges import frame_encoders as frame_features
from ivgbench.judges import video_encoders as video_features
from ivgbench.judges.clip import ClipModel
from ivgbench.pocket.exams import degraded
from ivgbench.pocket.exams.judges import DEGRADED


@pytest.fixture(scope="module")
def scene():
    return degraded.scenes(1, 5)[0]


def test_a_scene_without_its_sprite_differs_inside_the_box_alone(scene):
    differs = (scene.whole != scene.empty).any(-1)
    for frame, (x0, y0, x1, y1) in enumerate(scene.track):
        rows, columns = np.nonzero(differs[frame])
        assert len(rows) > 20
        assert x0 * world.WIDTH - 1 <= columns.min() and columns.max() <= x1 * world.WIDTH
        assert y0 * world.HEIGHT - 1 <= rows.min() and rows.max() <= y1 * world.HEIGHT


def test_every_strength_is_worse_than_the_one_before(scene):
    rng = np.random.default_rng(0)
    for name, degrade in degraded.OF_FRAMES.items():
        errors = [np.abs(degrade(scene, s, rng).astype(float) - scene.whole).mean() for s in range(1, 5)]
        assert errors[0] > 0 and np.all(np.diff(errors) > 0), name


def test_half_of_the_sprite_is_gone_in_as_many_frames_as_said(scene):
    for strength in range(1, 5):
        clip = degraded.erased(scene, strength, np.random.default_rng(0))
        hit = [frame for frame in range(world.FRAMES) if (clip[frame] != scene.whole[frame]).any()]
        assert len(hit) == 2 * strength
        for frame in hit:
            middle = int((scene.track[frame, 0] + scene.track[frame, 2]) / 2 * world.WIDTH)
            assert np.array_equal(clip[frame, :, :middle], scene.empty[frame, :, :middle])
            assert np.array_equal(clip[frame, :, middle + 1 :], scene.whole[frame, :, middle + 1 :])


def test_motion_stops_and_frames_change_their_order_and_nothing_else(scene):
    for strength in range(1, 5):
        clip = degraded.frozen(scene, strength, np.random.default_rng(0))
        last = world.FRAMES - 2 * strength
        assert np.array_equal(clip[:last], scene.whole[:last]) and (clip[last:] == scene.whole[last]).all()
        mixed = degraded.shuffled(scene, strength, np.random.default_rng(0))
        assert np.array_equal(mixed[2 * strength :], scene.whole[2 * strength :])
        assert sorted(frame.tobytes() for frame in mixed) == sorted(frame.tobytes() for frame in scene.whole)


def rises(values):
    return bool(np.all(np.diff(values) > 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder", [lambda: ClipModel.from_pretrained("pocket"), frame_features.denoiser], ids=["clip", "denoiser"]
)
def test_fid_and_kid_rise_with_every_strength(encoder):
    for name, values in degraded.of_frames(encoder().embed_video, DEGRADED).items():
        assert rises(values), f"{name}: {values}"


@pytest.mark.slow
def test_jedi_rises_with_every_strength_and_sees_the_order_of_frames():
    facts = degraded.of_clips(video_features.pocket().embed_clip, 128)
    for name, values in facts.items():
        assert values[1] > 0.9 * values[0] and values[-1] > 2 * values[0], f"{name}: {values}"
        assert rises(values[1:]) or name == "JEDi, frames shuffled", f"{name}: {values}"
