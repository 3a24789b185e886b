"""Wan: diffusers' own pipeline where nothing is edited, and the masks written out in float64 where they are."""

import json
import shutil

import numpy as np
import pytest
import tiny_wan
import torch
from diffusers import DPMSolverMultistepScheduler, WanPipeline

from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate
from ivgbench.generator.backbones import hashing, layout
from ivgbench.generator.edits import masked
from ivgbench.generator.edits.efdm import match_exactly

FRAMES, LATENT, GRID = 9, 3, (4, 6)
PROMPT = "a zebra and a dog on the green grass"
TRACK = boxes.interpolate({0: (0.0, 0.1, 0.5, 0.8), 8: (0.4, 0.2, 1.0, 1.0)}, FRAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_wan.write(tmp_path_factory.mktemp("wan"))


@pytest.fixture(scope="module")
def wan(folder):
    return Backbone.from_pretrained(folder)


@pytest.fixture(scope="module")
def start():
    return torch.randn(1, 4, LATENT, 2 * GRID[0], 2 * GRID[1], generator=torch.Generator().manual_seed(1))


CASE = Case("moving", PROMPT, (Subject("zebra", TRACK),))
TWO = Case("two", PROMPT, (*CASE.subjects, Subject("dog", np.tile([0.6, 0.4, 1.0, 1.0], (FRAMES, 1)))))


def make(bb, method="plain", options=None, case=CASE, **other):
    return generate(bb, case, method, options or {}, **{"steps": 3, "guidance_scale": 4.0, "output": "latent"} | other)


def test_it_is_found_by_its_files(wan, folder):
    assert type(wan).__name__ == "Wan" and layout.family(folder) == "wan"
    assert (wan.default_steps, wan.default_guidance, wan.frames) == (50, 5.0, 81)
    index = folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    assert len(layout.shards(index)) > 1
    assert (wan.latent_channels, wan.vae_scale_factor, wan.time_factor) == (4, 8, 4)


def test_plain_latents_and_video_are_the_pipelines(wan, start):
    pipeline = WanPipeline(**tiny_wan.parts())
    pipeline.set_progress_bar_config(disable=True)
    asked = dict(
        prompt=PROMPT, negative_prompt="sea", height=64, width=96, num_frames=FRAMES, num_inference_steps=4,
        guidance_scale=4.0, latents=start,
    )  # fmt: skip
    theirs = pipeline(**asked, output_type="latent").frames
    clip = make(wan, steps=4, negative_prompt="sea", latents=start, output="video")
    torch.testing.assert_close(clip.latents, theirs, rtol=0, atol=1e-6)
    pixels = (pipeline(**asked, output_type="np").frames[0] * 255).round()
    assert clip.video.shape == (FRAMES, 64, 96, 3)
    assert np.abs(clip.video.astype(int) - pixels).max() <= 1


def test_without_guidance_latents_are_the_conditional_halfs(folder, start):
    """As in the pipeline, which then evaluates no other; in half precision their sum would be rounded."""
    half = Backbone.from_pretrained(folder, dtype=torch.bfloat16)
    found = [make(half, latents=start, guidance_scale=1, negative_prompt=text).latents for text in ("", "sea")]
    assert torch.equal(*found)


def test_a_config_with_an_infinite_bound_is_read(tmp_path, start):
    """As the library writes it."""
    folder = tiny_wan.write(tmp_path / "made")
    own = DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0)
    own.save_pretrained(folder / "scheduler")
    assert "-Infinity" in (folder / "scheduler" / "scheduler_config.json").read_text()
    assert make(Backbone.from_pretrained(folder), latents=start).latents.isfinite().all()


def test_a_latent_frame_has_the_mean_box_of_its_frames(wan):
    found = wan.latent_boxes(TRACK)
    np.testing.assert_allclose(found, [TRACK[0], TRACK[1:5].mean(0), TRACK[5:9].mean(0)])
    assert wan.latent_frames(81) == 21
    with pytest.raises(UserError, match=r"4k\+1 frames, not of 8: use 5 or 9"):
        make(wan, case=Case("eight", PROMPT, (Subject("zebra", TRACK[:8]),)))


