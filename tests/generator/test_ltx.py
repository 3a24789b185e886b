"""LTX-Video: diffusers' own pipeline where nothing is edited, and the masks written out in float64 where they are."""

import json
import math

import numpy as np
import pytest
import tiny_ltx
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FlowMatchLCMScheduler,
    LTXPipeline,
    UniPCMultistepScheduler,
)
from safetensors.torch import save_file

from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate, inputs
from ivgbench.generator.backbones import layout
from ivgbench.generator.edits import masked
from ivgbench.generator.edits.efdm import match_exactly
from ivgbench.generator.levels import of
from ivgbench.generator.sampler import generate_batch

FRAMES, LATENT, GRID, LENGTH = 17, 3, (4, 6), 128
PROMPT = "a zebra and a dog on the green grass"
TRACK = boxes.interpolate({0: (0.0, 0.1, 0.5, 0.8), 16: (0.4, 0.2, 1.0, 1.0)}, FRAMES)
CASE = Case("moving", PROMPT, (Subject("zebra", TRACK),))
TWO = Case("two", PROMPT, (*CASE.subjects, Subject("dog", np.tile([0.6, 0.4, 1.0, 1.0], (FRAMES, 1)))))
ASKED = dict(
    prompt=PROMPT, negative_prompt="sea", height=128, width=192, num_frames=FRAMES, num_inference_steps=4,
    guidance_scale=4.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_ltx.write(tmp_path_factory.mktemp("ltx"))


@pytest.fixture(scope="module")
def ltx(folder):
    return Backbone.from_pretrained(folder)


@pytest.fixture(scope="module")
def start():
    return torch.randn(1, 8, LATENT, *GRID, generator=torch.Generator().manual_seed(1))


def make(bb, method="plain", options=None, case=CASE, **other):
    return generate(bb, case, method, options or {}, **{"steps": 3, "guidance_scale": 4.0, "output": "latent"} | other)


def packed(latents):
    return latents.flatten(2).transpose(1, 2)


def pipeline(parts, start, **other):
    made = LTXPipeline(**parts)
    made.set_progress_bar_config(disable=True)
    return made(latents=packed(start), **ASKED | other).frames


def test_it_is_found_by_its_files(ltx, folder):
    assert type(ltx).__name__ == "Ltx" and layout.family(folder) == "ltx"
    assert (ltx.default_steps, ltx.default_guidance, ltx.frames, ltx.height, ltx.width) == (50, 3.0, 161, 512, 704)
    index = folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    assert len(layout.shards(index)) > 1
    assert (ltx.latent_channels, ltx.vae_scale_factor, ltx.time_factor, ltx.cell) == (8, 32, 8, 1)
    assert ltx.reader.length == LENGTH


def test_plain_latents_and_video_are_the_pipelines(ltx, start):
    clip = make(ltx, steps=4, negative_prompt="sea", latents=start, output="video")
    theirs = pipeline(tiny_ltx.parts(), start, output_type="latent")
    torch.testing.assert_close(packed(clip.latents), theirs, rtol=0, atol=1e-5)
    assert theirs.std() > 0.5
    pixels = (pipeline(tiny_ltx.parts(), start, output_type="np")[0] * 255).round()
    assert clip.video.shape == (FRAMES, 128, 192, 3)
    assert np.abs(clip.video.astype(int) - pixels).max() <= 1


FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
DYNAMIC = {"use_dynamic_shifting": True}


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (FlowMatchEulerDiscreteScheduler, {"shift": 3.0}),
        (FlowMatchEulerDiscreteScheduler, {**DYNAMIC, "time_shift_type": "linear"}),
        (UniPCMultistepScheduler, {**FLOW, "flow_shift": 3.0}),
        (UniPCMultistepScheduler, {**FLOW, **DYNAMIC, "shift_terminal": 0.1}),
    ],
)
def test_a_given_scheduler_has_the_levels_of_the_pipeline(cls, config, ltx, start):
    clip = make(ltx, steps=4, negative_prompt="sea", latents=start, scheduler=cls(**config))
    theirs = pipeline(tiny_ltx.parts() | {"scheduler": cls(**config)}, start, output_type="latent")
    torch.testing.assert_close(packed(clip.latents), theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("more", [{"flow_shift": 3.0}, DYNAMIC])
def test_the_checkpoints_own_has_them_whatever_its_class(more, start, tmp_path):
    folder = tiny_ltx.write(tmp_path / "made")
    UniPCMultistepScheduler(**FLOW, **more).save_pretrained(folder / "scheduler")
    bb = Backbone.from_pretrained(folder)
    theirs = pipeline(
        tiny_ltx.parts() | {"scheduler": UniPCMultistepScheduler(**FLOW, **more)}, start, output_type="latent"
    )
    for which in (None, "checkpoint"):
        clip = make(bb, steps=4, negative_prompt="sea", latents=start, scheduler=which)
        torch.testing.assert_close(packed(clip.latents), theirs, rtol=0, atol=2e-5)
    assert bb.scheduler("flow").shift == more.get("flow_shift", 1.0)


def test_what_was_set_on_a_given_scheduler_stays(ltx, start):
    def shifted():
        made = FlowMatchEulerDiscreteScheduler()
        made.set_shift(5.0)
        return made

    clip = make(ltx, steps=4, negative_prompt="sea", latents=start, scheduler=shifted())
    theirs = pipeline(tiny_ltx.parts() | {"scheduler": shifted()}, start, output_type="latent")
    torch.testing.assert_close(packed(clip.latents), theirs, rtol=0, atol=1e-5)
    again = ltx.scheduler(ltx.scheduler(shifted()))  # one that stands behind ours already
    assert again.shift == 5.0


def test_a_stochastic_step_draws_in_every_dtype(folder, ltx, start):
    wide = Backbone.from_pretrained(folder, dtype=torch.float64)
    other = {"scheduler": FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)}
    one, two = (make(wide, latents=start.double(), seed=seed, **other).latents for seed in (0, 1))
    assert not torch.allclose(one, two, atol=0.1)
    torch.testing.assert_close(make(ltx, latents=start, seed=0, **other).latents.double(), one, rtol=0, atol=1e-4)


