"""Direct-a-Video: its masks by hand, what it leaves alone, and what it refuses."""

import dataclasses

import numpy as np
import pytest
import tiny_wan
import torch

from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate, generate_batch
from ivgbench.generator.backbones.unet3d_attention import OneHalfEdited
from ivgbench.generator.edits import amplified
from ivgbench.generator.edits.amplified import Words
from ivgbench.generator.edits.biased import Bias
from ivgbench.generator.methods.base import Clip
from ivgbench.generator.methods.direct_a_video import DirectAVideo
from ivgbench.generator.methods.options import resolve

HIDDEN = -torch.inf
PROMPT = "a zebra and a dog on the green grass"
#: Its tokens: BOS, a, ze, bra, and, a, dog, on, the, g, re, e, n, grass, EOS.
ZEBRA, DOG, GRASS, END = range(2, 4), range(6, 7), range(13, 14), 14
METHOD = "direct-a-video"


def clip(prompt=PROMPT, phrases=("zebra",), suffix=""):
    return Clip(prompt, suffix, phrases, None, np.tile([0.1, 0.2, 0.5, 0.8], (len(phrases), 3, 1)), lambda label: None)


@pytest.fixture
def start():
    return torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def test_a_maps_cell_is_the_mean_of_the_four_pixels_at_its_centre():
    # Columns 5 to 18 of an image of 16 x 32. Of a cell of 16 pixels the middle two columns are 7, 8; and 23, 24.
    box = np.array([[[5 / 32, 0.0, 19 / 32, 1.0]]])
    masks = amplified.image_masks(box, 16, 32)
    assert masks.shape == (2, 1, 16, 32) and torch.equal(masks[1], ~masks[0])
    assert masks[0, 0].any(0).nonzero().flatten().tolist() == list(range(5, 19))
    assert amplified.at_level(masks, 16)[:, 0].tolist() == [[1, 0], [0, 1]]
    # Of cells of 8 pixels the middle two columns are 3, 4; 11, 12; 19, 20; 27, 28.
    assert amplified.at_level(masks, 8)[0, 0].tolist() == [0, 1, 0, 0] * 2
    edge = amplified.image_masks(np.array([[[4 / 32, 0.0, 1.0, 12 / 16]]]), 16, 32)
    assert amplified.at_level(edge, 8)[0, 0].tolist() == [0.5, 1, 1, 1, 0.25, 0.5, 0.5, 0.5]
    assert amplified.at_level(edge, 8)[1, 0].tolist() == [0.5, 0, 0, 0, 0.75, 0.5, 0.5, 0.5]


def test_edges_are_cut_in_the_numbers_that_boxes_are_given_in():
    in_float32 = np.array([[[0.0, 0.0, 0.7, 1.0]]], np.float32).astype(np.float64)
    in_float64 = np.array([[[0.0, 0.0, 0.7, 1.0]]]) - [0, 0, 1e-9, 0]
    # 0.7 x 10 is 7 in float32, and less in float64 of the same number.
    assert amplified.image_masks(in_float32, 8, 10)[0].sum() == 7 * 8
    assert amplified.image_masks(in_float64, 8, 10)[0].sum() == 6 * 8
    assert amplified.precision(in_float32) == torch.float32 and amplified.precision(in_float64) == torch.float64


def test_beyond_the_frame_is_cut_and_turned_inside_out_is_empty():
    odd = np.array([[[-0.5, 0.25, 0.5, 1.5], [0.6, 0.2, 0.4, 0.8], [0.5, 0.5, 0.5, 0.9]]])
    inside = amplified.image_masks(odd, 8, 8)[0]
    assert inside.sum((1, 2)).tolist() == [4 * 6, 0, 0]


def test_small_boxes_gain_more_and_overlaps_less():
    cells = torch.tensor([[[1.0, 1, 0, 0]], [[1.0, 0, 0, 0]], [[0.0, 0, 1, 1]]])
    assert amplified.evenness(cells).tolist() == [[1 - 3 / 4, 1 - 2 / 4, 1 - 2 / 4, 1 - 2 / 4]]