def test_what_has_no_meaning_is_refused(wan, start):
    with pytest.raises(UserError, match="over the whole clip at once"):
        make(wan, "trailblazer", latents=start)
    with pytest.raises(UserError, match=r"corrector, or .* would undo it"):
        make(wan, "id", latents=start)
    for scheduler in ("ddim", "dpm"):
        with pytest.raises(UserError, match=r"is variance-preserving, .* is of the straight path .*; use 'flow'"):
            make(wan, scheduler=scheduler)
    with pytest.raises(
        UserError, match=r"DPMSolverMultistepScheduler is variance-preserving and of flow_prediction at"
    ):
        make(wan, latents=start, scheduler=DPMSolverMultistepScheduler(prediction_type="flow_prediction"))
    with pytest.raises(UserError, match="prompt_embeds has 6 rows; give 2"):
        make(wan, latents=start, prompt_embeds=torch.zeros(6, 512, 16))


def test_the_noise_along_a_path_has_a_meaning_here_and_the_rest_is_refused(wan, start):
    with pytest.raises(UserError, match="freetraj needs attention within frames"):
        make(wan, "freetraj", latents=start)
    plain, noise = make(wan, latents=start), make(wan, "freetraj", {"ddim_edit": 0}, latents=start)
    assert noise.nfe == plain.nfe and not torch.equal(noise.latents, plain.latents)
    assert torch.equal(make(wan, "freetraj", {"ddim_edit": 0, "noise": False}, latents=start).latents, plain.latents)
    with pytest.raises(UserError, match=r"freeinit needs a noise path that keeps .* flow matching"):
        make(wan, "freeinit", latents=start)
    assert torch.equal(make(wan, "freeinit", {"rounds": 1}, latents=start).latents, plain.latents)


def token_masks(case):
    """bool [K,T], in the order frame, row, column: boxes of latent frames, both ends truncated."""
    height, width = GRID
    found = np.zeros((len(case.subjects), LATENT, height, width), bool)
    for k, subject in enumerate(case.subjects):
        track = [subject.boxes[0], subject.boxes[1:5].mean(0), subject.boxes[5:9].mean(0)]
        for f, (x0, y0, x1, y1) in enumerate(track):
            found[k, f, int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = True
    return torch.from_numpy(found.reshape(len(found), -1))


class Dense:
    """The masks written out pair by pair, in float64, around the library's own projections."""

    def __init__(self, allowed, normalise):
        self.allowed, self.normalise = allowed, normalise

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(context)), attn.to_v(context)
        q, k, v = (one.unflatten(2, (attn.heads, -1)).transpose(1, 2).double() for one in (q, k, v))
        if rotary_emb is not None:
            turn = torch.complex(rotary_emb[0][0, :, 0, 0::2].double(), rotary_emb[1][0, :, 0, 1::2].double())
            q, k = (
                torch.view_as_real(torch.view_as_complex(one.unflatten(-1, (-1, 2)).contiguous()) * turn).flatten(-2)
                for one in (q, k)
            )
        logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        plain, hidden = (one.softmax(-1) @ v for one in (logits, logits.masked_fill(~self.allowed, -torch.inf)))
        out, plain = (one.transpose(1, 2).flatten(2) for one in (hidden, plain))
        if self.normalise:
            frames = [(a.float(), b.float()) for a, b in zip(out.chunk(LATENT, 1), plain.chunk(LATENT, 1), strict=True)]
            out = torch.cat([match_exactly(*pair) for pair in frames], dim=1)
        return attn.to_out[0](out.to(hidden_states.dtype))


def words_of(bb, case):
    ids = bb.token_ids(case.prompt)
    rows = [[token in bb.phrase_ids(subject.phrase)[:-1] for token in ids] for subject in case.subjects]
    return torch.tensor(rows)