def test_a_scheduler_that_draws_has_those_levels_too(ltx, start):
    """Its noise is the clip's own here, and nobody's in the pipeline."""
    theirs = FlowMatchLCMScheduler(**DYNAMIC)
    pipeline(tiny_ltx.parts() | {"scheduler": theirs}, start, output_type="latent")
    ours = ltx.scheduler(FlowMatchLCMScheduler(**DYNAMIC), start.shape[2:])
    ours.set_timesteps(4)
    torch.testing.assert_close(ours.sigmas, theirs.sigmas, rtol=0, atol=1e-7)


def test_a_vae_that_denoises_is_given_the_clips_own_noise(tmp_path, start):
    """The kind of 0.9.1: the pipeline is handed the same stream."""
    bb = Backbone.from_pretrained(tiny_ltx.write(tmp_path / "made", timestep_conditioning=True))
    clips = [make(bb, steps=4, negative_prompt="sea", latents=start, output="video", seed=seed) for seed in (0, 1)]
    shape = inputs.geometry(bb, [CASE], start, None)
    pixels = pipeline(
        tiny_ltx.parts(True), start, output_type="np", decode_timestep=0.05, decode_noise_scale=0.025,
        generator=inputs.clip_of(bb, CASE, 0, "", shape, None).stream("decode"),
    )[0]  # fmt: skip
    assert np.abs(clips[0].video.astype(int) - (pixels * 255).round()).max() <= 1
    assert torch.equal(clips[0].latents, clips[1].latents) and not np.array_equal(clips[0].video, clips[1].video)
    assert np.array_equal(bb.decode(clips[0].latents), bb.decode(clips[0].latents))


def shifted(steps, tokens):
    """The levels as LTX-Video's own scheduler has them."""
    mu = 0.95 + (2.05 - 0.95) * (tokens - 1024) / (4096 - 1024)
    even = [1 - step * (1 - 1 / steps) / max(steps - 1, 1) for step in range(steps)]
    sigmas = [math.exp(mu) / (math.exp(mu) + 1 / one - 1) for one in even]
    return [1 - (1 - one) * (1 - 0.1) / (1 - sigmas[-1]) for one in sigmas]


