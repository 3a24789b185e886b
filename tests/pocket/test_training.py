"""The training loop resumes to the same numbers, and every recipe takes a step."""

import csv

import pytest
import torch
from diffusers import AutoencoderKL

from ivgbench.pocket import clip, detector, text_to_video, vae, world
from ivgbench.pocket.loop import Schedule, fit


class Killed(Exception):
    pass


def train_line(work, stop_at=None):
    """Fits y = 2x with fresh data each step; may be killed before a step."""
    torch.manual_seed(0)
    line = torch.nn.Linear(1, 1)

    def loss_of(step):
        if step == stop_at:
            raise Killed
        x = torch.randn(16, 1, generator=torch.Generator().manual_seed(step))
        return (line(x) - 2 * x).square().mean()

    return fit(
        "line", line, loss_of, Schedule(steps=40, learning_rate=0.05, warmup=5), work, save_every_s=0, log_every=10
    )


def test_a_killed_training_resumes_to_the_same_weights(tmp_path):
    whole = train_line(tmp_path / "whole")
    with pytest.raises(Killed):
        train_line(tmp_path / "killed", stop_at=23)
    resumed = train_line(tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    with (tmp_path / "killed" / "line.csv").open() as handle:
        assert [row["step"] for row in csv.DictReader(handle)] == ["10", "20", "30", "40"]


def test_a_bad_loss_stops_the_training_with_the_step(tmp_path):
    line = torch.nn.Linear(1, 1)
    with pytest.raises(FloatingPointError, match="step 0"):
        fit("nan", line, lambda step: line.weight.sum() * float("nan"), Schedule(5, 0.1), tmp_path)


def test_whitening_changes_the_latents_and_not_the_pictures():
    torch.manual_seed(0)
    model = AutoencoderKL(**vae.CONFIG).eval()
    sample = world.sample_clip("held-out", 0).video
    pixels = vae.to_tensor(sample)
    with torch.no_grad():
        before = model.decode(model.encode(pixels).latent_dist.mean).sample
        vae.whiten(model, sample)
        latents = model.encode(pixels).latent_dist.mean
        after = model.decode(latents).sample
    assert torch.allclose(before, after, atol=1e-3)
    flat = latents.transpose(0, 1).flatten(1)
    assert torch.allclose(torch.cov(flat), torch.eye(4), atol=1e-2)
    assert flat.mean(1).abs().max() < 1e-2


def test_every_recipe_takes_a_step_and_saves_what_it_made(tmp_path):
    model = vae.train(tmp_path, steps=1)
    made = text_to_video.train(tmp_path, model, steps={"frames": 1, "clips": 1})
    text_to_video.save(made, model, tmp_path / "text-to-video")
    onward = text_to_video.train(tmp_path / "more", model.float(), steps={"clips": 1}, start=tmp_path / "text-to-video")
    drift = (onward.unet.conv_in.weight - made.float().unet.conv_in.weight).abs().max()
    assert 0 < drift < 0.01, "training goes on from the finished weights"
    judge = clip.train(tmp_path, model.float(), steps=1)
    clip.save(judge, tmp_path / "clip")
    yolo = detector.train(tmp_path, model.float(), steps=1)
    detector.save(yolo, tmp_path / "detector")

    from ivgbench.generator import Backbone
    from ivgbench.metrics.detectors import PocketYolo
    from ivgbench.metrics.features import ClipModel

    assert Backbone.from_pretrained(str(tmp_path / "text-to-video")).latent_channels == 4
    assert ClipModel.from_pretrained(tmp_path / "clip").embed_text(["a red star on a grey background"]).shape == (1, 64)
    assert PocketYolo(tmp_path / "detector").detect(world.sample_clip("held-out", 1).video, "red star").boxes.shape == (
        8,
        4,
    )


def test_hidden_sprites_are_not_asked_of_the_detector():
    import numpy as np

    for seed in range(40):
        frame, labels = detector.sample_scene(np.random.default_rng(seed))
        assert frame.shape == (world.HEIGHT, world.WIDTH, 3)
        assert all(0 <= name < len(detector.NAMES) for name, _ in labels)
        if len(labels) == 2:
            assert detector._overlap(labels[0][1], labels[1][1]) < 0.1
