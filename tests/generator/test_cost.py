"""Counted costs against the real thing: the same network run on the CPU, and the sampler's own count."""

import numpy as np
import pytest
import tiny_cogvideox
import tiny_ltx
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ivgbench.cases import Case, Subject
from ivgbench.generator.backbones import presets, sources
from ivgbench.generator.cost import Costs
from ivgbench.generator.metering import FusedAttention, Meter
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import Sampling

COUNTED = [
    ("trailblazer", {}, 1),
    ("trailblazer", {}, 2),
    ("id", {"inner_steps": 2, "window": (1, 3)}, 1),
    ("id", {"gamma": 0.0}, 1),
    ("tid", {"frozen_steps": 1}, 1),
    ("tid", {"gradient": "exact", "frozen_steps": 1, "guided_steps": "frozen"}, 1),
    ("freeinit", {"rounds": 3}, 1),
    ("freeinit", {"rounds": 3, "fast": True}, 1),
    ("freeinit", {"rounds": 2, "base": "tid", "base.gradient": "exact"}, 1),
    ("freeinit", {"rounds": 2, "base": "trailblazer"}, 2),
    ("freetraj", {}, 1),
    ("direct-a-video", {}, 2),
    ("lvd", {"maps": "half-and-quarter", "loss_threshold": 0.0, "max_iter": (2, 1), "max_index_step": 2}, 2),
    ("lvd", {"max_iter": 0}, 1),
]


@pytest.fixture(scope="module")
def costs():
    """The pocket's own architecture, frames of 48 x 80 pixels."""
    return Costs(sources.architecture("pocket"), presets.PRESETS["pocket"], torch.float32)


@pytest.fixture(scope="module")
def small(tiny):
    """The test model's denoiser, in place of a whole backbone, on latents of 8 x 12 cells."""
    own = {"unet": tiny.unet.config, "text_encoder": tiny.text_encoder.config.to_dict()}
    made = Costs(sources.architecture("pocket") | own, presets.PRESETS["pocket"], torch.float32)
    made.backbone.latent_height, made.backbone.latent_width = 8, 12
    return made


@pytest.mark.parametrize(("method", "options", "subjects"), COUNTED)
def test_evaluations_are_those_of_a_real_run(small, make, case, two, method, options, subjects):
    asked = (case, two)[subjects - 1]
    clip = make(asked, method, options, steps=3)
    cost = small.of(resolve(method, options), asked, Sampling(3, 4.0))
    assert (cost.evaluations, cost.backward) == (clip.nfe, clip.backward)


@pytest.mark.parametrize("method", ["plain", "peekaboo", "trailblazer", "mask-norm", "direct-a-video", "freetraj"])
def test_operations_are_those_of_a_real_run(small, make, case, method):
    embeds = torch.randn(2, 77, 32)
    # Spelled out, attention is two products of matrices: not every version of torch counts its fused kernel on a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        make(case, method, steps=2, prompt_embeds=embeds)
    counted = small.of(resolve(method), case, Sampling(2, 4.0)).flops - small._decoding((4, case.frames, 8, 12))[0]
    assert counted == counter.get_total_flops()


def test_memory_is_what_lives_at_once():
    with torch.device("meta"):
        layer = torch.nn.Linear(1024, 4096)
        with Meter(layer) as meter, torch.no_grad():
            x = torch.empty(8, 1024)
            y = layer(x)
            z = y * 2
            del y
            w = z + 1
    assert (meter.peak, meter.alive) == (4 * 8 * (1024 + 2 * 4096),) * 2
    assert meter.flops == 2 * 8 * 1024 * 4096
    del x, z, w
    assert meter.alive == 0


def test_fused_attention_counts_its_products_and_keeps_no_map():
    q = torch.empty(2, 3, 100, 16, device="meta", requires_grad=True)
    k = torch.empty(2, 3, 50, 16, device="meta")
    with Meter() as meter, FusedAttention(meter):
        out = torch.nn.functional.scaled_dot_product_attention(q, k, k)
        forward = meter.flops
        out.sum().backward()
    assert out.shape == q.shape and forward == 2 * (2 * 3) * 2 * 100 * 50 * 16
    assert meter.flops == forward * 7 // 2
    assert meter.peak < 4 * 2 * 3 * 100 * 50 + 10 * q.numel() * 4