@pytest.mark.parametrize("which", [None, "flow", "an instance"])
@pytest.mark.parametrize("shape", [(3, 4, 6), (21, 16, 22)])
def test_levels_are_shifted_by_the_clips_size(which, shape, ltx):
    given = FlowMatchEulerDiscreteScheduler.from_config(tiny_ltx.parts()["scheduler"].config)
    scheduler = ltx.scheduler(given if which == "an instance" else which, shape)
    scheduler.set_timesteps(8)
    found = of(scheduler, torch.device("cpu"), torch.float32)
    np.testing.assert_allclose([float(one.b) for one in found], shifted(8, math.prod(shape)), atol=1e-6)
    assert float(found[0].a) == 0 and float(found[-1].b) == pytest.approx(0.1)
    assert {one.prediction for one in found} == {"flow_prediction"}


def test_the_scheduler_of_no_size_is_the_default_clips(ltx):
    pair = ltx.scheduler(), ltx.scheduler(None, (21, 16, 22))
    for one in pair:
        one.set_timesteps(5)
    assert torch.equal(pair[0].sigmas, pair[1].sigmas)


def test_levels_of_a_distilled_checkpoint_are_not_shifted_by_size(ltx, monkeypatch):
    monkeypatch.setitem(ltx.scheduler_config, "use_dynamic_shifting", False)
    monkeypatch.setitem(ltx.scheduler_config, "shift_terminal", None)
    scheduler = ltx.scheduler()
    scheduler.set_timesteps(4)
    np.testing.assert_allclose(scheduler.sigmas, [1, 0.75, 0.5, 0.25, 0], atol=1e-6)


def test_boxes_are_of_latent_frames(ltx):
    np.testing.assert_allclose(ltx.latent_boxes(TRACK), [TRACK[0], TRACK[1:9].mean(0), TRACK[9:17].mean(0)])
    assert ltx.latent_frames(161) == 21
    with pytest.raises(UserError, match=r"8k\+1 frames, not of 13: use 9 or 17"):
        make(ltx, case=Case("short", PROMPT, (Subject("zebra", TRACK[:13]),)))


def test_what_has_no_meaning_is_refused(ltx, start):
    with pytest.raises(UserError, match="over the whole clip at once"):
        make(ltx, "trailblazer", latents=start)
    with pytest.raises(UserError, match=r"takes masks only, and the method edits it otherwise \(str\)"):
        ltx.edited({ltx.sites(start.shape[2:])[0]: "another edit"}, 1)
    for scheduler in ("ddim", "dpm"):
        with pytest.raises(UserError, match=r"is variance-preserving, .* is of the straight path .*; use 'flow'"):
            make(ltx, scheduler=scheduler)


def test_one_step_goes_from_noise_to_the_end(ltx, start):
    """The library's stretching of the levels has no answer for one."""
    scheduler = ltx.scheduler()
    scheduler.set_timesteps(1)
    assert scheduler.sigmas.tolist() == [1, 0] and make(ltx, latents=start, steps=1).latents.isfinite().all()


def test_tokens_of_several_cells_are_refused(tmp_path):
    folder = tiny_ltx.write(tmp_path / "made")
    config = folder / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"patch_size": 2}))
    with pytest.raises(UserError, match="a token of LTX-Video is one latent cell"):
        Backbone.from_pretrained(folder)


def test_padding_is_seen_by_nobody(ltx, start):
    """Its states are zero, and zero states may be anything else without a difference."""
    states = ltx.encode_prompt(["", PROMPT])
    words = [len(ltx.phrase_ids(text)) for text in ("", PROMPT)]
    assert [int((one != 0).any(-1).sum()) for one in states] == words
    assert torch.equal(make(ltx, latents=start, prompt_embeds=states).latents, make(ltx, latents=start).latents)
    shorter = states.clone()
    shorter[1, words[1] - 2 :] = 0
    assert not torch.equal(make(ltx, latents=start, prompt_embeds=shorter).latents, make(ltx, latents=start).latents)