def test_words_gain_inside_and_are_hidden_outside_and_others_everywhere():
    left = np.tile([0.0, 0.0, 0.5, 1.0], (1, 1, 1))
    said = Words([ZEBRA, GRASS], 77, END, True)
    added = amplified.logits(left, said, (2, 2), 1, 10.0)[0]
    assert added.shape == (4, 77)
    for cell, subject in ((0, True), (1, False)):
        assert added[cell, list(ZEBRA)].tolist() == [5.0 if subject else HIDDEN] * 2
        assert added[cell, 13] == (HIDDEN if subject else 5.0)
        assert not added[cell, 0] and not added[cell, END:].any(), "BOS, the end and padding are open"
        assert (added[cell, [1, 4, 5, 6, 7, 8, 9, 10, 11, 12]] == HIDDEN).all()
    open_ = amplified.logits(left, dataclasses.replace(said, hide_others=False), (2, 2), 1, 0.0)[0]
    assert open_.isinf().nonzero()[:, 1].unique().tolist() == [*ZEBRA, *GRASS]
    assert not open_[~open_.isinf()].any()


def test_a_cell_on_a_boxs_edge_is_hidden_from_both():
    half = np.tile([0.0, 0.0, 12 / 32, 1.0], (1, 1, 1))
    added = amplified.logits(half, Words([ZEBRA, GRASS], 77, END, True), (1, 4), 1, 10.0)[0]
    assert added[:, 2].isinf().tolist() == [False, True, True, True]
    assert added[:, 13].isinf().tolist() == [True, True, False, False]


def test_a_later_subject_has_the_words_that_two_share():
    two = np.array([[[0.0, 0.0, 0.5, 1.0]], [[0.5, 0.0, 1.0, 1.0]]])
    added = amplified.logits(two, Words([DOG, DOG], 77, END, True), (1, 2), 1, 0.0)[0]
    assert added[:, 6].tolist() == [HIDDEN, 0]


def test_the_unconditional_half_is_the_models_own(tiny):
    site = next(one for one in tiny.sites((3, 8, 12)) if one.reads == "text" and one.over == "frame")
    added = amplified.logits(clip().boxes, Words([ZEBRA], 77, END, True), site.grid, site.stride, 25.0)
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(6, 96, site.layer.to_q.in_features, generator=draw)
    text = torch.randn(6, 77, site.layer.to_k.in_features, generator=draw)
    with torch.no_grad():
        plain = site.layer(hidden, text)
        edited = OneHalfEdited(site, Bias({site.grid: added}), 1)(site.layer, hidden, text)
    torch.testing.assert_close(edited[:3], plain[:3], rtol=0, atol=1e-6)
    assert ((edited[3:] - plain[3:]).abs().amax(dim=(1, 2)) > 1e-3).all()


def seen(bb, monkeypatch):
    """The edits of each step of the runs that follow."""
    steps, real = [], type(bb).edited
    monkeypatch.setattr(type(bb), "edited", lambda self, on, clips: steps.append(dict(on)) or real(self, on, clips))
    return steps


@pytest.mark.parametrize(("tau", "steps", "amplified_"), [(0.95, 40, 3), (0.95, 20, 2), (1.0, 5, 1), (0.0, 3, 3)])
def test_words_gain_in_the_first_steps_and_are_hidden_in_all(tau, steps, amplified_, case, make, tiny, monkeypatch):
    from ivgbench.generator import sampler

    on = seen(tiny, monkeypatch)
    monkeypatch.setattr(sampler.schedulers, "step", lambda scheduler, prediction, timestep, latents, **_: latents)
    monkeypatch.setattr(type(tiny), "denoise", lambda self, latents, *_: (latents, latents))
    make(case, METHOD, {"tau": tau}, steps=steps)
    kinds = [next(iter(edits.values())) for edits in on]
    assert len(kinds) == steps and all(set(edits) == set(on[0]) for edits in on)
    assert {site.name for site in on[0]} == {
        one.name for one in tiny.sites((3, 8, 12)) if one.reads == "text" and one.over == "frame"
    }
    assert [kind is kinds[0] for kind in kinds] == [step < amplified_ for step in range(steps)]


def test_without_amplification_words_are_hidden_all_the_same(case, make, start):
    none, off = (make(case, METHOD, options, latents=start).latents for options in ({"amplify": 0}, {"tau": 0}))
    plain = make(case, latents=start).latents
    assert not torch.equal(none, plain) and not torch.equal(none, off)
    # The second step of two is at 0.5.
    assert torch.equal(
        make(case, METHOD, {"amplify": 0, "tau": 0.2}, latents=start).latents,
        make(case, METHOD, {"amplify": 0, "tau": 0.9}, latents=start).latents,
    )


