"""The pocket DiT's own parts: what its text encoder is to say, what it learns from, and that it runs as Wan does."""

import pytest
import torch
from diffusers import WanTransformer3DModel

from ivgbench import load_suite
from ivgbench.generator import Backbone, generate
from ivgbench.generator.backbones import presets
from ivgbench.pocket.training import dit


def test_words_say_what_they_mean_in_their_phrase_and_nothing_else():
    one, two = (
        dit.meanings("a red star on a grey background"),
        dit.meanings("a red star and a blue star on a grey background"),
    )
    assert one.shape == (8, dit.TEXT_WIDTH) and torch.allclose(one.square().mean(-1), torch.ones(8))
    assert torch.equal(one[:3], two[:3]) and torch.equal(one[3:], two[7:]), "wherever it stands"
    assert torch.equal(two[0], two[4]), "an article knows no subject"
    alike = torch.nn.functional.cosine_similarity
    assert alike(two[2], two[6], dim=0) < alike(one[1], one[2], dim=0) == pytest.approx(2 / 3, abs=1e-6)


def test_the_transformers_attention_in_training_is_the_librarys():
    torch.manual_seed(0)
    model = WanTransformer3DModel(**{**dit.CONFIG, "num_layers": 2})
    given = torch.randn(2, 4, 3, 4, 6), torch.tensor([300.0, 900.0]), torch.randn(2, dit.TEXT_LENGTH, dit.TEXT_WIDTH)
    expected = model(*given, return_dict=False)[0]
    model.set_attn_processor(dit.TrainingAttention())
    torch.testing.assert_close(model(*given, return_dict=False)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("two", [None, 0.75])
def test_the_error_is_none_for_the_straight_path(two):
    """Of a clean clip of zeros z = sigma n, and the right answer n is z / sigma."""
    seen = []

    class Right(torch.nn.Linear):
        def forward(self, latents, timesteps, text, return_dict):
            seen.append((timesteps, text))
            return (latents.float() / (timesteps / 1000).view(-1, 1, 1, 1, 1),)

    captions = ["a star", "a disc", "a ring", "a star and a ring"]
    states = {caption: torch.full((1, 1), float(" and " in caption)) for caption in ["", *captions]}
    bank = torch.zeros(4, 8, 4, 2, 2), captions
    phase = dit.PHASES["clips"]._replace(batch=100, two=two)
    assert dit.loss_function(Right(1, 1), bank, states, phase, 0)(0) < 1e-3
    timesteps, text = seen[0]
    even = timesteps / (3000 - 2 * timesteps)
    assert even.mean() == pytest.approx(0.5, abs=0.01) and timesteps.min() > 0 and timesteps.max() < 1000
    assert text.mean() == pytest.approx(0.25 if two is None else 0.75 * 0.9, abs=0.15)


def test_levels_are_the_samplers_or_normal_about_a_logit():
    uniform = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
    assert dit.noise_levels(uniform, None).tolist() == pytest.approx([0, 0.5, 0.75, 0.9, 1])
    quartile = 0.6744897501960817  # of the standard normal distribution
    logits = torch.logit(dit.noise_levels(uniform, 0.4))
    assert logits.tolist() == pytest.approx([-torch.inf, 0.4 - quartile, 0.4, 0.4 + quartile, torch.inf])


def test_a_folder_of_it_is_a_pocket_backbone_that_masks_act_on(dit_folder, monkeypatch):
    monkeypatch.setitem(presets.POCKETS, "pocket-dit", dit_folder)
    backbone = Backbone.from_pretrained(dit_folder)
    case = load_suite("pocket-dynamic").cases[0]
    plain, masked = (generate(backbone, case, method, steps=2).video for method in ("plain", "peekaboo"))
    assert plain.shape == masked.shape == (8, 48, 80, 3) and (plain != masked).any()
