"""The probes on a tiny model with constructed attention, and their cache."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_lab import InlineEngine

from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate
from ivgbench.generator.sampling import Sampling
from ivgbench.store.runs import Store
from ivgbench.study import drawn, probes
from ivgbench.study.watching import watching

TINY = Path(__file__).parents[1] / "golden" / "tiny_t2v"
PROMPT = "a zebra and a dog on the green grass"
SHAPE = (8, 12)


@pytest.fixture
def tiny():
    backbone = Backbone.from_pretrained(TINY)
    backbone.height, backbone.width = 16, 24
    return backbone


def uniform(backbone):
    """Text attention that looks at nothing: all queries are zero."""
    with torch.no_grad():
        for site in backbone.sites((2, *SHAPE)):
            if site.reads == "text":
                site.layer.to_q.weight.zero_()


def watched(backbone, tokens, steps=2, step=1):
    case = Case("one", PROMPT, (Subject("zebra", np.tile([0.1, 0.2, 0.6, 0.8], (2, 1))),))
    masks = np.zeros((1, 2, *SHAPE), bool)
    with watching(backbone, tokens, 4.0, step, SHAPE) as seen:
        clip = generate(
            backbone, case, "plain", steps=steps, guidance_scale=4.0, scheduler="ddim", masks=masks, output="latent",
            return_trajectory=True,
        )  # fmt: skip
    return seen, clip


def test_uniform_attention_gives_every_token_its_share(tiny):
    uniform(tiny)
    tokens = [2, 3, 4]
    seen, _ = watched(tiny, tokens)
    assert seen.mass.numpy() == pytest.approx(np.full(77, 1 / 77), rel=1e-4)
    assert seen.maps.shape == (2, 16, 24) and seen.maps.numpy() == pytest.approx(3 / 77, rel=1e-4)


def test_what_a_caption_does_not_change_says_nothing(tiny):
    uniform(tiny)
    seen, _ = watched(tiny, [2])
    own, empty = tiny.encode_prompt([PROMPT, ""])
    free = probes.content_free(own, empty)
    assert free.nonzero().flatten().tolist() == [0]  # BOS; the tiny encoder's padding knows the caption
    # With states of zero after the end token all padding is free: the share is 1 - words / L, end token included.
    words = len(tiny.phrase_ids(PROMPT)) - 1
    own[words + 1 :] = 0
    empty[2:] = 0
    share = float(seen.mass[probes.content_free(own, empty)].sum())
    assert share == pytest.approx((77 - words) / 77, rel=1e-4)


def test_attention_is_that_of_the_conditional_half(tiny):
    own, expected = tiny.encode_prompt([PROMPT])[0], []
    for site in tiny.sites((2, *SHAPE)):
        if site.reads == "text":
            attn = site.layer
            wanted = 50 * attn.to_k(own[5])
            logits = (wanted * attn.to_k(own)).unflatten(1, (attn.heads, -1)).sum(-1) * attn.scale
            expected.append(logits.softmax(0).mean(1))
            attn.to_q.register_forward_hook(lambda module, args, output, query=wanted: query.expand_as(output))
    seen, _ = watched(tiny, [5])
    assert int(seen.mass.argmax()) == 5
    assert seen.mass.numpy() == pytest.approx(torch.stack(expected).mean(0).numpy(), rel=1e-3, abs=1e-6)


def test_watching_changes_nothing_and_leaves_nothing(tiny):
    _, clip = watched(tiny, [2])
    case = Case("one", PROMPT, (Subject("zebra", np.tile([0.1, 0.2, 0.6, 0.8], (2, 1))),))
    masks = np.zeros((1, 2, *SHAPE), bool)
    again = generate(tiny, case, "plain", steps=2, guidance_scale=4.0, scheduler="ddim", masks=masks, output="latent")
    assert torch.equal(again.latents, clip.latents)
    modules = [tiny.unet, *(site.layer for site in tiny.sites((2, *SHAPE)))]
    assert not any(module._forward_hooks for module in modules)


def test_the_clean_estimate_is_the_samplers_own(tiny):
    # A DDIM step is z' = sqrt(a') z0 + sqrt(1 - a') eps: two steps in a row give z0.
    seen, clip = watched(tiny, [2], steps=4, step=2)
    scheduler = tiny.scheduler("ddim")
    scheduler.set_timesteps(4)
    a, after = (scheduler.alphas_cumprod[int(t)] for t in scheduler.timesteps[1:3])
    before, then = clip.trajectory[0], clip.trajectory[1]
    clean = ((1 - a).sqrt() * then - (1 - after).sqrt() * before) / ((1 - a).sqrt() * after.sqrt() - (1 - after).sqrt() * a.sqrt())  # fmt: skip  # noqa: E501
    assert torch.allclose(seen.clean[0], clean, rtol=1e-3, atol=1e-3)


def test_words_and_end_token_stay_where_padding_is_lent():
    own, other = torch.zeros(6, 2), torch.ones(6, 2)
    assert probes.with_padding(own, other, 3)[:, 0].tolist() == [0, 0, 0, 0, 1, 1]


def test_padding_is_lent_by_a_caption_that_shares_no_word():
    prompts = [
        "a red star on a grey background",
        "a red ring on a navy background",
        "an orange ring on a navy background",
        "a blue circle on a teal background",
    ]
    lengths = dict(zip(prompts, (7, 7, 8, 7), strict=True))
    assert probes.partner(prompts[0], prompts, lengths.get) == prompts[3]
    assert probes.partner(prompts[3], prompts, lengths.get) == prompts[0]
    with pytest.raises(UserError, match="no caption of the suite"):
        probes.partner(prompts[0], prompts[:3], lengths.get)


def test_probes_are_made_once_and_a_failure_is_told(tmp_path, monkeypatch):
    store, made = Store(tmp_path), []

    def probe(backbone, job, other):
        if other == "bad":
            raise ValueError("no such\nthing")
        made.append(job.id)
        return {"early": np.array(0.5)}

    monkeypatch.setattr(probes, "probe", probe)
    lab = SimpleNamespace(start_worker=lambda: {}, backbone=lambda *source: source)
    jobs = [
        SimpleNamespace(
            id=f"j{k}",
            source="pocket",
            sampling=Sampling(dtype="float32"),
            lora_file="",
            describe=lambda: "plain, case c",
        )
        for k in range(2)
    ]
    items = [(job, "another") for job in jobs]
    assert [float(one["early"]) for one in probes.measure(store, lab, InlineEngine(), items)] == [0.5, 0.5]
    probes.measure(store, lab, InlineEngine(limit=0), items)
    assert made == ["j0", "j1"]
    # Another caption's padding is another probe.
    assert probes.key(jobs[0], "another") != probes.key(jobs[0], "other")
    with pytest.raises(UserError, match="probe of plain, case c: ValueError: no such thing"):
        probes.measure(store, lab, InlineEngine(), [(jobs[0], "bad")])


def test_a_probe_of_the_pocket(tmp_path):
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.spec import MethodSpec, RunSpec

    lab = Lab("cpu")
    plan = make_plan(
        RunSpec("r", (MethodSpec("plain"),), suites=("pocket-tuning-static",), cases=1, sampling=Sampling(2)), lab
    )
    (job,) = plan.jobs
    found = probes.probe(lab.backbone("pocket", "float32"), job, plan.suites["pocket-tuning-static"].cases[1].prompt)
    assert {name: value.shape for name, value in found.items()} == {
        "map_ap": (), "map_chance": (), "sink": (2,), "early": (), "right": (2, 3),
    }  # fmt: skip
    assert 0 < found["sink"][0] <= found["sink"][1] <= 1 and drawn.words(job.case.prompt).colour
