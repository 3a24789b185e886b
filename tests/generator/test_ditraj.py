"""DiTraj on a tiny Wan: what must hold whatever the weights are, and what is refused."""

import numpy as np
import pytest
import tiny_wan
import torch

from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate
from ivgbench.generator.methods.ditraj import without
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampler import generate_batch

FRAMES = 9
PROMPT = "a zebra runs on the green grass"
MOVING = boxes.interpolate({0: (0.0, 0.0, 0.5, 0.8), 8: (0.5, 0.2, 1.0, 1.0)}, FRAMES)
CASE = Case("moving", PROMPT, (Subject("zebra", MOVING),))
STILL = Case("still", PROMPT, (Subject("zebra", MOVING[:1].repeat(FRAMES, 0)),))


@pytest.fixture(scope="module")
def wan(tmp_path_factory):
    return Backbone.from_pretrained(tiny_wan.write(tmp_path_factory.mktemp("wan")))


def latents(bb, case=CASE, method="ditraj", **options):
    start = torch.randn(1, 4, 3, 10, 12, generator=torch.Generator().manual_seed(1))
    other = {"steps": 2, "guidance_scale": 4.0, "scheduler": "flow", "output": "latent", "latents": start}
    return generate(bb, case, method, options, **other).latents


def test_without_its_steps_it_is_plain(wan):
    assert torch.equal(latents(wan, mask_steps=0, rope_steps=0), latents(wan, method="plain"))


def test_each_half_of_it_moves_the_clip_and_is_over_after_its_steps(wan):
    plain = latents(wan, method="plain")
    own, rope = latents(wan, mask_steps=1, rope_steps=0), latents(wan, mask_steps=0, rope_steps=1)
    assert not torch.allclose(own, plain, atol=1e-3) and not torch.allclose(rope, plain, atol=1e-3)
    assert torch.equal(latents(wan, mask_steps=2, rope_steps=0), latents(wan, mask_steps=9, rope_steps=0))


def test_positions_of_a_still_box_are_its_own(wan):
    """Nothing shares a position either: the attention is the library's to rounding."""
    assert torch.allclose(latents(wan, STILL, mask_steps=0), latents(wan, STILL, method="plain"), atol=1e-5)


def test_two_prompts_that_are_the_whole_one_change_nothing(wan):
    """Every token then reads the states that it reads in plain sampling."""
    same = latents(wan, foreground=PROMPT, background=PROMPT, rope_steps=0)
    assert torch.allclose(same, latents(wan, method="plain"), atol=1e-5)


def test_the_unconditional_half_keeps_its_prompt_and_takes_the_positions(wan):
    seen = []
    whole = wan.denoise

    def watched(*given):
        seen.append((given[2], *whole(*given)))
        return seen[-1][1:]

    wan.denoise = watched
    try:
        for options in ({"mask_steps": 0, "rope_steps": 0}, {"rope_steps": 0}, {"mask_steps": 0}):
            latents(wan, **options)
    finally:
        del wan.denoise
    (_, plain, _), (_, prompts, _), (_, placed, _) = seen[::2]
    assert torch.equal(prompts, plain) and not torch.allclose(placed, plain, atol=1e-3)


def test_a_batch_is_its_clips(wan):
    other = Case("other", "a dog on the sea", (Subject("dog", MOVING[::-1].copy()),))
    start = torch.randn(2, 4, 3, 10, 12, generator=torch.Generator().manual_seed(1))
    given = dict(steps=2, guidance_scale=4.0, output="latent", scheduler="flow")
    options = {"box_end": "inclusive"}
    both = generate_batch(wan, [CASE, other], "ditraj", options, seeds=[0, 1], latents=start, **given)
    for index, case in enumerate((CASE, other)):
        own = start[index : index + 1]
        alone = generate_batch(wan, [case], "ditraj", options, seeds=[index], latents=own, **given)[0]
        torch.testing.assert_close(both[index].latents, alone.latents, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("prompt", "phrase", "rest"),
    [
        ("a red star on a grey background", "red star", "on a grey background"),
        ("A zebra and the dog on the grass", "zebra", "the dog on the grass"),
        ("the dog and a zebra on the grass", "zebra", "the dog on the grass"),
        ("a dog, a zebra, and a cat", "zebra", "a dog, and a cat"),
        ("in a forest, a zebra runs.", "zebra", "in a forest runs."),
        ("a zebra meets a zebra", "zebra", "meets"),
        ("zebra", "zebra", ""),
    ],
)
def test_the_prompt_without_its_subject(prompt, phrase, rest):
    assert without(prompt, phrase) == rest


def test_its_prompts():
    made = resolve("ditraj").prompts("a zebra on grass", ", sharp", "zebra")
    assert made == ("on grass, sharp", "zebra, close-up")
    own = resolve("ditraj", {"foreground": "one big {phrase}", "background": "grass"})
    assert own.prompts("anything", ", sharp", "zebra") == ("grass", "one big zebra")


def refused(match, bb, case=CASE, **options):
    with pytest.raises(UserError, match=match):
        latents(bb, case, **options)


def test_what_it_cannot_do_is_refused(wan):
    two = Case("two", PROMPT, (*CASE.subjects, Subject("grass", MOVING)))
    refused("one subject", wan, two)
    refused("one subject", wan, Case("none", PROMPT, ()))
    refused("not in 'a dog'", wan, Case("other", "a dog", CASE.subjects))
    refused("no phrase", wan, Case("wordless", PROMPT, (Subject(None, MOVING),)), background="grass")
    thin = np.concatenate([MOVING[:5], np.tile([0.0, 0.0, 0.5, 0.21], (4, 1))])
    refused("one token thin", wan, Case("thin", PROMPT, (Subject("zebra", thin),)))
    latents(wan, Case("thin", PROMPT, (Subject("zebra", thin),)), box_end="inclusive")
    pocket = Case("pocket", "a red star on a grey background", (Subject("red star", MOVING[:8]),))
    with pytest.raises(UserError, match="needs rotary positions"):
        generate(Backbone.from_pretrained("pocket"), pocket, "ditraj")
