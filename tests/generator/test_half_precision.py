"""In half precision, too, plain latents are those of each family's own pipeline in diffusers: what it keeps in float32
and where it rounds is followed. On the pipeline's side are the backbone's own modules."""

import pytest
import tiny_cogvideox
import tiny_ltx
import tiny_wan
import torch
from diffusers import CogVideoXPipeline, LTXPipeline, TextToVideoSDPipeline, WanPipeline

from ivgbench.cases import Case
from ivgbench.generator import Backbone, generate

PROMPT, NEGATIVE, STEPS = "a zebra on the green grass", "sea", 4
#: Family -> its tiny model, what it is loaded from, its pipeline, and (channels, latent frames, rows, columns, factor).
DITS = {
    "wan": (tiny_wan, WanPipeline, (4, 3, 8, 12), 8),
    "cogvideox": (tiny_cogvideox, CogVideoXPipeline, (4, 3, 8, 12), 8),
    "ltx": (tiny_ltx, LTXPipeline, (8, 3, 4, 6), 32),
}


def pipelines(made, start, **other):
    made.set_progress_bar_config(disable=True)
    return made(
        prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=4.0, latents=start,
        output_type="latent", **other,
    ).frames  # fmt: skip


def ours(half, start):
    return generate(
        half, Case("bare", PROMPT, ()), "plain", steps=STEPS, guidance_scale=4.0, negative_prompt=NEGATIVE,
        latents=start, output="latent",
    ).latents  # fmt: skip


def agree(ours, theirs):
    """Bit for bit but for the guidance halves, which some pipelines evaluate in one batch."""
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert theirs.std() > 0.5


@pytest.mark.parametrize("family", DITS)
def test_latents_are_the_pipelines_in_bfloat16(family, tmp_path):
    tiny, cls, shape, factor = DITS[family]
    half = Backbone.from_pretrained(tiny.write(tmp_path), dtype=torch.bfloat16)
    start = torch.randn(1, *shape, generator=torch.Generator().manual_seed(1))
    parts = {name: tiny.parts()[name] for name in ("tokenizer", "scheduler")} | half.modules()
    frames = (shape[1] - 1) * half.time_factor + 1
    asked = dict(height=shape[2] * factor, width=shape[3] * factor, num_frames=frames)
    if family == "wan":
        theirs = pipelines(cls(**parts), start, **asked)
    elif family == "cogvideox":  # frames first, and in its dtype as it would draw them
        asked["max_sequence_length"] = tiny_cogvideox.LENGTH
        theirs = pipelines(cls(**parts), start.transpose(1, 2).bfloat16(), **asked).transpose(1, 2)
    else:
        packed = pipelines(cls(**parts), start.flatten(2).transpose(1, 2), max_sequence_length=128, **asked)
        theirs = packed.transpose(1, 2).unflatten(2, shape[1:])
    agree(ours(half, start), theirs)


def test_a_unets_are_in_its_own_dtype(tiny_folder):
    half = Backbone.from_pretrained(tiny_folder, dtype=torch.bfloat16)
    start = torch.randn(1, 4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    made = TextToVideoSDPipeline(None, half.text_encoder, half.tokenizer, half.unet, half.scheduler())
    theirs = pipelines(made, start.bfloat16(), height=64, width=64, num_frames=3)
    agree(ours(half, start), theirs)


def test_latents_stay_wide_under_a_scheduler_that_answers_in_the_predictions_dtype(tmp_path):
    """The library's Euler does."""
    half = Backbone.from_pretrained(tiny_wan.write(tmp_path), dtype=torch.bfloat16)
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    made = generate(half, Case("bare", PROMPT, ()), "plain", steps=2, scheduler="flow", latents=start, output="latent")
    assert made.latents.dtype == torch.float32
    assert not torch.equal(made.latents, made.latents.bfloat16().float())
