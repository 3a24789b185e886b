"""The training loop resumes to the same numbers, and every recipe takes a step."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from transformers import CLIPTokenizer

from ivgbench import world
from ivgbench.generator import Backbone
from ivgbench.pocket import WEIGHTS
from ivgbench.pocket.training import bank, clip, denoiser, detector, dit, text_to_video, vae, video
from ivgbench.pocket.training.loop import Schedule, fit
from ivgbench.pocket.training.muon import Muon, orthogonalise


class Killed(Exception):
    pass


def train_line(work, stop_at=None, matrix_rate=None):
    """Fits y = 2x with fresh data each step, by AdamW or with Muon for the weight; may be killed before a step."""
    torch.manual_seed(0)
    line = torch.nn.Linear(1, 1)

    def loss_of(step):
        if step == stop_at:
            raise Killed
        x = torch.randn(16, 1, generator=torch.Generator().manual_seed(step))
        return (line(x) - 2 * x).square().mean()

    schedule = Schedule(steps=40, learning_rate=0.05, matrix_rate=matrix_rate, warmup=5)
    return fit("line", line, loss_of, schedule, work, save_every_s=0, log_every=10)


@pytest.mark.parametrize("matrix_rate", [None, 0.05])
def test_a_killed_training_resumes_to_the_same_weights(tmp_path, matrix_rate):
    whole = train_line(tmp_path / "whole", matrix_rate=matrix_rate)
    with pytest.raises(Killed):
        train_line(tmp_path / "killed", 23, matrix_rate)
    resumed = train_line(tmp_path / "killed", matrix_rate=matrix_rate)
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


def test_every_recipe_takes_a_step_and_saves_what_it_made(tmp_path, monkeypatch):
    monkeypatch.setattr(bank, "SHARD", 4)
    monkeypatch.setattr(text_to_video.load_bank, "__defaults__", (8,))
    model = vae.train(tmp_path, steps=1)
    made = text_to_video.train(tmp_path, model, steps=1)
    text_to_video.save(made, model, tmp_path / "text-to-video")
    onward = text_to_video.train(tmp_path / "more", model.float(), steps=1, start=tmp_path / "text-to-video")
    drift = (onward.unet.conv_in.weight - made.float().unet.conv_in.weight).abs().max()
    assert 0 < drift < 0.01, "training goes on from the finished weights"
    decoder = vae.train(tmp_path, steps=1, start=tmp_path / "text-to-video" / "vae").state_dict()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value.float(), decoder[name])}
    assert moved and all(name.startswith(("decoder", "post_quant")) for name in moved), "latents stay what they were"
    dit.save(*dit.train(tmp_path, model.float(), steps=1), model, tmp_path / "dit")
    judge = clip.train(tmp_path, model.float(), steps=1)
    clip.save(judge, tmp_path / "clip")
    yolo = detector.train(tmp_path, model.float(), steps=1)
    detector.save(yolo, tmp_path / "detector")

    video.save(video.train(tmp_path, model.float(), steps=1), tmp_path / "video")
    denoiser.save(denoiser.train(tmp_path, model.float(), steps=1), tmp_path / "denoiser")

    from ivgbench.judges import frame_encoders as frame_features
    from ivgbench.judges import video_encoders as video_features
    from ivgbench.judges.clip import ClipModel
    from ivgbench.judges.detectors import PocketYolo

    backbone = Backbone.from_pretrained(str(tmp_path / "text-to-video"))
    assert backbone.latent_channels == 4 and backbone.empty_padding
    assert ClipModel.from_pretrained(tmp_path / "clip").embed_text(["a red star on a grey background"]).shape == (1, 64)
    transformer = Backbone.from_pretrained(str(tmp_path / "dit"))
    assert transformer.flow and transformer.time_factor == 1 and transformer.reader.length == dit.TEXT_LENGTH
    clips = [world.sample_clip("held-out", 1).video]
    assert PocketYolo(tmp_path / "detector").detect(clips[0], "red star").boxes.shape == (8, 4)
    assert video_features.pocket(tmp_path / "video").embed_clip(clips[0]).shape == (96,)
    encoder = frame_features.denoiser(tmp_path / "denoiser" / "model.safetensors")
    assert encoder.embed_video(clips[0]).shape == (8, 88)


def test_training_and_sampling_see_the_same_text_states(tmp_path, monkeypatch):
    model = text_to_video.TextToVideo(CLIPTokenizer.from_pretrained(WEIGHTS / "text-to-video" / "tokenizer")).eval()
    seen = []
    monkeypatch.setattr(model.unet, "forward", lambda latents, _, text: seen.append(text) or SimpleNamespace(sample=0))
    captions = ["a red star on a grey background", "", "a red star on a grey background"]
    for frozen, words in ((False, False), (True, False), (True, True)):
        model.freeze_text(frozen, words)
        assert all(weight.requires_grad != frozen for weight in model.text_encoder.parameters())
        model(torch.zeros(3, 4, 1, 2, 2), torch.zeros(3), captions)
    for states, kept in zip(seen, (77, 9, 8), strict=True):
        assert states[0, :kept].abs().sum(1).min() > 0 and (states[0, kept:] == 0).all()
    text_to_video.save(model, AutoencoderKL(**vae.CONFIG), tmp_path)
    states = Backbone.from_pretrained(tmp_path).encode_prompt(captions)
    assert torch.allclose(seen[2], states, atol=1e-2), "up to the half precision on disk"
    assert torch.equal(states == 0, seen[2] == 0)


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_some_frames_of_a_clip_come_in_order(frames):
    latents = torch.arange(8.0).view(1, 8, 1, 1, 1).expand(3, 8, 4, 12, 20)
    model = torch.nn.Linear(1, 1)
    seen = []
    scheduler = SimpleNamespace(
        alphas_cumprod=torch.linspace(0.99, 0.01, 1000),
        config=SimpleNamespace(num_train_timesteps=1000),
        add_noise=lambda clean, *_: seen.append(clean) or clean,
    )
    model.forward = lambda noisy, *_: noisy
    text_to_video.loss_function(model, (latents, ["a", "b", "c"]), scheduler, 12, frames, 0)(0)
    order = seen[0][:, 0, :, 0, 0]
    assert order.shape == (12, frames) and (order.diff(dim=1) > 0).all() and len(order[:, 0].unique()) > (frames < 8)


def test_the_lean_weighs_high_noise_more():
    def error_at(timestep, lean):
        scheduler = DDIMScheduler(**text_to_video.SCHEDULER_CONFIG)
        model = torch.nn.Linear(1, 1)  # off by one at a single noise level of the ten
        model.forward = lambda noise, timesteps, *_: noise + (timesteps // 100 == timestep // 100).view(-1, 1, 1, 1, 1)
        scheduler.add_noise = lambda clean, noise, _: noise
        bank = (torch.zeros(1, 8, 4, 12, 20), ["a red star on a grey background"])
        return float(text_to_video.loss_function(model, bank, scheduler, 10, 8, 0, lean)(0))

    assert error_at(950, False) == pytest.approx(error_at(650, False)) == pytest.approx(0.1)
    assert error_at(950, True) > 2 * error_at(650, True) > 2 * error_at(650, False)


def test_a_stretch_on_two_subjects_draws_them_and_high_noise_more_often():
    def drawn(two):
        seen, scheduler, model = [], DDIMScheduler(**text_to_video.SCHEDULER_CONFIG), torch.nn.Linear(1, 1)
        model.forward = lambda noisy, timesteps, prompts: seen.append((prompts, timesteps)) or noisy
        bank = (torch.zeros(4, 8, 1, 2, 2), ["a star", "a disc", "a ring", "a star and a ring"])
        loss_of = text_to_video.loss_function(model, bank, scheduler, 200, 8, 0, True, True, two)
        loss_of(0)
        prompts, timesteps = seen[0]
        return sum(" and " in prompt for prompt in prompts if prompt) / sum(map(bool, prompts)), timesteps

    (few, level), (many, high) = drawn(None), drawn(0.75)
    assert few == pytest.approx(0.25, abs=0.1) and many == pytest.approx(0.75, abs=0.1)
    assert level.float().mean() == pytest.approx(500, abs=10) and high.float().mean() == pytest.approx(625, abs=10)
    assert high.min() >= 0 and high.max() <= 999


def test_the_video_encoder_is_told_where_a_sprite_goes():
    def track(*centres):
        corners = np.array(centres) / (world.WIDTH, world.HEIGHT)
        return np.concatenate([corners - 0.1, corners + 0.1], 1)

    # Pixels count, not shares of the frame: it is wider than high.
    assert video.motion(track((20, 20), (30, 27))) == "right" and video.motion(track((30, 20), (20, 27))) == "left"
    assert video.motion(track((20, 20), (27, 30))) == "down" and video.motion(track((20, 30), (27, 20))) == "up"
    assert video.motion(track((20, 20), (40, 40), (20, 20))) == "still"
    clips = [world.sample_clip("held-out", index) for index in range(3)]
    motions, shapes, shares = video.lesson(clips)
    assert [world.SHAPES[index] for index in shapes] == [clip.sprites[0].shape for clip in clips]
    assert [video.MOTIONS[index] for index in motions] == [video.motion(clip.sprites[0].boxes) for clip in clips]
    assert shares.shape == (3, 4 * 6 * 10) and 0.03 < shares.mean() < 0.3 and shares.max() <= 1


def test_hidden_sprites_are_not_asked_of_the_detector():
    for seed in range(40):
        frame, labels = detector.sample_scene(np.random.default_rng(seed))
        assert frame.shape == (world.HEIGHT, world.WIDTH, 3)
        assert all(0 <= name < len(detector.NAMES) for name, _ in labels)
        if len(labels) == 2:
            assert world.overlap(labels[0][1][None], labels[1][1][None]) < 0.1


def test_muon_makes_every_direction_of_a_matrix_count():
    torch.manual_seed(0)
    for shape in ((6, 40), (40, 6)):
        matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -2, shape[1]))
        out = orthogonalise(matrix)
        values = torch.linalg.svdvals(out)
        assert values.min() > 0.4 and values.max() < 1.3, values
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        assert torch.nn.functional.cosine_similarity((u @ v).flatten(), out.flatten(), dim=0) > 0.95


def test_a_first_muon_step_is_as_long_as_its_rate_says_in_every_direction():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(8, 4, 3))
    gradient = torch.randn(8, 4, 3) * 1e-4
    weight.grad = gradient.clone()
    Muon([weight], lr=0.1, weight_decay=0.0).step()
    moved = torch.linalg.svdvals(weight.detach().flatten(1)) / (0.1 * 0.2 * 12**0.5)
    assert moved.min() > 0.6 and moved.max() < 1.3, "however small or skewed the gradient"
    assert (weight.detach() * gradient).sum() < 0


def test_a_bank_is_made_once_and_a_lost_shard_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(bank, "SHARD", 4)
    torch.manual_seed(0)
    model = AutoencoderKL(**vae.CONFIG).eval()
    latents, captions = bank.load_bank(tmp_path, model, clips=8)
    assert latents.shape == (8, world.FRAMES, 4, 12, 20) and latents.dtype == torch.float16
    assert captions == [world.sample_scene("text-to-video", index).caption for index in range(8)]
    (tmp_path / "bank" / "0001.npz").unlink()
    monkeypatch.setattr(bank, "to_tensor", lambda frames: calls.append(len(frames)) or vae.to_tensor(frames))
    calls = []
    again, _ = bank.load_bank(tmp_path, model, clips=8)
    assert torch.equal(again, latents) and len(calls) == 4
