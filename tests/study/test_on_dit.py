"""A video DiT recorded, watched and searched: what the study looks at in a network without a decoder."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ivgbench import load_suite
from ivgbench.generator import generate
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.recorder import decoder_transformer, recording
from ivgbench.generator.sampling import Sampling
from ivgbench.pocket.exams.samples import base_model
from ivgbench.study import drawn, measures, probes, search_spaces
from ivgbench.study.watching import watching

STEPS = 3
OFFERS = frozenset({"positions"})


@pytest.fixture(scope="module")
def small(dit_folder):
    return base_model("pocket-dit", dit_folder)


@pytest.fixture(scope="module")
def case():
    return load_suite("pocket-tuning-static", "pocket").cases[0]


def made(small, case, method, options=None, **more):
    return generate(
        small, case, method, options, steps=STEPS, output="latent", settings="defaults", return_trajectory=True, **more
    )


def test_the_first_block_of_the_second_half_is_recorded(small):
    assert decoder_transformer(small) == decoder_transformer(small, 1) == "blocks.1"


@pytest.mark.parametrize("method", ["plain", "mask-norm", "mask-norm-id"])
def test_the_variance_is_of_both_halves_together(small, case, method):
    seen = []
    hook = small.blocks[1].register_forward_hook(lambda module, args, output: seen.append(output.double().numpy()))
    with recording(small) as recorder:
        clip = made(small, case, method, callback=recorder.step_done)
    hook.remove()
    # The last pair of each step, whatever inner steps came before; what looks on at a layer is no evaluation.
    pairs = [float(np.var(np.concatenate(seen[at : at + 2]))) for at in range(0, len(seen), 2)]
    assert len(recorder.variance["output"]) == STEPS
    found = iter(pairs)
    assert all(any(value == pytest.approx(pair, rel=1e-9) for pair in found) for value in recorder.variance["output"])
    assert torch.equal(clip.latents, made(small, case, method).latents)


def test_the_outputs_of_both_halves_are_kept(small, case):
    with recording(small) as recorder:
        made(small, case, "mask-norm", {"scope": "paper"}, callback=recorder.step_done)
    assert set(recorder.outputs) == {"attn1", "attn2"}
    for outputs in recorder.outputs.values():
        assert outputs["matched"].shape == (2, 480, 128)
        matched, unmasked, masked = (outputs[k].flatten().sort().values for k in ("matched", "unmasked", "masked"))
        assert torch.equal(matched, unmasked) and not torch.equal(masked, unmasked)


def test_the_clean_estimate_is_that_of_flow(small, case):
    # A flow Euler step is z' = z + (sigma' - sigma) u: two steps in a row give z0 = z - sigma u.
    with watching(small, [1], small.default_guidance, 2, (12, 20)) as seen:
        clip = made(small, case, "plain")
    scheduler = small.scheduler()
    scheduler.set_timesteps(STEPS)
    sigma, after = scheduler.sigmas[1:3]
    before, then = clip.trajectory[0], clip.trajectory[1]
    clean = before - sigma * (then - before) / (after - sigma)
    assert torch.allclose(seen.clean[0], clean, rtol=1e-3, atol=1e-3)
    assert "denoise" not in vars(small)


def test_text_attention_is_watched_in_the_conditional_half(small, case):
    with watching(small, [1, 2], small.default_guidance, 1, (12, 20)) as seen:
        made(small, case, "plain")
    assert seen.mass.shape == (small.reader.length,) and float(seen.mass.sum()) == pytest.approx(1, abs=1e-4)
    assert seen.maps.shape == (8, 48, 80)
    # The network looks at the caption it is conditioned on: the same again with the words' attention spelled out.
    maps = []
    for site in small.sites((8, 12, 20)):
        if site.reads == "text":
            site.layer.register_forward_hook(
                lambda module, args, kwargs, output, site=site: maps.append(small.text_maps(site, args, kwargs)),
                with_kwargs=True,
            )
    made(small, case, "plain")
    for site in small.sites((8, 12, 20)):
        site.layer._forward_hooks.clear()
        site.layer._forward_hooks_with_kwargs.clear()
    assert len(maps) == 2 * 2 * STEPS and sum(one is None for one in maps) == 2 * STEPS
    kept = torch.stack([one for one in maps if one is not None])
    assert kept.shape[1:] == (8, 4, 60, small.reader.length)
    assert torch.allclose(kept.mean((0, 1, 2, 3)), seen.mass, atol=1e-6)


def test_a_probe_has_no_bos_and_lends_padding_that_says_nothing(small, case):
    other = probes.partner(case.prompt, [one.prompt for one in load_suite("pocket-tuning-static", "pocket").cases], len)
    job = SimpleNamespace(case=case, seed=0, sampling=Sampling(2, 4.5, "flow", "", "", "float32"))
    found = probes.probe(small, job, other)
    assert np.isnan(found["sink"][0]) and 0 < found["sink"][1] <= 1 and drawn.words(case.prompt).colour
    # Its padding is zeros whatever the caption.
    assert np.array_equal(*found["right"])
    sink = measures.of_probes([found, found])["sink_mass", measures.BOTH]
    assert list(sink.values) == ["content-free"] and sink.cases == 2


def test_every_method_has_its_budget_and_no_setting_twice():
    for method in ("peekaboo", "mask-norm", "freetraj", "ditraj"):
        base = search_spaces.start(method, {}, "pocket-dit")
        tried = search_spaces.settings(method, search_spaces.TRIALS, base, OFFERS)
        assert len(tried) == search_spaces.TRIALS, method
        configs = [resolve(method, one) for one in tried]
        assert all(one.needs() <= OFFERS for one in configs)
        assert len({search_spaces._what(one, OFFERS) for one in configs}) == len(configs)


def test_settings_that_make_the_same_clips_on_a_dit_are_one():
    same = [{}, {"without": ("bos",)}, {"without": ("temporal",)}]
    assert len({search_spaces._what(resolve("peekaboo", one), OFFERS) for one in same}) == 1
    halves = [{"scope": "paper"}, {"without": ("mid",)}]
    assert len({search_spaces._what(resolve("peekaboo", one), OFFERS) for one in halves}) == 1
    assert len({search_spaces._what(resolve("peekaboo", one), None) for one in (*same, *halves)}) == 5
    noise = [{"ddim_edit": 0}, {"ddim_edit": 0, "inside": "intent", "logits": "intent"}]
    assert len({search_spaces._what(resolve("freetraj", one), OFFERS) for one in noise}) == 1


def test_the_unets_search_is_what_it_was():
    offers = frozenset({"frames", "signal"})
    for method in search_spaces.SPACES:
        if method != "ditraj" and method not in search_spaces.BUILT_ON:
            base = search_spaces.start(method, {}, "pocket")
            tried = search_spaces.settings(method, 8, base, offers)
            assert tried == search_spaces.settings(method, 8, base), method
