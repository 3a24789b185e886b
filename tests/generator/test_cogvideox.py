"""CogVideoX: diffusers' own pipeline where nothing is edited, and the joint masks in float64 where they are on."""

import json
import shutil

import numpy as np
import pytest
import tiny_cogvideox
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, CogVideoXPipeline, DDIMScheduler, TCDScheduler

from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate, inputs, schedulers
from ivgbench.generator.backbones import layout
from ivgbench.generator.edits import masked
from ivgbench.generator.edits.efdm import match_exactly
from ivgbench.generator.levels import of
from ivgbench.generator.sampler import generate_batch

FRAMES, LATENT, GRID, LENGTH = 9, 3, (4, 6), tiny_cogvideox.LENGTH
PROMPT = "a zebra and a dog on the green grass"
TRACK = boxes.interpolate({0: (0.0, 0.1, 0.5, 0.8), 8: (0.4, 0.2, 1.0, 1.0)}, FRAMES)
CASE = Case("moving", PROMPT, (Subject("zebra", TRACK),))
TWO = Case("two", PROMPT, (*CASE.subjects, Subject("dog", np.tile([0.6, 0.4, 1.0, 1.0], (FRAMES, 1)))))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("cogvideox")
    return {kind: tiny_cogvideox.write(place / kind, kind) for kind in tiny_cogvideox.KINDS}


