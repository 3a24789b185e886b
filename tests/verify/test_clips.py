"""Faults of clips, by numbers."""

import numpy as np
import pytest

from ivgbench.verify.clips import apart, latent_faults, video_faults

NOISE = np.random.default_rng(0)
SOUND = NOISE.integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)


def test_sound_ones_have_none():
    assert video_faults(SOUND) == latent_faults(NOISE.standard_normal((1, 4, 3, 8, 8))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda video: video * 0, "4 of 4 frames are black"),
        (lambda video: np.concatenate([video[:3], video[:1] * 0 + 200]), "1 of 4 frames are of one colour"),
        (lambda video: np.repeat(video[:1], 4, axis=0), "all 4 frames are the same picture"),
    ],
)
def test_of_videos(change, words):
    assert video_faults(change(SOUND)) == [words]


@pytest.mark.parametrize(
    ("latents", "words"),
    [
        (np.full((1, 4, 1, 2, 2), np.nan), "16 latents are NaN or infinite"),
        (np.zeros((1, 4, 1, 2, 2)), "deviation is 0, out of 0.05 to 20"),
        (np.pad(np.ones((1, 4, 9, 9, 9)), 1) * 1e3, "a latent is 1e+03, beyond 200"),
    ],
)
def test_of_latents(latents, words):
    assert words in "; ".join(latent_faults(latents))


def test_how_far_two_results_are_apart():
    assert apart(np.array([3.0, 4.0]), np.array([3.0, 4.0])) == 0
    assert apart(np.array([3.0, 4.0]), np.array([0.0, 0.0])) == 1
    assert apart(np.zeros(2), np.zeros(2)) == 0 and apart(np.zeros(2), np.ones(2)) == 1
