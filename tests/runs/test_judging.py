"""Who judges a run whose spec does not say; and what is refused before any work."""

import pytest
from fake_lab import FakeLab

from ivgbench.errors import UserError
from ivgbench.runs.external import import_videos
from ivgbench.runs.judging import with_judges
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store
from ivgbench.suites import load_suite

PLAIN = (MethodSpec("plain"),)
FIELDS = ("detector", "clip", "frame_encoders", "video_encoder")
POCKET = ("pocket", "pocket", ("clip", "denoiser"), "pocket")
PUBLISHED = ("owlvit", "ViT-B-16-quickgelu/openai", ("inception",), None)


def judges(suite, **changes):
    spec = with_judges(RunSpec("r", PLAIN, **changes), [load_suite(suite)])
    return tuple(getattr(spec, name) for name in FIELDS)


@pytest.mark.parametrize(
    ("backbone", "suite", "expected"),
    [
        ("pocket", "static", POCKET),
        ("zeroscope", "scenes-static", PUBLISHED),
        # Another pocket lab's folder, or a system that was given the pocket world's sentences.
        ("mine", "pocket-dynamic", POCKET),
        ("external", "scenes-dynamic", PUBLISHED),
    ],
)
def test_the_judges_are_those_that_know_the_subjects(backbone, suite, expected):
    assert judges(suite, backbone=backbone) == expected


def test_what_a_spec_says_stays():
    said = {"detector": "yolo-world", "clip": "ViT-L-14/openai", "frame_encoders": ("denoiser",), "video_encoder": "v"}
    assert judges("static", **said) == tuple(said.values())
    assert judges("scenes-static", backbone="zeroscope", clip="pocket") == ("owlvit", "pocket", ("inception",), None)


def test_a_subject_that_the_pocket_detector_does_not_know_is_refused():
    with pytest.raises(UserError, match=r"case scenes-static-.*: the pocket detector does not know '"):
        judges("scenes-static")
    with pytest.raises(UserError, match="does not know"):
        judges("scenes-static", backbone="zeroscope", detector="pocket")


def test_the_pocket_world_and_its_detector_know_the_same_phrases():
    from ivgbench.judges.detectors import PocketYolo
    from ivgbench.world import COLOURS, SHAPES

    assert sorted(PocketYolo().names) == sorted(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)


def test_references_need_no_encoder_of_videos():
    assert judges("scenes-static", backbone="zeroscope", references=("world",)) == PUBLISHED


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"references": ("nowhere",)}, "--reference nowhere: no such folder"), ({"references": ("one",)}, "1 videos in")],
)
def test_a_reference_that_is_not_there_is_refused_before_any_work(tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match=words):
        make_plan(RunSpec("r", PLAIN, **changes), FakeLab(tmp_path / "log"))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "pocket-static-00.mkv").write_bytes(b"x")
    with pytest.raises(UserError, match=words):
        import_videos(theirs, load_suite("static"), "theirs", Store(tmp_path / "runs"), **changes)
    assert not (tmp_path / "runs").exists()


def test_a_suite_without_cases_is_refused(tmp_path):
    suite = load_suite("static")
    type(suite)("none", 8, ()).save(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="the suite 'none' has no cases"):
        make_plan(RunSpec("r", PLAIN, suites=(str(tmp_path / "none.jsonl"),)), FakeLab(tmp_path / "log"))