@pytest.fixture(scope="module")
def both(folders):
    return {kind: Backbone.from_pretrained(folder) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def cog(both):
    return both["5b"]


@pytest.fixture(scope="module")
def start():
    return torch.randn(1, 4, LATENT, 2 * GRID[0], 2 * GRID[1], generator=torch.Generator().manual_seed(1))


def make(bb, method="plain", options=None, case=CASE, **other):
    return generate(bb, case, method, options or {}, **{"steps": 3, "guidance_scale": 4.0, "output": "latent"} | other)


def pipeline(kind, start, scheduler=None, **other):
    made = CogVideoXPipeline(**tiny_cogvideox.parts(kind) | ({} if scheduler is None else {"scheduler": scheduler}))
    made.set_progress_bar_config(disable=True)
    return made(
        prompt=PROMPT, negative_prompt="sea", height=64, width=96, num_frames=FRAMES, num_inference_steps=4,
        guidance_scale=4.0, latents=start.transpose(1, 2), max_sequence_length=LENGTH, **other,
    ).frames  # fmt: skip


def test_a_class_derived_from_its_scheduler_keeps_what_it_changes(cog):
    class Last(CogVideoXDPMScheduler):
        def set_timesteps(self, *arguments, **keywords):
            super().set_timesteps(*arguments, **keywords)
            self.timesteps = self.timesteps[:2]

    made = cog.scheduler(Last())
    made.set_timesteps(5)
    assert len(made.timesteps) == 2 and schedulers.name_of(made) == "Last"
    assert made.step(torch.zeros(1), made.timesteps[0], torch.ones(1))[0].isfinite().all()


def test_a_class_whose_eta_has_another_default_is_given_the_pipelines(cog, start):
    clip = make(cog, steps=4, negative_prompt="sea", latents=start, scheduler=TCDScheduler())
    theirs = pipeline("5b", start, TCDScheduler(), output_type="latent").transpose(1, 2)
    torch.testing.assert_close(clip.latents, theirs, rtol=0, atol=1e-4)


def test_it_is_found_by_its_files(cog, folders):
    assert type(cog).__name__ == "CogVideoX" and layout.family(folders["5b"]) == "cogvideox"
    assert (cog.default_steps, cog.default_guidance, cog.frames, cog.height, cog.width) == (50, 6.0, 49, 480, 720)
    index = folders["5b"] / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    assert len(layout.shards(index)) > 1
    assert (cog.latent_channels, cog.vae_scale_factor, cog.time_factor, cog.cell) == (4, 8, 4, 2)
    assert cog.reader.length == LENGTH


def test_a_folder_without_an_index_is_told_by_its_denoiser(tmp_path):
    folder = tiny_cogvideox.write(tmp_path / "made")
    (folder / "model_index.json").unlink()
    assert layout.family(folder) == "cogvideox"


@pytest.mark.parametrize("kind", tiny_cogvideox.KINDS)
def test_plain_latents_and_video_are_the_pipelines(kind, both, start):
    clip = make(both[kind], steps=4, negative_prompt="sea", latents=start, output="video")
    theirs = pipeline(kind, start, output_type="latent").transpose(1, 2)
    torch.testing.assert_close(clip.latents, theirs, rtol=0, atol=1e-5)
    assert theirs.std() > 0.5
    pixels = (pipeline(kind, start, output_type="np")[0] * 255).round()
    assert clip.video.shape == (FRAMES, 64, 96, 3)
    assert np.abs(clip.video.astype(int) - pixels).max() <= 1


def test_a_size_that_was_not_trained_has_the_pipelines_positions(both):
    """6 x 8 latents instead of 8 x 12: other sin-cos positions, and rotary ones of another crop."""
    start = torch.randn(1, 4, 3, 6, 8, generator=torch.Generator().manual_seed(2))
    case = Case("bare", PROMPT, ())
    for kind, bb in both.items():
        made = CogVideoXPipeline(**tiny_cogvideox.parts(kind))
        made.set_progress_bar_config(disable=True)
        theirs = made(
            prompt=PROMPT, height=48, width=64, num_frames=9, num_inference_steps=2, guidance_scale=4.0,
            latents=start.transpose(1, 2), max_sequence_length=LENGTH, output_type="latent",
        ).frames.transpose(1, 2)  # fmt: skip
        torch.testing.assert_close(make(bb, case=case, steps=2, latents=start).latents, theirs, rtol=0, atol=1e-5)


def dpm():
    return CogVideoXDPMScheduler.from_config(tiny_cogvideox.parts("5b")["scheduler"].config)


@pytest.mark.parametrize("given", ["dpm", "an instance", "the checkpoint's"])
def test_dpm_is_the_pipelines(given, cog, start, monkeypatch):
    """Its noise is the clip's own stream, as channels before frames; the pipeline is handed the same."""
    if given == "the checkpoint's":
        monkeypatch.setitem(cog.scheduler_config, "_class_name", "CogVideoXDPMScheduler")
    which = {"dpm": "dpm", "an instance": dpm(), "the checkpoint's": None}[given]
    clip = make(cog, steps=4, negative_prompt="sea", latents=start, scheduler=which)
    stream = inputs.clip_of(cog, CASE, 0, "", inputs.geometry(cog, [CASE], start, None), None).stream("scheduler")
    module = "diffusers.schedulers.scheduling_dpm_cogvideox.randn_tensor"
    monkeypatch.setattr(module, lambda *_, **__: torch.randn(start.shape, generator=stream).transpose(1, 2))
    theirs = pipeline("5b", start, dpm(), output_type="latent").transpose(1, 2)
    torch.testing.assert_close(clip.latents, theirs, rtol=0, atol=1e-5)


def test_named_schedulers_have_the_shifted_levels(both):
    """The library's other classes know no snr_shift_scale, and would be silently on another path."""
    for kind, (shift, _, _) in tiny_cogvideox.KINDS.items():
        own, ddim, dpm = (both[kind].scheduler(which) for which in (None, "ddim", "dpm"))
        assert type(own) is type(ddim) is CogVideoXDDIMScheduler
        assert {one.config.snr_shift_scale for one in (own, ddim, dpm)} == {shift}
        assert torch.equal(own.alphas_cumprod, ddim.alphas_cumprod)
        torch.testing.assert_close(own.alphas_cumprod, dpm.alphas_cumprod, rtol=0, atol=1e-6)
    assert not torch.equal(both["2b"].scheduler("ddim").alphas_cumprod, both["5b"].scheduler("ddim").alphas_cumprod)
    assert type(both["2b"].scheduler(DDIMScheduler())) is DDIMScheduler, "an instance is the caller's own affair"


def test_the_first_step_has_no_signal(cog):
    scheduler = cog.scheduler()
    scheduler.set_timesteps(4)
    levels = of(scheduler, torch.device("cpu"), torch.float32)
    assert [one.prediction for one in levels] == ["v_prediction"] * 4
    assert float(levels[0].a) == 0 and float(levels[0].b) == 1 and all(float(one.a) > 0 for one in levels[1:])


def test_boxes_are_of_latent_frames(cog):
    found = cog.latent_boxes(TRACK)
    np.testing.assert_allclose(found, [TRACK[0], TRACK[1:5].mean(0), TRACK[5:9].mean(0)])
    assert cog.latent_frames(49) == 13
    with pytest.raises(UserError, match=r"4k\+1 frames, not of 8: use 5 or 9"):
        make(cog, case=Case("eight", PROMPT, (Subject("zebra", TRACK[:8]),)))


def test_the_vae_makes_no_video_of_an_even_number_of_latent_frames(cog, monkeypatch):
    """It would make 8 frames of 2 latent ones, instead of 5."""
    five = Case("five", PROMPT, (Subject("zebra", TRACK[:5]),))
    start = torch.randn(1, 4, 2, 8, 12)
    assert make(cog, case=five, latents=start).latents.shape == start.shape
    monkeypatch.setattr(cog.transformer, "forward", None)  # seen beforehand
    with pytest.raises(UserError, match=r"videos of 8k\+1 frames, not of 5: use 1 or 9"):
        make(cog, case=five, latents=start, output="video")


def test_what_has_no_meaning_is_refused(cog, start):
    with pytest.raises(UserError, match="over the whole clip at once"):
        make(cog, "trailblazer", latents=start)
    with pytest.raises(UserError, match=r"takes masks only, and the method edits it otherwise \(str\)"):
        cog.edited({cog.sites(start.shape[2:])[0]: "another edit"}, 1)
    with pytest.raises(UserError, match=r"of the straight path of flow matching, .* use 'ddim'"):
        make(cog, scheduler="flow")
    with pytest.raises(UserError, match="prompt_embeds has 6 rows; give 2"):
        make(cog, latents=start, prompt_embeds=torch.zeros(6, LENGTH, 16))
    with pytest.raises(UserError, match="do not make whole tokens of 2 x 2"):
        make(cog, case=Case("bare", PROMPT, ()), latents=start[..., :7])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patch_size_t": 2}, r"CogVideoX 1\.5 has other tokens"),
        ({"in_channels": 8}, "starts from an image"),
        ({"use_learned_positional_embeddings": True}, "starts from an image"),
    ],
)
def test_relatives_that_are_another_model_are_refused(changed, message, tmp_path):
    folder = tiny_cogvideox.write(tmp_path / "made")
    config = folder / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changed))
    with pytest.raises(UserError, match=message) as refused:
        Backbone.from_pretrained(folder)
    assert str(config) in str(refused.value) and "\n" not in str(refused.value)