def token_masks(case):
    """bool [K,T], in the order frame, row, column: boxes of latent frames, both ends truncated."""
    height, width = GRID
    found = np.zeros((len(case.subjects), LATENT, height, width), bool)
    for k, subject in enumerate(case.subjects):
        track = [subject.boxes[0], subject.boxes[1:9].mean(0), subject.boxes[9:17].mean(0)]
        for f, (x0, y0, x1, y1) in enumerate(track):
            found[k, f, int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = True
    return torch.from_numpy(found.reshape(len(found), -1))


class Dense:
    """The masks written out pair by pair, in float64, around the library's own projections. Of the text only what is
    read is there at all, of each guidance half; who may see none of it sees all of it."""

    def __init__(self, allowed, normalise, multiply=False):
        self.allowed, self.normalise, self.multiply = allowed, normalise, multiply

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, image_rotary_emb=None):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(context)), attn.to_v(context)
        if image_rotary_emb is not None:
            turn = torch.complex(image_rotary_emb[0][..., 0::2].double(), image_rotary_emb[1][..., 1::2].double())
            q, k = (
                torch.view_as_real(torch.view_as_complex(one.double().unflatten(-1, (-1, 2)).contiguous()) * turn)
                .flatten(-2)
                for one in (q, k)
            )  # fmt: skip
        q, k, v = (one.unflatten(2, (attn.heads, -1)).transpose(1, 2).double() for one in (q, k, v))
        logits, allowed = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, self.allowed
        read = torch.ones(logits.shape[-1], dtype=torch.bool)
        if attention_mask is not None:
            read = attention_mask[0, 0] == 0
        seen = allowed & read
        seen = torch.where(seen.any(-1, keepdim=True), seen, read)
        hidden = logits.masked_fill(~seen, -torch.inf)
        if self.multiply:
            hidden = (logits * allowed).masked_fill(~read, -torch.inf)
        plain, out = (one.softmax(-1) @ v for one in (logits.masked_fill(~read, -torch.inf), hidden))
        out, plain = (one.transpose(1, 2).flatten(2).to(hidden_states.dtype) for one in (out, plain))
        if self.normalise:
            out = torch.cat(
                [match_exactly(*pair) for pair in zip(out.chunk(LATENT, 1), plain.chunk(LATENT, 1), strict=True)], 1
            )
        return attn.to_out[0](out)


def dense(bb, case, scope, **how):
    """Processors of every masked layer."""
    m, ids = token_masks(case), bb.token_ids(case.prompt)
    y = torch.tensor([[token in bb.phrase_ids(subject.phrase)[:-1] for token in ids] for subject in case.subjects])
    background = ~m.any(0)
    own = (m[:, :, None] & m[:, None, :]).any(0) | background[:, None] & background[None, :]
    text = ~background[:, None] & y.any(0)[None, :] | background[:, None] & ~y.any(0)[None, :]
    return {
        name: Dense(own if ".attn1." in name else text, **how)
        for name in bb.transformer.attn_processors
        if scope == "official" or int(name.split(".")[1]) >= 2
    }


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("case", [CASE, TWO], ids=["one", "two"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("peekaboo", {"scope": "official"}),
        ("peekaboo", {"scope": "paper"}),
        ("peekaboo", {"scope": "paper", "mask": "multiplicative"}),
        ("mask-norm", {"scope": "paper"}),
    ],
)
def test_masks_are_those_written_out_pair_by_pair(method, options, case, grouped, ltx, start, monkeypatch):
    monkeypatch.setattr(masked, "GROUPED_FROM", 1 if grouped else 10**9)
    ours = make(ltx, method, {"frozen_steps": 2, **options}, case, latents=start, return_trajectory=True)
    assert not torch.equal(ours.latents, make(ltx, latents=start).latents)
    before, states = dict(ltx.transformer.attn_processors), ltx.encode_prompt(["", PROMPT])
    layers = dense(ltx, case, options["scope"], normalise=method == "mask-norm", multiply="mask" in options)
    scheduler, latents = ltx.scheduler(None, start.shape[2:]), packed(start)
    scheduler.set_timesteps(3)
    with torch.no_grad():
        for step, timestep in enumerate(scheduler.timesteps):
            ltx.transformer.set_attn_processor({**before, **(layers if step < 2 else {})})
            pair = [
                ltx.transformer(
                    latents, one[None], timestep.expand(1),
                    (torch.arange(LENGTH) < len(ltx.phrase_ids(text)))[None].long(), *start.shape[2:], (8 / 25, 32, 32),
                ).sample
                for one, text in zip(states, ("", PROMPT), strict=True)
            ]  # fmt: skip
            ltx.transformer.set_attn_processor(dict(before))
            latents = scheduler.step(pair[0] + 4.0 * (pair[1] - pair[0]), timestep, latents, return_dict=False)[0]
            error = (packed(ours.trajectory[step][None]) - latents).abs().max()
            # Values that are put in another's order: near-equal ones may change places.
            assert error < (5e-2 if method == "mask-norm" else 2e-4), (step, error)


