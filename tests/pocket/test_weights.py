"""The weights that ship: small, safe, and as good as their card says. Bars are below the card's numbers by sampling."""

import json

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from ivgbench.boxes import iou
from ivgbench.generator import Backbone, generate
from ivgbench.judges import video_encoders as video_features
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import PocketYolo
from ivgbench.pocket import WEIGHTS
from ivgbench.pocket.exams import judging, quality
from ivgbench.pocket.training import vae
from ivgbench.suites import load_suite
from ivgbench.world import reference, traps


@pytest.fixture(scope="module")
def held_out():
    return quality.held_out(128)


@pytest.fixture(scope="module")
def detector():
    return PocketYolo()


def test_the_weights_are_small_and_no_pickle_is_among_them():
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".txt", ".gz", ".md"}


def test_the_detector_finds_rendered_sprites(detector, held_out):
    assert quality.map50(detector, *held_out) >= 0.95


def test_map50_notices_a_detector_that_reads_only_colour(detector, held_out):
    frames, clips, picks = held_out
    shapes = {"circle": "square", "square": "triangle", "triangle": "star", "star": "ring", "ring": "circle"}
    swapped = [
        clip._replace(sprites=(clip.sprites[0]._replace(shape=shapes[clip.sprites[0].shape]),)) for clip in clips
    ]
    # Not 0: precision curves also count guesses far below the threshold.
    assert quality.map50(detector, frames, swapped, picks) < 0.3


def test_the_ground_truth_of_a_suite_is_found_where_it_was_asked(detector):
    scores = []
    for name in ("static", "dynamic"):
        for case in load_suite(name).cases[:6]:
            subject = case.subjects[0]
            found = detector.detect(reference.render_case(case, 0), subject.phrase).boxes
            scores.append(np.nan_to_num(iou(subject.boxes, found)).mean())
    assert np.mean(scores) >= 0.85


def test_two_subjects_come_through_the_autoencoder():
    # Each in its colour: an autoencoder that has seen one colour at a time draws the second as a shadow of the first.
    folder = WEIGHTS / "text-to-video" / "vae"
    autoencoder = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32).eval()
    frames, shown = quality.scenes(64, 2)
    assert quality.subjects_seen(frames, shown)["in its colour and shape"] >= 0.98
    assert quality.subjects_seen(vae.round_trip(autoencoder, frames), shown)["in its colour"] >= 0.9


def test_the_pocket_clip_picks_the_right_caption_among_64(held_out):
    frames, clips, _ = held_out
    assert quality.caption_accuracy(ClipModel.from_pretrained("pocket"), frames, clips) >= 0.9


@pytest.mark.parametrize("trap", ["blank", "wrong colour", "wrong shape"])
def test_the_detector_does_not_see_what_is_not_there(detector, trap):
    shown, phrases = zip(*traps.trap(trap, 100), strict=True)
    assert judging.false_alarms(detector, np.stack(shown), list(phrases)) <= 0.02


def test_the_pocket_clip_reads_every_word(held_out):
    frames, clips, _ = held_out
    judge = ClipModel.from_pretrained("pocket")
    for swap in ("colour", "shape"):
        assert judging.prefers_right(judge, frames, clips, swap) >= 0.92


def test_the_pocket_backbone_generates_what_its_preset_says():
    backbone = Backbone.from_pretrained("pocket")
    clip = generate(backbone, load_suite("static").cases[0], method="plain", steps=2)
    assert clip.video.shape == (backbone.frames, backbone.height, backbone.width, 3)
    assert clip.video.dtype == np.uint8 and clip.nfe == 2


def test_the_card_is_the_record_in_print():
    from ivgbench.pocket.exams.card_text import render

    record = json.loads((WEIGHTS / "card.json").read_text())
    assert (WEIGHTS / "MODEL_CARD.md").read_text() == render(record)


def test_the_video_encoder_tells_motion_and_shape():
    _, clips, _ = quality.held_out(64)
    videos = [clip.video for clip in clips]
    for what in ("motion", "shape"):
        assert quality.probe_accuracy(video_features.pocket(), videos, clips, what) >= 0.85, what