def dense(bb, case, scope, normalise):
    """Processors of every masked layer."""
    m, y = token_masks(case), words_of(bb, case)
    background = ~m.any(0)
    own = (m[:, :, None] & m[:, None, :]).any(0) | background[:, None] & background[None, :]
    text = ~background[:, None] & y.any(0)[None, :] | background[:, None] & ~y.any(0)[None, :]
    return {
        name: Dense(own if ".attn1." in name else text, normalise)
        for name in bb.transformer.attn_processors
        if scope == "official" or int(name.split(".")[1]) >= 2
    }


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("case", [CASE, TWO], ids=["one", "two"])
@pytest.mark.parametrize(("method", "scope"), [("peekaboo", "official"), ("peekaboo", "paper"), ("mask-norm", "paper")])
def test_masks_are_those_written_out_pair_by_pair(method, scope, case, grouped, wan, start, monkeypatch):
    monkeypatch.setattr(masked, "GROUPED_FROM", 1 if grouped else 10**9)
    ours = make(wan, method, {"scope": scope, "frozen_steps": 2}, case, latents=start, return_trajectory=True)
    assert not torch.equal(ours.latents, make(wan, latents=start).latents)
    before = dict(wan.transformer.attn_processors)
    states, layers = wan.encode_prompt(["", PROMPT]), dense(wan, case, scope, method == "mask-norm")
    scheduler, latents = wan.scheduler(), start
    scheduler.set_timesteps(3)
    with torch.no_grad():
        for step, timestep in enumerate(scheduler.timesteps):
            wan.transformer.set_attn_processor({**before, **(layers if step < 2 else {})})
            pair = [wan.transformer(latents, timestep.expand(1), one[None], return_dict=False)[0] for one in states]
            wan.transformer.set_attn_processor(dict(before))
            latents = scheduler.step(pair[0] + 4.0 * (pair[1] - pair[0]), timestep, latents, return_dict=False)[0]
            error = (ours.trajectory[step] - latents[0]).abs().max()
            # Values that are put in another's order: near-equal ones may change places.
            assert error < (5e-2 if method == "mask-norm" else 2e-4), (step, error)


def test_a_subject_without_a_phrase_gets_no_text(wan, start):
    wordless = Case("w", PROMPT, (Subject(None, TRACK),))
    seen = []
    inside = token_masks(CASE)[0]
    layer = wan.transformer.blocks[0].attn2
    handle = layer.register_forward_hook(lambda module, args, out: seen.append(out[0].abs().sum(-1)))
    make(wan, "peekaboo", case=wordless, latents=start, steps=1)
    handle.remove()
    assert all(not one[inside].any() and one[~inside].all() for one in seen)


@pytest.mark.parametrize(("method", "nfe"), [("id", 6), ("tid", 6), ("mask-norm", 3)])
def test_intrinsic_denoising_runs_on_the_straight_path(method, nfe, wan, start):
    clip = make(wan, method, latents=start, scheduler="flow")
    assert clip.nfe == nfe and clip.latents.isfinite().all()
    assert not torch.equal(clip.latents, make(wan, latents=start, scheduler="flow").latents)


def test_an_inner_step_is_eps_mixed_with_fresh_noise(wan, start):
    """gamma 1 with a clean estimate z0: x = a z0 + b n', the same level and none of the old noise."""
    plain = make(wan, latents=start, scheduler="flow", steps=1).latents  # one step to sigma 0: z0
    one = make(wan, "id", {"gamma": 1.0, "frozen_steps": 0}, latents=start, scheduler="flow", steps=1)
    assert not torch.equal(one.latents, plain)  # at sigma 1 nothing of x is left but fresh noise
    again = make(wan, "id", {"gamma": 1.0, "frozen_steps": 0}, latents=start * 2, scheduler="flow", steps=1)
    assert one.latents.shape == again.latents.shape == start.shape


def test_exact_gradients_go_through_the_transformer(wan, start):
    exact = make(wan, "tid", {"gradient": "exact"}, latents=start, scheduler="flow", steps=2)
    assert exact.backward == 2
    assert not torch.equal(exact.latents, make(wan, "tid", latents=start, scheduler="flow", steps=2).latents)


def test_half_precision_keeps_what_must_not_be_half(folder, start):
    half = Backbone.from_pretrained(folder, dtype=torch.bfloat16)
    kinds = {name: weight.dtype for name, weight in half.transformer.named_parameters()}
    assert kinds["blocks.0.attn1.to_q.weight"] == torch.bfloat16 and kinds["scale_shift_table"] == torch.float32
    assert kinds["condition_embedder.time_embedder.linear_1.weight"] == torch.float32
    assert {weight.dtype for weight in half.vae.parameters()} == {torch.float32}
    clip = make(half, "mask-norm", latents=start, steps=2, output="video")
    assert clip.latents.dtype == torch.float32 and clip.video.std() > 0


def test_offloading_changes_no_latent(folder, wan, start):
    moved = make(Backbone.from_pretrained(folder, offload=True), "peekaboo", latents=start).latents
    assert torch.equal(moved, make(wan, "peekaboo", latents=start).latents)


