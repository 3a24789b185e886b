"""What a judge is called is read from its files: as the loaded model is called, and without loading it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import plugin_package
import pytest
from fake_lab import Clip, Detector, Encoder, FakeLab, InlineEngine

from ivgbench import hub
from ivgbench.errors import UserError
from ivgbench.judges import base, ids, noted
from ivgbench.registry import DETECTORS
from ivgbench.runs import loading, runner
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

SPEC = RunSpec("r", (MethodSpec("plain"),), suites=("static",), cases=2, references=("suite",), reference_videos=4)


def test_the_pocket_judges_are_called_as_when_they_are_loaded_and_keep_to_the_interfaces():
    lab = Lab("cpu")
    detector, clip = lab.detector("pocket"), lab.clip("pocket")
    assert lab.detector_id("pocket") == detector.id and isinstance(detector, base.Detector)
    assert lab.clip_ids("pocket") == (clip.id, clip.squashed().id) and isinstance(clip, base.Clip)
    frames, videos = lab.frame_encoder("denoiser", "pocket"), lab.video_encoder("pocket")
    assert lab.frame_encoder_id("denoiser", "pocket") == frames.id and isinstance(frames, base.FrameEncoder)
    assert lab.frame_encoder_id("clip", "pocket") == clip.id
    assert lab.video_encoder_id("pocket") == videos.id and isinstance(videos, base.VideoEncoder)
    assert not hub.home().joinpath("judges.json").exists()  # files told everything


def test_no_model_library_is_imported_for_it():
    code = """import sys; from ivgbench.runs.lab import Lab; lab = Lab()
lab.detector_id("pocket"), lab.clip_ids("pocket"), lab.frame_encoder_id("denoiser", ""), lab.video_encoder_id("pocket")
print(*sorted({"torch", "open_clip", "ultralytics", "transformers"} & set(sys.modules)))"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""


def test_doubles_are_judges_too(tmp_path):
    assert isinstance(Detector(), base.Detector) and isinstance(Clip(), base.Clip)
    encoder = Encoder(tmp_path / "log", "e")
    assert isinstance(encoder, base.FrameEncoder) and isinstance(encoder, base.VideoEncoder)
    assert not isinstance(Clip(), base.Detector) and not isinstance(Detector(), base.FrameEncoder)


class Blind(FakeLab):
    """A lab whose judges cannot be loaded."""

    def detector(self, name):
        raise UserError("no weights of the detector")

    def clip(self, name):
        raise UserError("no weights of CLIP")

    def frame_encoder(self, name, clip):
        raise UserError("no weights of the encoder")

    video_encoder = detector


def test_a_finished_run_is_run_again_without_loading_anything(tmp_path):
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path / "runs")
    runner.run(make_plan(SPEC, lab), store, lab, InlineEngine())
    blind = Blind(tmp_path / "log")
    outcome = runner.run(make_plan(SPEC, blind), store, blind, InlineEngine(0))
    assert outcome[1:] == (2, 0, 0, 0)


def test_judges_that_cannot_be_loaded_are_told_before_any_clip_is_made(tmp_path):
    blind, store = Blind(tmp_path / "log"), Store(tmp_path / "runs")
    with pytest.raises(UserError, match="no weights of the detector"):
        runner.run(make_plan(SPEC, blind), store, blind, InlineEngine())
    assert blind.made() == [] and store.runs() == []


def test_files_that_are_missing_or_damaged_tell_nothing_and_loading_says_how(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(ids.POCKET_DETECTOR, folder)
    name = f"pocket:{folder}"
    assert ids.of_files("detector", name) == ids.pocket_yolo()
    (folder / "config.json").write_text("{")
    assert ids.of_files("detector", name) is None
    shutil.rmtree(folder)
    assert ids.of_files("detector", name) is None
    with pytest.raises(UserError, match="the detector is incomplete"):
        Lab("cpu").detector_id(name)
    for kind, other in (("clip", "ViT-B-16-quickgelu/openai"), ("detector", "owlvit"), ("video encoder", "vjepa:a,b"),
                        ("frame encoder", "denoiser:a,b"), ("detector", "nobody")):  # fmt: skip
        assert ids.of_files(kind, other) is None


def test_ids_of_files_have_the_form_of_the_loaded_models(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    told = ids.of_files("video encoder", f"vjepa:{tmp_path / 'a'},{tmp_path / 'b'}")
    assert told.startswith("vjepa-") and told.endswith("-16x224x224")
    assert ids.of_files("frame encoder", f"inception:{tmp_path / 'a'}") == "inception-ca978112ca1b"
    assert ids.of_files("clip", f"ViT-B-32/{tmp_path / 'a'}") == "clip-ViT-B-32-a-ca978112ca1b-crop"
    assert ids.squashed("clip-mine-crop-ca978112ca1b-crop") == "clip-mine-crop-ca978112ca1b-squash"


class Judge:
    """One of ours, by its module, whose id its files do not tell."""

    def __init__(self, id, files):
        self.id, self.files = id, files


Judge.__module__ = "ivgbench.judges.made_up"


def test_what_only_the_loaded_model_tells_is_noted(tmp_path):
    weights, loaded = tmp_path / "weights", []
    weights.write_bytes(b"some")

    def load():
        loaded.append(1)
        return Judge(f"judge-{len(loaded)}", (weights,))

    def ask(name="large"):
        return loading.id_of("detector", name, load)

    assert [ask(), ask()] == ["judge-1"] * 2
    assert ask("other") == "judge-2" and ask() == "judge-1"
    os.utime(weights, ns=(1, 1))
    assert [ask(), ask()] == ["judge-3"] * 2
    weights.write_bytes(b"other weights")
    assert ask() == "judge-4"
    weights.unlink()
    assert noted.recall("detector", "large") is None


def test_another_version_of_a_library_or_a_damaged_note_is_no_note(tmp_path, monkeypatch):
    weights = tmp_path / "weights"
    weights.write_bytes(b"some")
    noted.note("detector", "large", "judge-1", [weights])
    assert noted.recall("detector", "large") == "judge-1"
    place = Path(hub.home()) / "judges.json"
    kept = json.loads(place.read_text())
    (note,) = kept.values()
    others = (3, {**note, "files": 3}, {**note, "versions": {}}, {**note, "id": None})
    for damaged in ("", "[]", "{", *(json.dumps(dict.fromkeys(kept, other)) for other in others)):
        place.write_text(damaged)
        assert noted.recall("detector", "large") is None
    noted.note("detector", "large", "judge-2", [])
    assert noted.recall("detector", "large") is None  # without files nobody would know when it is out of date


@pytest.mark.parametrize("made", ["finder-1", "finder-2"])
def test_a_plugins_class_tells_its_id(tmp_path, monkeypatch, made):
    code = (
        "class Finder:\n    id = 'finder-1'\n"
        f"    def __init__(self, device): self.id = {made!r}\n"
        "    def detect(self, video, phrase): ...\n"
    )
    plugin_package.install(tmp_path, code, {"ivgbench.detectors": {"finder": "finder_of_ids:Finder"}}, "finder_of_ids")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(DETECTORS, "_found", None)
    lab = Lab("cpu")
    assert lab.detector_id("finder") == "finder-1"
    if made == "finder-1":
        assert lab.detector("finder").detect(np.zeros((1, 2, 2, 3)), "star") is None
    else:
        with pytest.raises(UserError, match="has the id 'finder-1', and what it makes 'finder-2': leave out"):
            lab.detector("finder")
    monkeypatch.setattr(DETECTORS, "_found", None)
    sys.modules.pop("finder_of_ids", None)
