"""FreeTraj: noise along a path, attention isolated along it."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler

from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import generate_batch
from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.edits.masked import Mask
from ivgbench.generator.edits.trajectory import KEPT_LOGIT, TextInside, injected, inside, isolated, places, raised
from ivgbench.generator.inputs import clip_of
from ivgbench.generator.keyframes import trajectory
from ivgbench.generator.methods import freetraj
from ivgbench.generator.methods.options import resolve

#: Three frames: one size, moving right and down.
PATH = np.array([[0.1, 0.2, 0.4, 0.6], [0.3, 0.2, 0.6, 0.6], [0.5, 0.4, 0.8, 0.8]])
GROWING = np.array([[0.1, 0.2, 0.4, 0.6], [0.1, 0.2, 0.6, 0.8], [0.1, 0.2, 0.9, 0.9]])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def site(over, reads, grid):
    return Site("layer", "early", over, reads, False, grid, 1, torch.nn.Identity())


# ---- places and noise


def test_boxes_are_cut_to_cells_and_have_the_first_ones_size():
    assert [tuple(one) for one in places(PATH, 10, 20)] == [(2, 2, 3, 6), (2, 6, 3, 6), (4, 10, 3, 6)]
    assert len({one[2:] for one in places(GROWING, 10, 20)}) == 1
    assert [one[2:] for one in places(GROWING, 10, 20, "frame")] == [(3, 6), (6, 10), (7, 16)]
    # 0.6 - 0.2 is a little less than 0.4, and 0.4 - 0.1 a little more than 0.3.
    assert places(PATH, 10, 20)[0].height == int((0.6 - 0.2) * 10) == 3


def test_a_box_has_a_cell_and_stays_on_the_map():
    assert tuple(places(np.array([[0.9, 0.95, 1.0, 1.0]]), 2, 3)[0]) == (1, 2, 1, 1)
    leaving = places(np.array([[0.0, 0.0, 0.5, 0.5], [0.9, 0.9, 1.0, 1.0], [0.0, 0.6, 0.4, 1.0]]), 8, 8)
    assert [tuple(one) for one in leaving] == [(0, 0, 4, 4), (4, 4, 4, 4), (4, 0, 4, 4)]


def test_the_same_patch_lies_in_every_frame():
    base, patch = normal(4, 3, 10, 20), normal(4, 3, 6, seed=1)
    made, where = injected(base, patch, places(PATH, 10, 20)), inside(PATH, 10, 20)
    for frame, place in enumerate(places(PATH, 10, 20)):
        assert torch.equal(made[(slice(None), frame, *place.cells())], patch)
    assert torch.equal(made[:, ~where], base[:, ~where])


def test_a_larger_patch_gives_its_top_left_part():
    patch = normal(4, 7, 16)
    made = injected(normal(4, 3, 10, 20), patch, places(GROWING, 10, 20, "frame"))
    assert torch.equal(made[:, 1, 2:8, 2:12], patch[:, :6, :10])


@pytest.fixture
def noise_of(case, tiny):
    """options, filter -> (initial latents, labels of the streams that were drawn from)."""
    clip = clip_of(tiny, case, 0, "", (4, 3, 8, 12), None)
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))

    def made(kept=None, **options):
        drawn = []
        noted = dataclasses.replace(clip, stream=lambda label: drawn.append(label) or clip.stream(label))
        config = resolve("freetraj", {"ddim_edit": 0, **options})
        if kept is not None:
            object.__setattr__(config, "kept", lambda shape: torch.full(shape, kept))
        setup = SimpleNamespace(clips=[noted], shape=(3, 8, 12))
        return freetraj.TrajectoryRun(setup, config).initial(start)[0], drawn

    return made


def test_the_draws_depend_on_no_option_but_the_boxes_size(noise_of):
    assert noise_of()[1] == noise_of(d_t=0.5, filter="box", box_size="frame")[1] == ["freetraj-rand", "freetraj-patch"]
    # Nothing kept is `rand` alone, everything kept is the base with the patch: neither knows the filter's options.
    for kept in (0.0, 1.0):
        first, other = (noise_of(kept, **options)[0] for options in ({}, {"d_t": 0.5, "order": 2}))
        assert torch.equal(first, other)
    assert not torch.equal(noise_of()[0], noise_of(d_t=0.5)[0])


def test_the_base_is_the_cases_own_noise_outside_of_the_boxes(noise_of, case):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))[0]
    laid, outside = noise_of(1.0)[0], ~inside(case.subjects[0].boxes, 8, 12)
    torch.testing.assert_close(laid[:, outside], start[:, outside], rtol=0, atol=1e-5)
    patches = [laid[(slice(None), at, *one.cells())] for at, one in enumerate(places(case.subjects[0].boxes, 8, 12))]
    for patch in patches[1:]:
        torch.testing.assert_close(patch, patches[0], rtol=0, atol=1e-5)
    assert not torch.allclose(laid[:, ~outside], start[:, ~outside], atol=1e-2)


def test_noise_is_made_in_float32_whatever_the_network_is_in(case, make, tiny64):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    seen = []
    real = freetraj.mix
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freetraj, "mix", lambda *all: seen.append(real(*all)) or seen[-1])
        make(case, "freetraj", {"ddim_edit": 0}, latents=start)
        make(case, "freetraj", {"ddim_edit": 0}, latents=start.double(), bb=tiny64)
    assert seen[0].dtype == torch.float32 and torch.equal(*seen)


# ---- attention


def layer(rows, tokens, length):
    return normal(rows, 2, tokens, 8), normal(rows, 2, length, 8, seed=1), normal(rows, 2, length, 8, seed=2)


@pytest.mark.parametrize("multiply", [True, False])
def test_pairs_across_the_box_are_weakened_in_frames_and_between_them(multiply):
    grid, cells = (5, 8), inside(PATH, 5, 8)
    for over, tokens in (("frame", cells.flatten(1)), ("cell", cells.flatten(1).T)):
        q, k, v = layer(2 * len(tokens), tokens.shape[1], tokens.shape[1])
        alike = (tokens[:, :, None] == tokens[:, None, :]).repeat(2, 1, 1)[:, None]
        logits = q @ k.transpose(-1, -2) / 8**0.5
        weights = torch.softmax(torch.where(alike, logits, KEPT_LOGIT * logits), -1)
        if not multiply:
            weights = torch.softmax(logits, -1) * torch.where(alike, 1, torch.tensor(KEPT_LOGIT, dtype=q.dtype))
            weights = weights / weights.sum(-1, keepdim=True)
        edit = isolated([PATH], grid, multiply=multiply)
        torch.testing.assert_close(edit.attend(site(over, "self", grid), q, k, v), weights @ v, rtol=0, atol=1e-12)


def test_a_large_map_is_attended_to_piece_by_piece(monkeypatch):
    from ivgbench.generator.edits import masked

    grid = (5, 8)
    at, edit, (q, k, v) = site("frame", "self", grid), isolated([PATH], grid), layer(6, 40, 40)
    whole = edit.attend(at, q, k, v)
    monkeypatch.setattr(masked, "LOGITS", 1)
    torch.testing.assert_close(edit.attend(at, q, k, v), whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("multiply", [True, False])
@pytest.mark.parametrize("over", ["frame", "cell"])
@pytest.mark.parametrize("size", ["first", "frame"])
def test_on_large_maps_pairs_are_weakened_without_being_spelled_out(over, size, multiply, monkeypatch):
    from ivgbench.generator.edits import masked

    at, paths = site(over, "self", (5, 8)), [PATH, GROWING]
    rows, tokens = (12, 40) if over == "frame" else (160, 3)
    parts = layer(rows, tokens, tokens)
    spelled = isolated(paths, at.grid, size, multiply).attend(at, *parts)
    monkeypatch.setattr(masked, "GROUPED_FROM", 1)
    monkeypatch.setattr(masked.Mask, "bias", None)
    torch.testing.assert_close(isolated(paths, at.grid, size, multiply).attend(at, *parts), spelled, rtol=0, atol=1e-13)


@pytest.mark.parametrize("rule", ["official", "intent"])
@pytest.mark.parametrize("size", ["first", "frame"])
def test_on_large_maps_text_is_read_without_its_maps(rule, size, monkeypatch):
    from ivgbench.generator.edits import trajectory

    at, parts = site("frame", "text", (6, 10)), layer(12, 60, 77)
    made = lambda: TextInside([PATH, GROWING], [[2, 5], [7]], rule, size).attend(at, *parts)  # noqa: E731
    spelled = made()
    monkeypatch.setattr(trajectory, "GROUPED_FROM", 1)
    monkeypatch.setattr(TextInside, "_maps", None)
    torch.testing.assert_close(made(), spelled, rtol=0, atol=1e-13)


def test_a_full_box_leaves_attention_alone():
    everywhere, grid = np.tile([0.0, 0.0, 1.0, 1.0], (3, 1)), (4, 6)
    q, k, v = layer(6, 24, 24)
    torch.testing.assert_close(
        isolated([everywhere], grid).attend(site("frame", "self", grid), q, k, v),
        torch.nn.functional.scaled_dot_product_attention(q, k, v), rtol=0, atol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize("rule", ["official", "intent"])
def test_text_inside_and_outside_the_box(rule):
    grid, length, tokens = (6, 10), 77, [2, 5]
    q, k, _ = layer(6, 60, length)
    v = torch.eye(length, dtype=torch.float64).expand(6, 2, -1, -1)  # shows the weights themselves
    weights = TextInside([PATH], [tokens], rule).attend(site("frame", "text", grid), q, k, v)
    m = inside(PATH, *grid).flatten(1).repeat(2, 1)[:, None].expand(-1, 2, -1)
    g = raised(PATH, *grid, 2).flatten(1).double().repeat(2, 1)[:, None].expand(-1, 2, -1)
    assert not weights[~m][:, tokens].any()
    torch.testing.assert_close(weights.sum(-1), 1 + 2 * g, rtol=0, atol=1e-12)
    subject = torch.zeros(length, dtype=torch.bool).index_fill_(0, torch.tensor(tokens), True)
    if rule == "official":
        assert torch.equal(weights[m][:, ~subject].unique(), torch.tensor([1 / 77], dtype=torch.float64))
        torch.testing.assert_close(weights[m][:, 2], 1 / 77 + g[m], rtol=0, atol=1e-12)
    else:
        logits = (q @ k.transpose(-1, -2) / 8**0.5)[m][:, tokens]
        assert not weights[m][:, ~subject].any()
        torch.testing.assert_close(weights[m][:, tokens], torch.softmax(logits, -1) + g[m][:, None], rtol=0, atol=1e-12)


def test_weights_are_raised_most_in_the_middle_and_rounded_as_released():
    maps = raised(PATH, 10, 20, tokens=3)
    assert maps.dtype == torch.float16 and torch.equal(maps != 0, inside(PATH, 10, 20))
    peak = np.float16(0.25 / ((0.6 - 0.2) * (0.4 - 0.1)) / 3)
    assert maps[0].max() == peak  # the window's own largest value is 1, wherever its axes meet the middle
    by_frame = raised(GROWING, 10, 20, 3, "frame")
    assert by_frame[0].max() > by_frame[1].max() > by_frame[2].max()


def test_every_level_has_cells_of_its_own(case, tiny):
    clip = clip_of(tiny, case, 0, "", (4, 3, 8, 12), None)
    setup = SimpleNamespace(clips=[clip], shape=(3, 8, 12), backbone=tiny)
    edits = freetraj.TrajectoryRun(setup, resolve("freetraj")).edits(0)
    assert {site.name for site in edits} == {site.name for site in tiny.sites((3, 8, 12))}
    for one, edit in edits.items():
        assert isinstance(edit, TextInside if one.reads == "text" else Mask)
        if isinstance(edit, Mask):
            cells = inside(clip.boxes[0], *one.grid)
            assert torch.equal(one.pick(edit.rules[0].labels).bool(), one.pick(cells))
            assert edit.rules[0].labels.shape[1:] == one.grid
    coarse = next(one for one in edits if one.grid == (2, 3) and one.over == "frame" and one.reads == "self")
    picked = inside(clip.boxes[0], 8, 12)[:, ::4, ::4]
    assert not torch.equal(edits[coarse].rules[0].labels.bool(), picked)


# ---- the method


def test_each_half_alone_and_neither(case, make):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    plain = make(case, latents=start).latents
    off = make(case, "freetraj", {"ddim_edit": 0, "noise": False}, latents=start)
    assert torch.equal(off.latents, plain) and off.nfe == 2
    every = [plain] + [
        make(case, "freetraj", options, latents=start).latents
        for options in (
            {},
            {"ddim_edit": 0},
            {"noise": False},
            {"inside": "intent"},
            {"logits": "intent"},
            {"d_t": 0.5},
        )
    ]
    assert all(not torch.equal(one, other) for at, one in enumerate(every) for other in every[:at])
    assert make(case, "freetraj", latents=start).nfe == 2


def test_attention_is_edited_in_the_first_steps_only(case, make, tiny, monkeypatch):
    seen, real = [], type(tiny).edited
    monkeypatch.setattr(type(tiny), "edited", lambda bb, on, clips: seen.append(len(on)) or real(bb, on, clips))
    make(case, "freetraj", {"ddim_edit": 2}, steps=3)
    assert seen == [len(tiny.sites((3, 8, 12)))] * 2 + [0]


def test_clips_of_a_batch_have_their_own_path_and_tokens(case, tiny):
    other = Case("other", case.prompt, (Subject("dog", np.tile([0.5, 0.1, 0.9, 0.9], (3, 1))),))
    latents = torch.randn(2, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    how = dict(method="freetraj", steps=2, guidance_scale=4.0, output="latent")
    both = generate_batch(tiny, [case, other], seeds=[0, 0], latents=latents, **how)
    for index, one in enumerate((case, other)):
        alone = generate_batch(tiny, [one], seeds=[0], latents=latents[index : index + 1], **how)[0]
        torch.testing.assert_close(both[index].latents, alone.latents, rtol=1e-3, atol=1e-3)


def test_tokens_are_the_phrases_or_given(case, tiny, make):
    prompt = case.prompt
    assert freetraj.subject_tokens(tiny, prompt, "zebra", resolve("freetraj")) == [2, 3]
    assert freetraj.subject_tokens(tiny, prompt, "zebra", resolve("freetraj", {"words": "place"})) == [2, 3]
    assert freetraj.subject_tokens(tiny, prompt, None, resolve("freetraj", {"tokens": [3, 1]})) == [3, 1]
    given = make(case, "freetraj", {"tokens": [2, 3]}).latents
    assert torch.equal(make(case, "freetraj").latents, given)
    assert not torch.equal(make(case, "freetraj", {"tokens": [5]}).latents, given)


def test_a_growing_box_has_its_first_size_or_each_frames_own(make, case):
    def made(track, **options):
        return make(Case("c", case.prompt, (Subject("zebra", track),)), "freetraj", options, masks=None,
                    latents=torch.zeros(1, 4, 3, 8, 12)).latents  # fmt: skip

    kept = np.concatenate([GROWING[:, :2], GROWING[:, :2] + GROWING[:1, 2:] - GROWING[:1, :2]], axis=1)
    options = {"noise": False}  # the noise's streams are of the whole case
    assert torch.equal(made(GROWING, **options), made(kept, **options))
    assert not torch.equal(made(GROWING, box_size="frame", **options), made(kept, **options))
    assert torch.equal(made(kept, box_size="frame", **options), made(kept, **options))


def refusal(make, case, options=None, **how):
    with pytest.raises(UserError) as refused:
        make(case, "freetraj", options or {}, **how)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_it_has_no_rule_for_is_refused(case, two, make, tiny):
    assert "places one subject and has no rule for the case's 2" in refusal(make, two)
    nobody = dataclasses.replace(case, subjects=())
    assert "the case has no subject" in refusal(make, nobody, masks=np.zeros((0, 3, 8, 12), bool))
    hole = np.ones((1, 3, 8, 12), bool)
    hole[0, 1] = False
    assert "frame 1 has none" in refusal(make, case, masks=hole)
    assert "guidance_scale > 1, got 1" in refusal(make, case, guidance_scale=1.0)
    euler = EulerDiscreteScheduler.from_config(tiny.scheduler_config)
    assert "use 'ddim' or 'dpm'" in refusal(make, case, scheduler=euler)
    for phrase in (None, "cub"):
        absent = Case(case.id, case.prompt, (Subject(phrase, case.subjects[0].boxes),))
        assert re.search("phrase (None|'cub') is not in the prompt; give one that is, or tokens", refusal(make, absent))
        assert make(absent, "freetraj", {"tokens": [2]}).nfe == make(absent, "freetraj", {"ddim_edit": 0}).nfe == 2
    # What the half that is left does not need.
    assert make(case, "freetraj", {"ddim_edit": 0}, guidance_scale=1.0).nfe == 2
    assert make(case, "freetraj", {"noise": False}, scheduler=euler).nfe == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ddim_edit": -1}, "use a value >= 0"),
        ({"tokens": []}, "must name one position or more, each once"),
        ({"tokens": [2, 2]}, "each once"),
        ({"tokens": [0]}, "between 1 and 76"),
        ({"tokens": [77]}, "between 1 and 76"),
        ({"inside": "both"}, "'official', 'intent'"),
        ({"box_size": "own"}, "'first', 'frame'"),
        ({"noise": "off"}, "expected bool"),
        ({"d_t": 2}, "between 0 and 1"),
        ({"order": 0}, "freetraj: order 0"),
    ],
)
def test_bad_options_are_one_line(options, words):
    with pytest.raises(UserError, match=words):
        resolve("freetraj", options)


def test_words_that_are_never_read_are_refused_where_they_are_needed(tiny):
    far = "a " * 90 + "zebra"
    with pytest.raises(UserError, match="freetraj: the text encoder reads"):
        resolve("freetraj").check_words(tiny.reader, far, "", ("zebra",))
    for options in ({"ddim_edit": 0}, {"tokens": [1]}):
        resolve("freetraj", options).check_words(tiny.reader, far, "", ("zebra",))


def test_key_frames_go_on_as_they_began_and_ended():
    keys = {1: (0.1, 0.2, 0.3, 0.5), 3: (0.3, 0.2, 0.6, 0.8)}
    path = trajectory(keys, 5)
    assert np.array_equal(path[1], keys[1]) and np.allclose(path[3], keys[3])
    assert np.allclose(path[:, :2], [[0, 0.2], [0.1, 0.2], [0.2, 0.2], [0.3, 0.2], [0.4, 0.2]])
    assert np.allclose(path[0], [0, 0.2, 0.2, 0.5]) and np.allclose(path[4], [0.4, 0.2, 0.7, 0.8])
    assert len(trajectory({7: (0, 0, 1, 1), 8: (0, 0, 1, 1)}, 3)) == 3
    for wrong in ({0: (0, 0, 1, 1)}, {-1: (0, 0, 1, 1), 2: (0, 0, 1, 1)}):
        with pytest.raises(UserError, match="at least two, from frame 0 on"):
            trajectory(wrong)
