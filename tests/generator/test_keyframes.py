import numpy as np
import pytest
import torch

from ivgbench import boxes
from ivgbench.errors import UserError
from ivgbench.generator import generate
from ivgbench.generator.keyframes import at_every_frame, prompt_embeds


def test_the_key_in_between_stands_in_two_frames():
    assert at_every_frame({0: 0.0, 2: 1.0, 5: 3.0}) == [0, 0.5, 1, 1, 2, 3]
    assert at_every_frame({0: 2.0, 1: 4.0}) == [2, 4]


def test_two_keys_are_a_straight_line_and_25_frames_end_at_24():
    keys = {0: np.array([0.1, 0.2, 0.5, 0.7]), 24: np.array([0.4, 0.3, 1.0, 1.0])}
    track = np.stack(at_every_frame(keys))
    assert track.shape == (25, 4) and np.array_equal(track[[0, 24]], np.stack(list(keys.values())))
    assert np.allclose(track, boxes.interpolate(keys, 25), atol=1e-15)


@pytest.mark.parametrize(
    ("keys", "message"),
    [({0: 1.0}, "at least two"), ({1: 1.0, 3: 2.0}, "first at frame 0"), ({0: 1.0, 3: 2.0, 4: 1.0}, "3 and 4")],
)
def test_keys_that_the_release_cannot_read_are_refused(keys, message):
    with pytest.raises(UserError, match=message):
        at_every_frame(keys)


def test_prompts_move_through_the_clip(tiny, case):
    embeds = prompt_embeds(tiny, {0: "a zebra", 2: "a dog"}, negative_prompt="grass", prompt_suffix=" on the grass")
    negative, zebra, dog = tiny.encode_prompt(["grass", "a zebra on the grass", "a dog on the grass"])
    assert embeds.shape == (6, 77, 32)
    assert torch.equal(embeds[:3], torch.stack([negative] * 3)) and torch.equal(embeds[3], zebra)
    assert torch.equal(embeds[5], dog) and torch.allclose(embeds[4], (zebra + dog) / 2, atol=1e-6)
    settings = dict(steps=1, guidance_scale=4.0, output="latent", latents=torch.randn(1, 4, 3, 8, 12))
    moving, still = (generate(tiny, case, "plain", prompt_embeds=one, **settings) for one in (embeds, embeds[[0, 3]]))
    assert not torch.equal(moving.latents, still.latents)