def token_masks(case):
    """bool [K,T], in the order frame, row, column: boxes of latent frames, both ends truncated."""
    height, width = GRID
    found = np.zeros((len(case.subjects), LATENT, height, width), bool)
    for k, subject in enumerate(case.subjects):
        track = [subject.boxes[0], subject.boxes[1:5].mean(0), subject.boxes[5:9].mean(0)]
        for f, (x0, y0, x1, y1) in enumerate(track):
            found[k, f, int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = True
    return torch.from_numpy(found.reshape(len(found), -1))


def allowed(bb, case, without=()):
    """The pairs of text and cells that may attend, bool [L+T,L+T], one by one."""
    m, ids = token_masks(case), bb.token_ids(case.prompt)
    wanted = [set() if s.phrase is None else set(bb.phrase_ids(s.phrase)[:-1]) for s in case.subjects]
    said = torch.tensor([[token in one for token in ids] for one in wanted])
    tokens = m.shape[1]
    pairs = torch.ones(LENGTH + tokens, LENGTH + tokens, dtype=torch.bool)
    for p in range(tokens):
        inside = m[:, p].any()
        if "self" not in without:
            for q in range(tokens):
                same = (m[:, p] & m[:, q]).any() or not (inside or m[:, q].any())
                pairs[LENGTH + p, LENGTH + q] = same
        if "cross" not in without:
            for word in range(LENGTH):
                pairs[LENGTH + p, word] = pairs[word, LENGTH + p] = inside == said[:, word].any()
    return pairs


class Dense:
    """The masks written out pair by pair, in float64, around the library's own projections."""

    def __init__(self, pairs, normalise):
        self.pairs, self.normalise = pairs, normalise

    def __call__(self, attn, hidden_states, encoder_hidden_states, attention_mask=None, image_rotary_emb=None):
        whole = torch.cat([encoder_hidden_states, hidden_states], 1)
        q, k, v = (
            one(whole).unflatten(2, (attn.heads, -1)).transpose(1, 2) for one in (attn.to_q, attn.to_k, attn.to_v)
        )
        q, k, v = attn.norm_q(q).double(), attn.norm_k(k).double(), v.double()
        if image_rotary_emb is not None:
            turn = torch.complex(image_rotary_emb[0][:, 0::2].double(), image_rotary_emb[1][:, 1::2].double())
            for one in (q, k):
                pairs = torch.view_as_complex(one[:, :, LENGTH:].unflatten(-1, (-1, 2)).contiguous()) * turn
                one[:, :, LENGTH:] = torch.view_as_real(pairs).flatten(-2)
        logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        plain, hidden = (one.softmax(-1) @ v for one in (logits, logits.masked_fill(~self.pairs, -torch.inf)))
        out, plain = (one.transpose(1, 2).flatten(2).to(whole.dtype) for one in (hidden, plain))
        if self.normalise:
            cells = zip(out[:, LENGTH:].chunk(LATENT, 1), plain[:, LENGTH:].chunk(LATENT, 1), strict=True)
            out = torch.cat([out[:, :LENGTH], *(match_exactly(*pair) for pair in cells)], 1)
        out = attn.to_out[0](out)
        return out[:, LENGTH:], out[:, :LENGTH]


def check_masks(bb, method, options, case, start, pairs):
    ours = make(bb, method, {"frozen_steps": 2, **options}, case, latents=start, return_trajectory=True)
    assert not torch.equal(ours.latents, make(bb, latents=start).latents)
    before, states = dict(bb.transformer.attn_processors), bb.encode_prompt(["", case.prompt])
    layers = {
        name: Dense(pairs, method == "mask-norm")
        for name in before
        if options.get("scope") == "official" or int(name.split(".")[1]) >= 2
    }
    scheduler, latents = bb.scheduler(), start
    rotary = bb._positions(*start.shape[2:]) if bb.transformer.config.use_rotary_positional_embeddings else None
    scheduler.set_timesteps(3)
    with torch.no_grad():
        for step, timestep in enumerate(scheduler.timesteps):
            bb.transformer.set_attn_processor({**before, **(layers if step < 2 else {})})
            pair = [
                bb.transformer(latents.transpose(1, 2), one[None], timestep.expand(1), image_rotary_emb=rotary)
                .sample.transpose(1, 2)
                for one in states
            ]  # fmt: skip
            bb.transformer.set_attn_processor(dict(before))
            latents = scheduler.step(pair[0] + 4.0 * (pair[1] - pair[0]), timestep, latents, return_dict=False)[0]
            error = (ours.trajectory[step] - latents[0]).abs().max()
            # Values that are put in another's order: near-equal ones may change places.
            assert error < (5e-2 if method == "mask-norm" else 2e-4), (step, error)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("kind", tiny_cogvideox.KINDS)
@pytest.mark.parametrize("case", [CASE, TWO], ids=["one", "two"])
@pytest.mark.parametrize(("method", "scope"), [("peekaboo", "official"), ("peekaboo", "paper"), ("mask-norm", "paper")])
def test_masks_are_those_written_out_pair_by_pair(method, scope, case, kind, grouped, both, start, monkeypatch):
    monkeypatch.setattr(masked, "GROUPED_FROM", 1 if grouped else 10**9)
    check_masks(both[kind], method, {"scope": scope}, case, start, allowed(both[kind], case))


@pytest.mark.parametrize("without", ["self", "cross"])
def test_parts_of_the_joint_mask_are_left_out(without, cog, start):
    options = {"scope": "paper", "without": (without,)}
    check_masks(cog, "peekaboo", options, CASE, start, allowed(cog, CASE, (without,)))
    with pytest.raises(UserError, match="nothing would be masked"):
        make(cog, "peekaboo", {"scope": "paper", "without": ("self", "cross")}, latents=start)


def test_a_subject_without_a_phrase_sees_no_text(cog, start):
    wordless = Case("w", PROMPT, (Subject(None, TRACK),))
    pairs = allowed(cog, wordless)
    assert not pairs[LENGTH:, :LENGTH][token_masks(CASE)[0]].any()
    check_masks(cog, "peekaboo", {"scope": "official"}, wordless, start, pairs)


def test_words_are_the_texts_affair(cog, start):
    options = {"without": ("self",)}
    other = Case("other", PROMPT, (Subject("grass", TRACK),))
    pair = [make(cog, "peekaboo", options, one, latents=start, steps=1).latents for one in (CASE, other)]
    assert not torch.equal(*pair)


@pytest.mark.parametrize("norm_self", [True, False])
def test_it_is_norm_self_that_normalises_cells(norm_self, cog, start):
    options = {"scope": "paper", "norm_self": norm_self, "norm_cross": not norm_self}
    clip = make(cog, "mask-norm", options, latents=start).latents
    same = torch.equal(clip, make(cog, "peekaboo", {"scope": "paper", "frozen_steps": 4}, latents=start).latents)
    assert same is not norm_self


@pytest.mark.parametrize(("method", "nfe"), [("id", 6), ("tid", 6), ("mask-norm", 3)])
def test_intrinsic_denoising_runs_from_a_start_without_signal(method, nfe, cog, start):
    clip = make(cog, method, latents=start)
    assert clip.nfe == nfe and clip.latents.isfinite().all()
    assert not torch.equal(clip.latents, make(cog, latents=start).latents)


def test_exact_gradients_go_through_the_transformer(cog, start):
    exact = make(cog, "tid", {"gradient": "exact"}, latents=start, steps=2)
    assert exact.backward == 2
    assert not torch.equal(exact.latents, make(cog, "tid", latents=start, steps=2).latents)


def test_clips_of_a_batch_are_those_made_alone(cog, start):
    cases = [CASE, Case("still", PROMPT, (Subject("dog", np.tile([0.1, 0.1, 0.6, 0.9], (FRAMES, 1))),))]
    alone = [make(cog, "peekaboo", case=one, latents=start).latents for one in cases]
    batch = generate_batch(
        cog, cases, "peekaboo", {}, 3, 4.0, [0, 0], latents=torch.cat([start, start]), output="latent"
    )  # fmt: skip
    for one, other in zip(alone, batch, strict=True):
        torch.testing.assert_close(one, other.latents, rtol=0, atol=1e-4)


def test_half_precision_and_offloading(folders, cog, start):
    half = Backbone.from_pretrained(folders["5b"], dtype=torch.bfloat16)
    assert {weight.dtype for weight in (*half.transformer.parameters(), *half.vae.parameters())} == {torch.bfloat16}
    clip = make(half, "mask-norm", latents=start, steps=2, output="video")
    assert clip.latents.isfinite().all() and clip.video.std() > 0
    moved = make(Backbone.from_pretrained(folders["5b"], offload=True), "peekaboo", latents=start).latents
    assert torch.equal(moved, make(cog, "peekaboo", latents=start).latents)


def test_without_a_vae_latents_are_made(tmp_path, start):
    folder = tiny_cogvideox.write(tmp_path / "made")
    shutil.rmtree(folder / "vae")
    bb = Backbone.from_pretrained(folder)
    assert (bb.time_factor, bb.vae_scale_factor) == (4, 8)
    assert make(bb, latents=start).video is None
    with pytest.raises(UserError, match="has no VAE"):
        make(bb, latents=start, output="video")