def test_more_frames_and_subjects_cost_more(small, case, two):
    def clip(subjects, frames):
        still = tuple(Subject(subject.phrase, np.tile(subject.boxes[:1], (frames, 1))) for subject in subjects)
        return Case("x", "a zebra and a dog", still)

    plain, trailblazer = resolve("plain"), resolve("trailblazer")
    short, long = (small.of(plain, clip(case.subjects, frames), Sampling(2, 3.0)) for frames in (4, 16))
    assert 3.5 < long.flops / short.flops < 5 and long.peak > short.peak > long.weights[0]
    one, both = (small.of(trailblazer, clip(s, 4), Sampling(2, 3.0)) for s in (case.subjects, two.subjects))
    assert (one.evaluations, both.evaluations) == (2, 6) and both.flops > 2 * one.flops


def test_masks_that_are_kept_count(small, case):
    plain, masked = (small.of(resolve(method), case, Sampling(2, 4.0)).working[0] for method in ("plain", "peekaboo"))
    # R1 at the three levels, float32: it alone is kept as [frames, cells, cells].
    assert masked >= plain + 4 * case.frames * sum(cells**2 for cells in (8 * 12, 4 * 6, 2 * 3))


def test_offloading_holds_one_part_at_a_time(costs, case):
    cost = costs.of(resolve("plain"), case, Sampling(2, 3.0))
    text, denoiser, vae = cost.weights
    assert cost.peak_offloaded == max(text, denoiser + cost.working[0], vae + cost.working[1])
    assert cost.peak == text + denoiser + vae + max(cost.working) > cost.peak_offloaded


def test_a_real_run_on_the_pocket_agrees_with_its_parameters(costs):
    from ivgbench.generator import Backbone

    bb = Backbone.from_pretrained("pocket")
    assert costs.weights == tuple(
        sum(p.numel() * p.element_size() for p in part.parameters()) for part in (bb.text_encoder, bb.unet, bb.vae)
    )
    hollow = costs.backbone
    assert (hollow.latent_height, hollow.latent_width) == (bb.latent_height, bb.latent_width) == (12, 20)


def test_going_back_through_the_network_costs_more(small, case):
    detached, exact = (
        small.of(resolve("tid", {"gradient": gradient}), case, Sampling(2, 3.0)) for gradient in ("detached", "exact")
    )
    assert exact.evaluations == detached.evaluations and (exact.backward, detached.backward) == (2, 0)
    assert exact.flops > 1.3 * detached.flops and exact.working[0] > 3 * detached.working[0]


def test_looking_at_maps_costs_half_an_evaluation_as_far_as_the_last_and_back(small, case):
    """Of one gradient step, by the layers that are looked at: memory and work are of what lies before the last."""
    options = {"loss_threshold": 0.0, "max_iter": 1, "max_index_step": 1}
    plain = small.of(resolve("plain"), case, Sampling(1, 3.0))
    early, late = (
        small.of(resolve("lvd", options | {"maps": (layer,)}), case, Sampling(1, 3.0))
        for layer in (("down", 1, 0), ("up", 2, 1))
    )
    assert (early.evaluations, early.backward) == (late.evaluations, late.backward) == (1.5, 1)
    assert plain.flops < early.flops < late.flops < 3.5 * plain.flops
    assert plain.working[0] <= early.working[0] < late.working[0]


def test_a_threshold_is_taken_not_to_be_met(small, case, make):
    options = {"maps": "half-and-quarter", "loss_threshold": 1000.0}
    assert make(case, "lvd", options, steps=3).nfe == 3.5
    assert small.of(resolve("lvd", options), case, Sampling(3, 4.0)).evaluations == 3 + 3 * 5 / 2


def test_a_half_evaluation_is_walked_through_for_itself(small, case):
    """The hook by itself: no gradient, nothing looked at."""
    from ivgbench.generator.methods.base import Run
    from ivgbench.generator.methods.plain import Plain

    class Half(Plain):
        def start(self, setup):
            run = Run()
            run.before_step = lambda step, latents, network: network.conditional(latents)
            return run

    plain, half = small.of(resolve("plain"), case, Sampling(2, 3.0)), small.of(Half(), case, Sampling(2, 3.0))
    assert (plain.evaluations, half.evaluations) == (2, 3)
    decoding = small._decoding((4, case.frames, 8, 12))[0]
    assert half.flops - decoding == pytest.approx(1.5 * (plain.flops - decoding), rel=1e-3)


