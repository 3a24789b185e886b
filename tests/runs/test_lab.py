"""The real models: what is refused before any of them is loaded, and encoders by the names that a spec has for them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ivgbench.cases import Case, Subject, Suite
from ivgbench.errors import UserError
from ivgbench.generator.backbones.presets import POCKET_FOLDER
from ivgbench.generator.backbones.sources import architecture
from ivgbench.generator.sampling import Sampling
from ivgbench.judges.frame_encoders import Denoiser
from ivgbench.registry import METHODS
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec


def late(phrase="red star"):
    """A suite of a case whose subject comes after what a text encoder reads."""
    track = np.tile([0.1, 0.1, 0.5, 0.6], (8, 1))
    good = Case("good", f"a {phrase} on grey", (Subject(phrase, track),))
    return Suite("mine", 8, (good, Case("late", f"{'grey ' * 90}{phrase}", (Subject(phrase, track),))))


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("method", METHODS.names())
def test_a_subject_that_is_never_read_is_refused_in_planning_by_what_needs_its_words(tmp_path, method, dry):
    late().save(tmp_path / "mine.jsonl")
    spec = RunSpec("mine", (MethodSpec(method),), suites=(str(tmp_path / "mine.jsonl"),), sampling=Sampling(2))
    if method == "ditraj":
        with pytest.raises(UserError, match="ditraj needs rotary positions"):
            make_plan(spec, Lab("cpu"), dry)
        return
    if method in ("plain", "freeinit"):  # which is around plain
        assert len(make_plan(spec, Lab("cpu"), dry).jobs) == 2
        return
    with pytest.raises(UserError, match=f"case late: {method}: .* 'red star' comes after them"):
        make_plan(spec, Lab("cpu"), dry)
    assert len(make_plan(replace(spec, cases=1), Lab("cpu"), dry).jobs) == 1


@pytest.mark.parametrize(("scheduler", "steps"), [("ddim", 1000), ("dpm", 999), ("checkpoint", 1000)])
def test_steps_that_a_scheduler_cannot_make_are_refused_in_planning(scheduler, steps):
    asked = Sampling(steps, scheduler=scheduler)
    spec = RunSpec("x", (MethodSpec("plain"),), suites=("pocket-static",), cases=1, sampling=asked)
    with pytest.raises(UserError, match=f"cannot make {steps} steps here"):
        make_plan(spec, Lab("cpu"))
    methods = MethodSpec("plain"), MethodSpec("tid", sampling=Sampling(steps))
    own = replace(spec, sampling=replace(asked, steps=4), methods=methods)
    with pytest.raises(UserError, match=f"cannot make {steps} steps here"):
        make_plan(own, Lab("cpu"))


def test_a_plan_without_the_backbones_files_is_not_checked():
    spec = RunSpec("x", (MethodSpec("tid"),), "zeroscope", suites=("scenes-static",), cases=1, sampling=Sampling(1000))
    Lab("cpu").check(spec, ())
    assert make_plan(spec, Lab("cpu"), dry=True).facts.weights == ""


def test_a_backbone_without_a_vae_makes_no_run(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(POCKET_FOLDER, folder, ignore=shutil.ignore_patterns("vae"))
    spec = RunSpec("mine", (MethodSpec("plain"),), backbone=str(folder), suites=("pocket-static",), cases=1)
    for dry in (False, True):
        with pytest.raises(UserError, match=r"mine: it has no vae/, .* add vae/config\.json"):
            make_plan(spec, Lab("cpu"), dry)
    with pytest.raises(UserError, match="it has no vae/"):
        architecture(str(folder))


def test_encoders_take_their_files_from_the_name(tmp_path):
    torch.manual_seed(0)
    save_file(Denoiser().state_dict(), tmp_path / "mine.safetensors")
    encoder = Lab("cpu").frame_encoder(f"denoiser:{tmp_path / 'mine.safetensors'}", "pocket")
    assert encoder.id.startswith("pocket-denoiser-")
    assert Lab("cpu").frame_encoder("clip", "pocket").id == Lab("cpu").clip("pocket").id


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vjepa", "write vjepa:ENCODER,PROBE"),
        ("vjepa:a,b,c", "write vjepa:ENCODER,PROBE"),
        ("vjepa:a,b", "there is no file a; fetch it"),
        ("v-jepa", "unknown video encoder 'v-jepa'; did you mean"),
    ],
)
def test_encoders_that_cannot_be_are_one_line(name, words):
    with pytest.raises(UserError, match=words) as refused:
        Lab("cpu").video_encoder(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(
    "field",
    [{"detector": "yolo-wrold"}, {"frame_encoders": ("clip", "denoisr")}, {"video_encoder": "pokcet:file"}],
)
def test_a_judge_that_is_none_is_refused_in_planning(field, dry):
    """Not when all clips are made."""
    spec = RunSpec("r", (MethodSpec("plain"),), suites=("static",), cases=1, references=("world",), **field)
    with pytest.raises(UserError, match=r"unknown (detector|frame encoder|video encoder) '[\w-]+'; did you mean"):
        make_plan(spec, Lab("cpu"), dry)