def test_a_subject_without_a_phrase_gets_no_text(ltx, start):
    """And the others what they got: the words that are read, and no padding."""
    wordless = Case("w", PROMPT, (Subject(None, TRACK),))
    seen, inside = [], token_masks(CASE)[0]
    layer = ltx.transformer.transformer_blocks[0].attn2
    handle = layer.register_forward_hook(lambda module, args, out: seen.append(out[0]))
    make(ltx, case=wordless, latents=start, steps=1)
    make(ltx, "peekaboo", {"without": ("self",)}, wordless, latents=start, steps=1)
    handle.remove()
    for plain, masked_output in zip(seen[:2], seen[2:], strict=True):
        assert not masked_output[inside].any() and plain[inside].all()
        torch.testing.assert_close(masked_output[~inside], plain[~inside], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("method", "nfe"), [("id", 6), ("tid", 6), ("mask-norm", 3)])
def test_intrinsic_denoising_runs_with_its_own_scheduler(method, nfe, ltx, start):
    clip = make(ltx, method, latents=start)
    assert clip.nfe == nfe and clip.latents.isfinite().all()
    assert not torch.equal(clip.latents, make(ltx, latents=start).latents)


def test_exact_gradients_go_through_the_transformer(ltx, start):
    exact = make(ltx, "tid", {"gradient": "exact"}, latents=start, steps=2)
    assert exact.backward == 2
    assert not torch.equal(exact.latents, make(ltx, "tid", latents=start, steps=2).latents)


def test_clips_of_a_batch_are_those_made_alone(ltx, start):
    """Their prompts are of unequal lengths: each has its own padding."""
    cases = [CASE, Case("still", "a dog", (Subject("dog", np.tile([0.1, 0.1, 0.6, 0.9], (FRAMES, 1))),))]
    alone = [make(ltx, "peekaboo", case=one, latents=start).latents for one in cases]
    batch = generate_batch(
        ltx, cases, "peekaboo", {}, 3, 4.0, [0, 0], latents=torch.cat([start, start]), output="latent"
    )  # fmt: skip
    for one, other in zip(alone, batch, strict=True):
        torch.testing.assert_close(one, other.latents, rtol=0, atol=1e-4)


def test_half_precision_and_offloading(folder, ltx, start):
    for dtype, of_vae in ((torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32)):
        half = Backbone.from_pretrained(folder, dtype=dtype)
        assert {weight.dtype for weight in half.transformer.parameters()} == {dtype}
        assert {weight.dtype for weight in half.vae.parameters()} == {of_vae}
        clip = make(half, "mask-norm", latents=start, steps=2, output="video")
        assert clip.latents.isfinite().all() and clip.video.std() > 0
    moved = make(Backbone.from_pretrained(folder, offload=True), "peekaboo", latents=start).latents
    assert torch.equal(moved, make(ltx, "peekaboo", latents=start).latents)


def test_an_adapter_of_the_transformer_is_merged(folder, ltx, tmp_path):
    """As diffusers saves it: with the part's name before each key."""
    name = "transformer_blocks.0.attn1.to_q"
    up, down = torch.ones(24, 2), torch.ones(2, 24)
    keys = {f"transformer.{name}.lora_B.weight": up, f"transformer.{name}.lora_A.weight": down}
    save_file(keys, tmp_path / "a.safetensors")
    merged = Backbone.from_pretrained(folder, lora=tmp_path / "a.safetensors")
    before, after = (bb.transformer.get_submodule(name).weight for bb in (ltx, merged))
    torch.testing.assert_close(after, before + 2)