def test_a_shard_that_is_not_there_is_named(tmp_path):
    made = tiny_wan.write(tmp_path / "made")
    shard = layout.shards(made / "transformer" / "diffusion_pytorch_model.safetensors.index.json")[0]
    shard.unlink()
    with pytest.raises(UserError, match=shard.name):
        Backbone.from_pretrained(made)


def test_its_identity_is_of_all_shards(tmp_path):
    made = tiny_wan.write(tmp_path / "made")
    before = hashing.weights_hash(made)
    shard = layout.shards(made / "transformer" / "diffusion_pytorch_model.safetensors.index.json")[-1]
    shard.write_bytes(shard.read_bytes() + b" ")
    assert hashing.weights_hash(made) != before


def test_words_of_a_prompt_start_at_its_first_token(wan):
    ids = wan.token_ids("zebra runs")
    assert len(ids) == 512 and wan.phrase_ids("zebra") == [ids[0], 1]
    assert wan.places("a  zebra &amp; a dog", "zebra") == [range(1, 2)]
    first = Case("first", "zebra on the grass", (Subject("zebra", TRACK),))
    start = torch.randn(1, 4, LATENT, 8, 12, generator=torch.Generator().manual_seed(1))
    other = Case("other", "zebra on the grass", (Subject("grass", TRACK),))
    pair = [
        make(wan, "peekaboo", {"without": ("self",)}, one, latents=start, steps=1).latents for one in (first, other)
    ]
    assert not torch.equal(*pair)


def test_the_attention_under_no_mask_is_the_librarys(wan, start):
    """A rule that hides nothing: one group of all tokens."""
    everything = Case("all", PROMPT, (Subject("zebra", np.tile([0.0, 0.0, 1.0, 1.0], (FRAMES, 1))),))
    options = {"without": ("cross",), "frozen_steps": 3}
    masked_latents = make(wan, "peekaboo", options, everything, latents=start).latents
    torch.testing.assert_close(masked_latents, make(wan, case=everything, latents=start).latents, rtol=0, atol=1e-5)


def changed(folder, tmp_path, file, **values):
    """A copy with other values in one of its JSON files."""
    copy = shutil.copytree(folder, tmp_path / "changed")
    (copy / file).write_text(json.dumps(json.loads((copy / file).read_text()) | values))
    return copy


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("model_index.json", {"transformer_2": ["diffusers", "WanTransformer3DModel"]}, r"a Wan 2.2 \(transformer_2\)"),
        ("model_index.json", {"expand_timesteps": True}, r"a Wan 2.2 \(expand_timesteps\)"),
        ("model_index.json", {"unet": ["diffusers", "UNet2DConditionModel"]}, "network is a 'UNet2DConditionModel'"),
        (
            "transformer/config.json",
            {"patch_size": "x"},
            "patch_size must be a whole number, or three of them, got 'x'",
        ),
        ("transformer/config.json", {"num_layers": 6}, "the weights lack 54 tensors, e.g. blocks.4"),
        (
            "transformer/config.json",
            {"num_layers": "x"},
            "transformer/config.json: it is no config of WanTransformer3D",
        ),
        (
            "transformer/config.json",
            {"ffn_dim": 2**40},  # refused without the memory for it
            r"safetensors: blocks.0.ffn.* has the shape \[.*, and by .*transformer/config.json it must have \[",
        ),
        ("vae/config.json", {"latents_std": [1.0, 2.0]}, "latents_std must be a list of 4 numbers"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "x"}, "scheduler_config.json makes no UniPC.*: x is not"),
    ],
)
def test_a_config_that_is_not_the_weights_is_refused_in_a_line(folder, tmp_path, file, values, words):
    with pytest.raises(UserError, match=words):
        make(Backbone.from_pretrained(changed(folder, tmp_path, file, **values)))


def test_parts_that_a_newer_library_names_and_leaves_out_are_none(folder, tmp_path, wan, start):
    empty = {"transformer_2": [None, None], "boundary_ratio": None, "expand_timesteps": False}
    newer = Backbone.from_pretrained(changed(folder, tmp_path, "model_index.json", **empty))
    assert torch.equal(make(newer, latents=start).latents, make(wan, latents=start).latents)


def test_a_damaged_shard_is_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "changed")
    shard = sorted((copy / "transformer").glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"{shard.name}: cannot be loaded as WanTransformer3DModel: SafetensorError"):
        Backbone.from_pretrained(copy)
