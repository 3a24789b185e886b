"""What must be true of the masked methods, whatever their defaults."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import UNet3DConditionModel

from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator.edits import rules, tau
from ivgbench.generator.methods import intrinsic, peekaboo

READINGS = ("additive", "multiplicative")
#: (method, options, the weaker method, its options): equal bit for bit.
IDENTITIES = [
    ("peekaboo", {"frozen_steps": 0}, "plain", {}),
    ("mask-norm", {"norm_self": False, "norm_cross": False}, "peekaboo", {"scope": "paper"}),
    # Official without everything that the paper does not state is the paper's scope.
    ("peekaboo", {"without": ("temporal", "mid", "bos")}, "peekaboo", {"scope": "paper"}),
    ("mask-norm", {"frozen_steps": 0}, "plain", {}),
    ("id", {"gamma": 0.0}, "mask-norm", {}),
    ("id", {"inner_steps": 0}, "mask-norm", {}),
    ("id", {"window": (0, 0)}, "mask-norm", {}),
    ("tid", {"kappa": 0.0}, "id", {}),
    ("tid", {"c_g": 0.0}, "id", {}),
    ("tid", {"guided_steps": "frozen", "frozen_steps": 0}, "id", {"frozen_steps": 0}),
    ("trailblazer", {"spatial_steps": 0, "temporal_steps": 0}, "plain", {}),
]


@pytest.mark.parametrize(("method", "options", "weaker", "theirs"), IDENTITIES)
def test_strength_zero_is_the_weaker_method(method, options, weaker, theirs, case, make):
    ours, other = make(case, method, options), make(case, weaker, theirs)
    assert torch.equal(ours.latents, other.latents) and ours.nfe == other.nfe


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("peekaboo", {}),
        ("peekaboo", {"scope": "paper"}),
        *[("peekaboo", {"without": (part,)}) for part in ("self", "cross", "temporal", "mid", "bos")],
        ("mask-norm", {}),
        ("mask-norm", {"norm_self": False}),
        ("mask-norm", {"scope": "official"}),
        ("id", {}),
        ("tid", {}),
        ("tid", {"gradient": "exact"}),
        ("trailblazer", {}),
        ("trailblazer", {"temporal_gate": "intent"}),
    ],
)
def test_every_method_changes_the_result_and_leaves_the_model_as_it_was(method, options, case, make, tiny, outcomes):
    before = dict(tiny.unet.attn_processors)
    latents = make(case, method, options).latents
    assert dict(tiny.unet.attn_processors) == before
    assert not any(torch.equal(latents, other) for other in outcomes)
    outcomes.append(latents)


@pytest.fixture(scope="module")
def outcomes(case, make):
    return [make(case).latents]


def test_the_model_is_as_it_was_after_a_failure_too(case, make, tiny, monkeypatch):
    before = dict(tiny.unet.attn_processors)

    def fail(*_):
        raise RuntimeError("inside")

    monkeypatch.setattr(tiny.unet.conv_out, "forward", fail)
    with pytest.raises(RuntimeError, match="inside"):
        make(case, "tid")
    assert dict(tiny.unet.attn_processors) == before


def test_masks_act_in_the_frozen_steps_only(case, make):
    short, long = (make(case, "peekaboo", {"frozen_steps": n}, steps=3, return_trajectory=True) for n in (1, 2))
    assert torch.equal(short.trajectory[0], long.trajectory[0])
    assert not torch.equal(short.trajectory[1], long.trajectory[1])


def test_which_layers_each_scope_masks(case, tiny, make, monkeypatch):
    seen = []
    real = type(tiny).edited
    monkeypatch.setattr(
        type(tiny), "edited", lambda bb, on, clips: seen.append({site.name for site in on}) or real(bb, on, clips)
    )
    for scope in ("official", "paper"):
        make(case, "peekaboo", {"scope": scope, "frozen_steps": 1}, steps=1)
    official, paper = ({n.rsplit(".transformer_blocks", 1)[0].split(".")[0] for n in names} for names in seen)
    assert official == {"mid_block", "up_blocks"} and paper == {"up_blocks"}
    assert any("temp_attentions" in name for name in seen[0]) and not any("temp_attentions" in n for n in seen[1])


def test_a_method_that_masks_nothing_is_refused(case, make, tiny):
    torch.manual_seed(0)
    bare = UNet3DConditionModel(
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "UpBlock3D"),
        block_out_channels=(32, 32),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=16,
    ).eval()
    other = object.__new__(type(tiny))
    other.__dict__ = {**tiny.__dict__, "unet": bare}
    with pytest.raises(UserError, match="nothing would be masked"):
        make(case, "peekaboo", {"scope": "paper"}, bb=other)


def test_masks_without_a_part_they_do_not_have_are_refused(case, make):
    with pytest.raises(UserError, match="scope 'paper' has no part 'mid' to be without; it has self, cross"):
        make(case, "mask-norm", {"without": ("mid",)})
    with pytest.raises(UserError, match="'all' is not allowed"):
        make(case, "peekaboo", {"without": ("all",)})
    with pytest.raises(UserError, match="nothing would be masked"):
        make(case, "tid", {"without": ("self", "cross")})


def test_a_subject_is_needed(make, tiny, case):
    empty = dataclasses.replace(case, subjects=())
    for method in ("peekaboo", "mask-norm", "trailblazer"):
        with pytest.raises(UserError, match="no subject"):
            make(empty, method, masks=np.zeros((0, 3, 8, 12), dtype=bool))


@pytest.mark.parametrize("method", ["peekaboo", "mask-norm"])
def test_a_subject_given_twice_is_one_subject(method, case, make):
    twice = dataclasses.replace(case, subjects=case.subjects * 2)
    # Another case has other noise; give both the same.
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    once = make(case, method, latents=start).latents
    assert torch.equal(make(twice, method, latents=start).latents, once)


def test_own_words_differ_for_two_subjects_and_not_for_one(case, two, make):
    one = [make(case, "peekaboo", {"bind": bind}).latents for bind in ("all-words", "own-words")]
    several = [make(two, "peekaboo", {"bind": bind}).latents for bind in ("all-words", "own-words")]
    assert torch.equal(*one) and not torch.equal(*several)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("peekaboo", {}),
        ("peekaboo", {"scope": "paper"}),
        ("peekaboo", {"bind": "own-words"}),
        ("mask-norm", {}),
        ("id", {}),
        ("tid", {}),
    ],
)
def test_one_subject_is_what_it_is_without_the_rules_for_several(method, options, case, make, monkeypatch):
    """Bit for bit: the formulas for one subject alone, in the place of those for any number."""
    several = make(case, method, options).latents

    def text(masks, words, bos, own_words):
        allowed = masks[0][:, None] == words[0][None, :]
        allowed[:, 0] = ~masks[0] & bos
        return allowed

    def one_tau(clean, boxes, grid):
        return torch.stack([tau._pair(clean, f, boxes[0, f : f + 2], grid) for f in range(clean.shape[1] - 1)]).mean()

    called = []
    formulas = {
        (rules, "self_allowed"): lambda masks: masks[0][:, None] == masks[0][None, :],
        (rules, "cross_allowed"): text,
        (rules, "temporal_allowed"): lambda masks: masks[0].T[:, :, None] == masks[0].T[:, None, :],
        (intrinsic, "tau"): one_tau,
    }
    for (module, name), formula in formulas.items():
        monkeypatch.setattr(module, name, lambda *a, formula=formula, name=name: called.append(name) or formula(*a))
    assert torch.equal(make(case, method, options).latents, several)
    official = method == "peekaboo" and options.get("scope") != "paper"
    assert ("temporal_allowed" in called) == official and ("tau" in called) == (method == "tid")
    assert {"self_allowed", "cross_allowed"} <= set(called)


@pytest.mark.parametrize(("method", "option"), [("peekaboo", "scope"), ("mask-norm", "scope")])
def test_the_release_and_the_paper_differ(method, option, case, make):
    official, paper = (make(case, method, {option: value}).latents for value in ("official", "paper"))
    assert not torch.equal(official, paper)
    default = {"peekaboo": official, "mask-norm": paper}[method]
    assert torch.equal(make(case, method).latents, default)


def test_the_release_and_the_intent_of_trailblazer_differ(case, two, make):
    gates = [make(case, "trailblazer", {"temporal_gate": gate}).latents for gate in ("official", "intent")]
    assert not torch.equal(*gates) and torch.equal(make(case, "trailblazer").latents, gates[0])
    regions = [make(two, "trailblazer", {"integration_region": one}).latents for one in ("official", "intent")]
    assert not torch.equal(*regions) and torch.equal(make(two, "trailblazer").latents, regions[0])


def test_the_order_of_subjects_matters_only_in_the_official_scope(two, make):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    turned = dataclasses.replace(two, subjects=two.subjects[::-1])
    for scope, same in (("paper", True), ("official", False)):
        pair = [make(case, "peekaboo", {"scope": scope}, latents=start).latents for case in (two, turned)]
        assert torch.equal(*pair) == same


@pytest.mark.parametrize("phrase", [None, "cub"])
def test_a_phrase_that_is_missing_follows_the_released_rules(phrase, case, make, tiny):
    odd = Case(case.id, case.prompt, (Subject(phrase, case.subjects[0].boxes),))
    clip = make(odd, "peekaboo")
    assert torch.isfinite(clip.latents).all()
    words, wordless = peekaboo._words(tiny, type("C", (), {"prompt": odd.prompt, "suffix": "", "phrases": (phrase,)}))
    assert not words.any() and wordless == (phrase is None)


@pytest.mark.parametrize("method", ["peekaboo", "mask-norm"])
def test_masks_read_to_the_letter_are_another_result_and_have_the_same_ends(case, make, method):
    """A mask that allows everything changes nothing in either reading."""
    options = {"scope": "paper", "without": ["cross"], "frozen_steps": 1}
    added, multiplied = (make(case, method, {**options, "mask": mask}).latents for mask in READINGS)
    assert not torch.allclose(added, multiplied, atol=1e-3)
    everywhere = np.ones((1, 3, 8, 12), bool)
    added, multiplied = (make(case, method, {**options, "mask": mask}, masks=everywhere).latents for mask in READINGS)
    torch.testing.assert_close(added, multiplied, rtol=0, atol=1e-4)