def test_full_boxes_and_open_words_are_no_control(case, make, start):
    full = np.ones((1, 3, 8, 12), bool)
    options = {"amplify": 0, "others": "open"}
    edited, plain = (make(case, *how, latents=start, masks=full).latents for how in ((METHOD, options), ("plain",)))
    torch.testing.assert_close(edited, plain, rtol=0, atol=1e-4)
    hidden = make(case, METHOD, {"amplify": 0}, latents=start, masks=full).latents
    assert not torch.allclose(hidden, plain, atol=1e-2)


def test_the_order_of_subjects_changes_nothing(two, make, start):
    turned = dataclasses.replace(two, subjects=two.subjects[::-1])
    options = {"background": "grass", "tau": 0.5}
    first, second = (make(one, METHOD, options, latents=start).latents for one in (two, turned))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-4)
    assert not torch.allclose(first, make(two, METHOD, {"tau": 0.5}, latents=start).latents, atol=1e-2)


def test_subjects_have_words_of_their_own(two, make, start):
    swapped = dataclasses.replace(
        two, subjects=tuple(Subject(a.phrase, b.boxes) for a, b in zip(two.subjects, two.subjects[::-1], strict=True))
    )
    assert not torch.allclose(*(make(one, METHOD, latents=start).latents for one in (two, swapped)), atol=1e-2)


def test_clips_share_a_batch(case, two, tiny, start):
    other = Case("other", "a dog runs", (Subject("dog", two.subjects[1].boxes),))
    how = dict(method=METHOD, method_options={"tau": 0.5}, steps=2, guidance_scale=4.0, output="latent")
    latents = torch.cat([start, start.flip(2)])
    together = generate_batch(tiny, [case, other], seeds=[0, 0], latents=latents, **how)
    for at, one in enumerate((case, other)):
        alone = generate(tiny, one, latents=latents[at : at + 1], **how)
        torch.testing.assert_close(together[at].latents, alone.latents, rtol=0, atol=1e-3)
        assert together[at].nfe == 2


def test_what_is_encoded_is_the_prompt_or_the_marked_one(tiny):
    assert DirectAVideo().text(clip(suffix=", nice")) == f"{PROMPT}, nice"
    marked = DirectAVideo(prompt="marked", background="green grass").text(clip(phrases=("zebra", "dog"), suffix="; so"))
    assert marked == "a zebra* and a dog* on the (green grass); so"
    assert DirectAVideo(prompt="marked").text(clip("a pan-da runs", ("pan-da",))) == "a (pan-da) runs"
    twins = clip("a dog and a dog", ("dog", "dog"))
    for words in ("place", "official"):
        assert DirectAVideo(prompt="marked", words=words).text(twins) == "a dog* and a dog*"
    shared = clip("two dog toys", ("dog", "dog"))
    assert DirectAVideo(prompt="marked", words="official").text(shared) == "two dog* toys"


def test_the_marked_prompt_is_encoded_and_hits_other_tokens(case, make, tiny, monkeypatch, start):
    texts, real = [], type(tiny).encode_prompt
    monkeypatch.setattr(type(tiny), "encode_prompt", lambda self, many: texts.append(list(many)) or real(self, many))
    ways = [{"prompt": "clean"}, {"prompt": "marked", "background": "grass"}, {"background": "grass"}]
    latents = [make(case, METHOD, options, latents=start, negative_prompt="bad").latents for options in ways]
    assert texts == [["bad", PROMPT], ["bad", "a zebra* and a dog on the green grass*"], ["bad", PROMPT]]
    assert not torch.allclose(latents[1], latents[2], atol=1e-2)


def test_without_a_marked_background_the_masks_are_of_a_longer_prompt(tiny):
    reader = tiny.reader
    spans = DirectAVideo(prompt="marked").spans(reader, PROMPT, "", ("zebra",))
    assert spans[0] == ZEBRA and len(spans) == 2 and spans[1].start > END
    assert DirectAVideo(prompt="marked").for_masks("; so") == ("; so, in a beautiful place", "beautiful place")
    assert DirectAVideo().spans(reader, PROMPT, "", ("zebra",)) == [ZEBRA]
    asked = DirectAVideo(background="beautiful place").spans(reader, PROMPT, ", in a beautiful place", ("zebra",))
    assert asked == spans, "the release's intent: the suffix is the run's own"


