"""The exams themselves, sat by pictures whose right answers are known."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from ivgbench import world
from ivgbench.boxes import iou
from ivgbench.generator.backbones import presets
from ivgbench.pocket import exam
from ivgbench.pocket.exams import bars, base_model, judging, samples
from ivgbench.world import segmentation, traps


def frames(count, split="held-out"):
    clips = [world.sample_clip(split, index, only=index % world.FRAMES) for index in range(count)]
    return [(clip.video[0], clip) for clip in clips]


def test_segmentation_reads_rendered_frames():
    overlaps = []
    for frame, clip in frames(60):
        found = segmentation.find(frame)[0]
        assert (found.colour, found.shape) == (clip.sprites[0].colour, clip.sprites[0].shape)
        assert segmentation.background_of(frame) == clip.background
        overlaps.append(iou(found.box[None], clip.sprites[0].boxes)[0])
    assert np.mean(overlaps) > 0.9


def test_segmentation_finds_both_of_two_and_nothing_on_an_empty_ground():
    for index in range(20):
        clip = world.sample_scene("held-out", index, second=1.0)
        seen = {(found.colour, found.shape) for found in segmentation.find(clip.video[0])}
        assert {(sprite.colour, sprite.shape) for sprite in clip.sprites} <= seen
        empty, _ = traps.blank(np.random.default_rng(index))
        assert segmentation.find(empty) == []


def test_scenes_have_two_subjects_at_the_asked_rate_and_they_hardly_overlap():
    clips = [world.sample_scene("tuning", index) for index in range(200)]
    assert 0.4 < np.mean([len(clip.sprites) == 2 for clip in clips]) < 0.6
    for clip in clips:
        pairs, ground = world.parse_caption(clip.caption)
        assert pairs == [(sprite.colour, sprite.shape) for sprite in clip.sprites] and ground == clip.background
        if len(clip.sprites) == 2:
            assert world.overlap(clip.sprites[0].boxes, clip.sprites[1].boxes) < world.MAX_OVERLAP


def test_overlap_is_a_share_of_the_smaller_box():
    large, small = np.array([[0, 0, 0.8, 0.5]]), np.array([[0.6, 0.25, 1.0, 0.75]])
    assert world.overlap(large, small) == pytest.approx(0.25)
    assert world.overlap(small, large) == pytest.approx(0.25)
    assert world.overlap(large, small + np.array([0.5, 0, 0.5, 0])) == 0


@pytest.mark.parametrize("name", ["wrong colour", "wrong shape", "both words apart", "duplicates"])
def test_a_trap_never_shows_what_it_asks_for(name):
    for frame, phrase in traps.trap(name, 12):
        seen = {f"{found.colour} {found.shape}" for found in segmentation.find(frame)}
        assert phrase not in seen and seen


def test_a_judge_that_claims_everything_is_caught():
    class Yes:
        def detect(self, video, phrase):
            from ivgbench.judges.detectors import Detections

            return Detections(np.tile([0.0, 0.0, 1.0, 1.0], (len(video), 1)), np.ones(len(video)))

    shown, phrases = zip(*traps.trap("blank", 5), strict=True)
    assert judging.false_alarms(Yes(), np.stack(shown), list(phrases)) == 1


def test_rendered_clips_pass_the_exam_and_swapped_ones_fail():
    clips = [samples.truth(index, 1) for index in range(6)]
    videos = np.stack([clip.video for clip in clips])
    assert set(base_model.words_right(videos, clips).values()) == {1.0}
    wrong = [clip._replace(sprites=(clip.sprites[0]._replace(colour="none"),)) for clip in clips]
    assert base_model.words_right(videos, wrong)["colour"] == 0


def test_motion_is_measured_in_pixels_per_frame():
    steps = np.arange(4)[:, None] * [0.1, 0.0, 0.1, 0.0]
    speed, turn = base_model.motion([np.array([0.1, 0.1, 0.3, 0.3]) + steps])
    assert speed == pytest.approx(0.1 * world.WIDTH) and turn == pytest.approx(0)
    gap = np.array([0.1, 0.1, 0.3, 0.3]) + np.arange(6)[:, None] * [0.1, 0.0, 0.1, 0.0]
    gap[1] = np.nan
    assert base_model.motion([gap])[0] == pytest.approx(0.1 * world.WIDTH)


def test_agreement_counts_only_frames_in_which_both_see_something():
    box = np.array([0.1, 0.1, 0.5, 0.5])
    seen = [segmentation.Found("red", "star", box, 50, 1.0), None, segmentation.Found("red", "star", box, 50, 1.0)]
    assert base_model.agreement(np.array([box, box, [np.nan] * 4]), seen) == [1.0]


def mean_colour(shown):
    return shown.mean((1, 2))


def test_frames_of_the_world_are_at_the_distance_of_the_world_to_itself():
    videos = np.stack([world.sample_clip("report", index).video for index in range(40)])
    near = base_model.distance(videos, mean_colour)
    far = base_model.distance(255 - videos, mean_colour)
    assert near["FID"] < 500 < far["FID"] and near["KID"] < far["KID"]


@pytest.mark.parametrize("name", ["pocket", "pocket-dit"])
def test_the_whole_exam_is_sat_on_a_folder_and_written_down(name, dit_folder, tmp_path, monkeypatch):
    def drawn(backbone, cases, method, seeds):
        assert (backbone.name, backbone.flow, method) == (name, name == "pocket-dit", "plain")
        assert (backbone.default_steps, backbone.frames, backbone.height) == (20, 8, 48)
        return [SimpleNamespace(pixels=samples.truth(int(case.id), len(case.subjects)).video) for case in cases]

    folder = tmp_path / "own"
    shutil.copytree(dit_folder if name == "pocket-dit" else presets.POCKETS[name], folder)
    monkeypatch.setattr(samples, "generate_batch", drawn)
    monkeypatch.setattr(exam.speed, "__defaults__", (1, 1))
    given = ["--backbone", name, "--clips", "4", "--pairs", "4", "--work", tmp_path, "--weights", folder]
    monkeypatch.setattr("sys.argv", ["exam", *map(str, given), "--sheets", str(tmp_path), "--device", "cpu"])
    exam.main()
    told = json.loads((samples.exam_folder(tmp_path, name, folder) / "exam.json").read_text())
    assert told["two subjects"]["both covered"] == told["one subject"]["coverage"] == 1
    assert told["one subject"]["clips"] == told[bars.PART]["clips"] == 4
    assert (tmp_path / f"{name}-pairs.png").is_file() and (tmp_path / f"{name}-plain.png").is_file()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--backbone", "pocket-dit"], "no weights here; train them: python -m ivgbench.pocket.train dit"),
        (["--weights", "DIT"], "family wan; the backbone 'pocket' is of unet3d"),
        (["--weights", "none-here"], "neither a folder"),
    ],
)
def test_what_cannot_sit_the_exam_is_told_in_a_line(given, told, dit_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(presets.POCKETS, "pocket-dit", tmp_path / "dit")
    given = [str(dit_folder) if one == "DIT" else one for one in given]
    monkeypatch.setattr("sys.argv", ["exam", *given, "--work", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        exam.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and told in said and said.count("\n") == 1