def test_the_published_wan_costs_what_its_formula_says():
    """B blocks of width C: T tokens of the clip, L of the text; a multiplication and an addition count two."""
    wan = Costs(sources.architecture("wan-1.3b"), presets.PRESETS["wan-1.3b"], torch.bfloat16)
    text, transformer, vae = (sum(p.numel() for p in part.parameters()) for part in wan.backbone.modules().values())
    assert (text, transformer, vae) == (5_680_910_336, 1_418_996_800, 126_892_531)
    case = Case("x", "a zebra", (Subject("zebra", np.tile([0.1, 0.2, 0.5, 0.7], (5, 1))),))
    tokens, texts, width, inner = 2 * 30 * 52, 512, 1536, 8960
    per_block = 2 * tokens * (6 * width**2 + 2 * width * inner) + 4 * texts * width**2
    per_block += 4 * tokens**2 * width + 4 * tokens * texts * width
    wan._decoding = lambda shape: (0, 0)
    plain, masked = (wan.of(resolve(method), case, Sampling(1, 5.0)) for method in ("plain", "peekaboo"))
    assert plain.flops == pytest.approx(2 * 30 * per_block, rel=0.01)
    # No forbidden pair is computed.
    assert 0.6 * plain.flops < masked.flops < plain.flops


@pytest.mark.parametrize(
    ("name", "blocks", "width", "parameters"),
    [("cogvideox-2b", 30, 1920, 1_693_783_872), ("cogvideox-5b", 42, 3072, 5_570_283_072)],
)
def test_the_published_cogvideox_costs_what_its_formula_says(name, blocks, width, parameters):
    """One sequence of text and cells. At the full size 120 and 332 TFLOP forward."""
    cog = Costs(sources.architecture(name), presets.PRESETS[name], torch.bfloat16)
    counts = [sum(p.numel() for p in part.parameters()) for part in cog.backbone.modules().values()]
    assert counts == [4_762_310_656, parameters, 215_583_907]
    case = Case("x", "a zebra", (Subject("zebra", np.tile([0.1, 0.2, 0.5, 0.7], (9, 1))),))
    tokens = 226 + 3 * 30 * 45
    cog._decoding = lambda shape: (0, 0)
    plain = cog.of(resolve("plain"), case, Sampling(1, 6.0))
    assert plain.flops == pytest.approx(2 * blocks * (24 * tokens * width**2 + 4 * tokens**2 * width), rel=0.02)
    if blocks == 30:  # no forbidden pair is computed
        assert 0.6 * plain.flops < cog.of(resolve("peekaboo"), case, Sampling(1, 6.0)).flops < plain.flops


def test_the_published_ltx_costs_what_its_formula_says():
    ltx = Costs(sources.architecture("ltx-video"), presets.PRESETS["ltx-video"], torch.bfloat16)
    counts = [sum(p.numel() for p in part.parameters()) for part in ltx.backbone.modules().values()]
    assert counts == [4_762_310_656, 1_923_385_472, 419_193_649]
    case = Case("x", "a zebra", (Subject("zebra", np.tile([0.1, 0.2, 0.5, 0.7], (161, 1))),))
    ltx._decoding = lambda shape: (0, 0)
    plain = ltx.of(resolve("plain"), case, Sampling(1, 3.0))
    tokens, texts, width = 21 * 16 * 22, 128, 2048
    per_block = 2 * tokens * 14 * width**2 + 4 * texts * width**2 + 4 * tokens**2 * width + 4 * tokens * texts * width
    assert plain.flops == pytest.approx(2 * 28 * per_block, rel=0.01) == pytest.approx(74e12, rel=0.01)


@pytest.mark.parametrize("made", [tiny_cogvideox, tiny_ltx])
@pytest.mark.parametrize("method", ["plain", "peekaboo", "mask-norm"])
def test_operations_of_a_small_transformer_are_those_of_a_real_run(made, method, tmp_path):
    from ivgbench.generator import Backbone, generate

    folder = made.write(tmp_path / "made")
    case = Case("x", "a zebra and a dog", (Subject("zebra", np.tile([0.1, 0.2, 0.5, 0.7], (17, 1))),))
    costs = Costs(sources.architecture(str(folder)), sources.preset(str(folder))[1], torch.float32)
    costs._decoding = lambda shape: (0, 0)
    costs.backbone.latent_height, costs.backbone.latent_width = 4, 6
    bb = Backbone.from_pretrained(folder)
    start = torch.randn(1, bb.latent_channels, bb.latent_frames(17), 4, 6)
    embeds = torch.randn(2, bb.reader.length, bb.text_width)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        generate(bb, case, method, steps=2, guidance_scale=4.0, latents=start, prompt_embeds=embeds, output="latent")
    assert costs.of(resolve(method), case, Sampling(2, 4.0)).flops == counter.get_total_flops()