def test_equal_phrases_have_a_place_each_or_as_released_the_first(tiny):
    prompt, both = "a dog and a dog", ("dog", "dog")
    assert DirectAVideo().spans(tiny.reader, prompt, "", both) == [range(2, 3), range(5, 6)]
    assert DirectAVideo(words="official").spans(tiny.reader, prompt, "", both) == [range(2, 3)] * 2
    # As tokens the second word of "redball" is "ball".
    inside = "a redball and a ball"
    assert DirectAVideo().spans(tiny.reader, inside, "", ("ball",)) == [range(7, 8)]
    assert DirectAVideo(words="official").spans(tiny.reader, inside, "", ("ball",)) == [range(4, 5)]


def refused(message, make, case, options=None, **other):
    with pytest.raises(UserError, match=message) as fault:
        make(case, METHOD, options, **other)
    assert "\n" not in str(fault.value)


def test_what_cannot_be_done_is_refused(case, two, make):
    track = case.subjects[0].boxes
    refused("no subject; give a phrase", make, dataclasses.replace(case, subjects=()), masks=np.zeros((0, 3, 8, 12)))
    refused("subject 0 has no phrase", make, Case("x", PROMPT, (Subject(None, track),)))
    refused("'cub' is not in the prompt 'a zebra", make, Case("x", PROMPT, (Subject("cub", track),)))
    refused("'a cat' is not in the prompt", make, case, {"background": "a cat"})
    refused("2 subjects are called 'Dog', and the prompt names 1", make,
            Case("x", PROMPT, (Subject("dog", track), Subject("Dog", track))))  # fmt: skip
    refused("the text encoder reads the first 75 tokens", make,
            Case("x", "green " * 40 + "zebra", (Subject("zebra", track),)))  # fmt: skip
    refused("runs into 'grass'; begin it", make, case, {"background": "grass"}, prompt_suffix="y")
    for size in ((6, 12), (8, 10)):
        refused(f"{size[0]} x {size[1]} latents, and the coarsest map takes 4 x 4", make, case,
                masks=np.ones((1, 3, *size), bool))  # fmt: skip
    longer = Case("x", PROMPT, (Subject("zebra", track), Subject("dog", np.tile(track[:1], (4, 1)))))
    refused("number of frames is not the same everywhere", make, longer, masks=None)


def test_tokens_that_are_others_in_the_prompt_are_found_by_their_place(tiny):
    said = (tiny.reader, "a re\u200bd dog", "", ("red",))
    DirectAVideo().check_words(*said)
    with pytest.raises(UserError, match=r"'red' alone has other tokens .* set the option words to 'place'"):
        DirectAVideo(words="official").check_words(*said)
    with pytest.raises(UserError, match="the text encoder reads the first 75 tokens"):
        DirectAVideo(words="official").check_words(tiny.reader, "green " * 40 + "zebra", "", ("zebra",))


def test_a_network_without_text_attention_in_frames_is_refused(tmp_path):
    wan = Backbone.from_pretrained(tiny_wan.write(tmp_path))
    track = np.tile([0.1, 0.2, 0.5, 0.8], (9, 1))
    with pytest.raises(UserError, match="direct-a-video needs attention within frames"):
        generate(wan, Case("x", PROMPT, (Subject("zebra", track),)), METHOD, latents=torch.zeros(1, 4, 3, 8, 12))
    sites = [one for one in wan.sites((3, 8, 12)) if one.reads == "text"]
    with pytest.raises(UserError, match=r"takes masks only, and the method edits it otherwise \(Bias\)"):
        wan.edited({sites[0]: Bias({})}, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amplify": -1}, "out of range; use a value >= 0"),
        ({"amplify": float("nan")}, "out of range"),
        ({"tau": 1.01}, "between 0 and 1"),
        ({"tau": float("nan")}, "out of range"),
        ({"others": "shown"}, "'hidden', 'open'"),
        ({"prompt": "starred"}, "'clean', 'marked'"),
        ({"background": 3}, "expected str"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        resolve(METHOD, options)
