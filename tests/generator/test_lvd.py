"""LVD: its loss by hand, when it guides and when it stops, what it looks at, and what it refuses."""

import dataclasses
import json

import numpy as np
import pytest
import tiny_wan
import torch
from diffusers import EulerDiscreteScheduler, UNet3DConditionModel, UniPCMultistepScheduler

from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate, generate_batch
from ivgbench.generator.backbones import presets
from ivgbench.generator.backbones.unet3d_attention import sites
from ivgbench.generator.edits import energy
from ivgbench.generator.edits.energy import Weights
from ivgbench.generator.edits.watched import Watch
from ivgbench.generator.methods.lvd import LVD, OFFICIAL, layer_of, spelled_first, watched
from ivgbench.generator.methods.options import resolve

PROMPT = "a zebra and a dog on the green grass"
#: Every step of the two is guided, twice.
ALL = {"maps": "half-and-quarter", "loss_threshold": 0.0, "max_iter": 2, "max_index_step": 2}
ONLY_FG, ONLY_BG = Weights(1.0, 1.0, 1.0, 0.0, 0.0), Weights(1.0, 1.0, 0.0, 1.0, 0.0)


@pytest.fixture
def start():
    return torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def energy_of(rows, box, weights):
    """The loss of a map of one head and one token, a row of cells a frame."""
    maps = torch.tensor(rows, dtype=torch.float64)[:, None, :, None]
    return float(energy.loss([(maps, (1, len(rows[0])))], np.array([box], dtype=float), [[0]], weights))


def test_a_boxs_size_is_rounded_by_itself_and_halves_to_even():
    boxes = np.array([[0.25, 0.0, 0.65, 1.0], [0.35, 0.0, 0.75, 1.0], [0.05, 0.0, 0.30, 1.0], [0.0] * 4])
    # 2.5 is 2 and 4 wide; 3.5 is 4 and 4 wide; 0.5 is 0, and 2.5 wide is 2.
    assert energy.edges(boxes, 1, 10).tolist() == [[2, 0, 6, 1], [4, 0, 8, 1], [0, 0, 2, 1], [0, 0, 0, 0]]
    assert energy.cells(boxes, 1, 10).sum((1, 2)).tolist() == [4, 4, 2, 0]
    small = np.array([[0.5, 0.5, 0.54, 0.9]])
    assert not energy.cells(small, 10, 10).any(), "under half a cell"


def test_a_box_beyond_the_frame_is_nowhere():
    beyond = np.array([[-0.5, 0.1, -0.2, 0.6], [1.2, 0.1, 1.5, 0.6], [0.2, -0.6, 0.5, -0.3]])
    assert not energy.cells(beyond, 8, 8).any()
    over = np.array([[-0.25, 0.5, 0.25, 1.5]])
    assert energy.cells(over, 8, 8)[0].nonzero().tolist() == [[row, col] for row in (4, 5, 6, 7) for col in (0, 1)]


def test_the_loss_is_of_the_largest_cells_inside_and_outside():
    half, rows = [[0.0, 0.0, 0.5, 1.0]], [[0.4, 0.1, 0.3, 0.05]]
    assert energy_of(rows, half, ONLY_FG) == pytest.approx(1 - 0.25)
    assert energy_of(rows, half, dataclasses.replace(ONLY_FG, fg_top_p=0.5)) == pytest.approx(1 - 0.4)
    assert energy_of(rows, half, dataclasses.replace(ONLY_FG, fg_top_p=0.1)) == pytest.approx(1 - 0.4), "at least one"
    assert energy_of(rows, half, dataclasses.replace(ONLY_FG, fg_top_p=0.99)) == pytest.approx(1 - 0.4), (
        "cut, not round"
    )
    assert energy_of(rows, half, ONLY_BG) == pytest.approx(0.175)
    assert energy_of(rows, half, Weights(1.0, 0.5, 2.0, 4.0, 0.0)) == pytest.approx(2 * 0.75 + 4 * 0.3)


def test_an_absent_subject_is_a_constant_and_is_pushed_away():
    assert energy_of([[0.4, 0.1, 0.3, 0.2]], [[0.0] * 4], ONLY_FG) == 1
    assert energy_of([[0.4, 0.1, 0.3, 0.2]], [[0.0] * 4], ONLY_BG) == pytest.approx(0.25)


def test_a_full_frame_has_nothing_outside():
    assert energy_of([[0.4, 0.1, 0.3, 0.2]], [[0.0, 0.0, 1.0, 1.0]], ONLY_BG) == 0


def test_it_is_a_sum_over_frames_and_heads_and_a_mean_over_tokens_subjects_and_maps():
    draw = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 2, 24, 77, generator=draw, dtype=torch.float64)
    boxes = np.tile([0.1, 0.2, 0.5, 0.8], (2, 3, 1))
    boxes[1, :, [0, 2]] += 0.4
    weights = Weights(0.75, 0.5, 1.0, 4.0, 0.0)

    def loss(own, at, tokens):
        return energy.loss([(one, (4, 6)) for one in own], boxes[at], tokens, weights)

    one = loss([maps], [0], [[5]])
    assert one == pytest.approx(float(sum(
        energy.loss([(maps[f : f + 1, h : h + 1], (4, 6))], boxes[:1, f : f + 1], [[5]], weights)
        for f in range(3) for h in range(2)
    )))  # fmt: skip
    other = loss([maps], [1], [[6]])
    assert loss([maps], [0, 1], [[5], [6]]) == pytest.approx(float((one + other) / 2))
    assert loss([maps], [0], [[5, 6]]) == pytest.approx(float((one + loss([maps], [0], [[6]])) / 2))
    assert loss([maps, maps[:, :1]], [0], [[5]]) == pytest.approx(float((one + loss([maps[:, :1]], [0], [[5]])) / 2))
    turned = energy.loss([(maps, (4, 6))], boxes[::-1], [[6], [5]], weights)
    assert turned == pytest.approx(float(loss([maps], [0, 1], [[5], [6]])))


def test_centres_of_mass_are_of_the_whole_map_and_move_with_the_box():
    com = Weights(1.0, 1.0, 0.0, 0.0, 1.0)
    left, right = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]
    even, skewed = [0.25] * 4, [0.0, 0.0, 0.0, 1.0]
    # Centres at 1.5 and 3; the box's at 0.5 and 2.5.
    assert energy_of([even], [left], com) == pytest.approx(1.0)
    assert energy_of([skewed], [right], com) == pytest.approx(0.25)
    moving = (1.5 - 2.0) ** 2
    assert energy_of([even, skewed], [left, right], com) == pytest.approx(1.0 + 0.25 + moving)
    assert energy_of([even, skewed], [left, [0.0] * 4], com) == pytest.approx(1.0), "no move to where it is not"
    assert energy_of([even, skewed], [[0.0] * 4, right], com) == pytest.approx(0.25)
    assert energy_of([even, skewed], [[0.0] * 4] * 2, com) == 0


def test_all_of_it_is_on_the_maps_device():
    maps = torch.empty(3, 2, 24, 77, device="meta", requires_grad=True)
    boxes = np.tile([0.1, 0.2, 0.5, 0.8], (2, 3, 1))
    value = energy.loss([(maps, (4, 6))], boxes, [[5], [6, 7]], Weights(0.75, 0.75, 1.0, 4.0, 0.1))
    assert value.is_meta and torch.autograd.grad(value, maps)[0].is_meta


def losses(monkeypatch):
    """The losses of the runs that follow."""
    found, real = [], energy.loss
    monkeypatch.setattr(energy, "loss", lambda *rest: found.append(real(*rest)) or found[-1])
    return found


def test_every_step_lowers_the_loss(case, make, start, monkeypatch):
    found = losses(monkeypatch)
    make(case, "lvd", ALL | {"max_iter": 6, "max_index_step": 1}, latents=start)
    values = [one.item() for one in found]
    assert len(values) == 6 and values == sorted(values, reverse=True) and values[0] > values[-1]


def test_the_gradient_is_the_losss_times_its_scale_and_the_noises_size(case, tiny64, make, start, monkeypatch):
    """By differences of the loss, in float64."""
    found, seen = losses(monkeypatch), []
    real = type(tiny64).denoise_conditional
    monkeypatch.setattr(
        type(tiny64),
        "denoise_conditional",
        lambda bb, latents, *rest: seen.append(latents.detach()) or real(bb, latents, *rest),
    )
    one = {**ALL, "max_iter": 1, "max_index_step": 1, "loss_scale": 3.0}
    make(case, "lvd", {**one, "max_iter": 2}, bb=tiny64, latents=start, steps=1)
    moved = seen[1] - seen[0]
    draw = torch.randn(start.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = 1e-5
    for sign in (1, -1):
        make(case, "lvd", one, bb=tiny64, latents=start.double() + sign * step * draw, steps=1)
    slope = (found[2] - found[3]).item() / (2 * step)
    size = float((1 - tiny64.scheduler().alphas_cumprod[1]) ** 0.5)  # the one step of one is at timestep 1
    assert float((moved * draw).sum()) == pytest.approx(-3.0 * size * slope, rel=1e-4)


def test_it_counts_halves_and_backward_passes(case, make, start):
    counts = {}
    for iterations in (0, 1, 2, [3, 0]):
        clip = make(case, "lvd", ALL | {"max_iter": iterations}, latents=start)
        counts[str(iterations)] = clip.nfe, type(clip.nfe), clip.backward
    assert counts == {"0": (2, int, 0), "1": (3, int, 2), "2": (4, int, 4), "[3, 0]": (3.5, float, 3)}


@pytest.mark.parametrize("off", [{"max_iter": 0}, {"max_index_step": 0}, {"max_iter": [0, 0]}])
def test_without_steps_it_is_plain_bit_for_bit(off, case, make, start):
    assert torch.equal(make(case, "lvd", ALL | off, latents=start).latents, make(case, latents=start).latents)
    # Nothing is needed then: no layers, no words.
    unread = dataclasses.replace(case, prompt="a dog")
    assert torch.isfinite(make(unread, "lvd", {"max_iter": 0, "max_index_step": 1}).latents).all()


def test_once_below_the_threshold_no_later_step_is_guided(case, make, start, monkeypatch):
    found = losses(monkeypatch)
    make(case, "lvd", ALL, latents=start, steps=3)
    first, second, *_ = (one.item() for one in found)
    between = (first + second) / 2
    # The second loss is the first below, and the step that it belongs to is taken.
    stopped = make(case, "lvd", ALL | {"loss_threshold": between, "max_iter": 5}, latents=start, steps=3)
    assert (stopped.nfe, stopped.backward) == (4, 2)
    same = make(case, "lvd", ALL | {"max_iter": 2, "max_index_step": 1}, latents=start, steps=3)
    assert torch.equal(stopped.latents, same.latents)
    at_once = make(case, "lvd", ALL | {"loss_threshold": 1000.0}, latents=start, steps=3)
    assert (at_once.nfe, at_once.backward) == (3.5, 1), "nothing is known before the first, which is made"


def test_the_threshold_may_be_a_fraction(case, tiny, make, start):
    looked = watched(tiny.sites((3, 8, 12)), LVD(maps="half-and-quarter"))
    heads = np.mean([one.heads for one in looked])
    options = ALL | {"max_iter": 5, "fg_weight": 2.0}
    for fraction in (1.2, 4.0):
        whole = make(case, "lvd", options | {"loss_threshold": fraction * 2.0 * 3 * heads}, latents=start)
        part = make(case, "lvd", options | {"threshold_fraction": fraction}, latents=start)
        assert torch.equal(whole.latents, part.latents) and whole.nfe == part.nfe


def test_the_step_that_follows_is_plain(case, make, tiny, start, monkeypatch):
    shown, real = [], type(tiny).denoise
    monkeypatch.setattr(
        type(tiny), "denoise", lambda bb, latents, *rest: shown.append(latents.clone()) or real(bb, latents, *rest)
    )
    guided = make(case, "lvd", ALL, latents=start, steps=1)
    assert not guided.latents.requires_grad and not torch.allclose(shown[0], start, atol=1e-3)
    plain = make(case, latents=shown[0], steps=1)
    torch.testing.assert_close(guided.latents, plain.latents, rtol=0, atol=1e-5)


def test_an_evaluation_ends_behind_the_last_map(case, make, tiny, start, monkeypatch):
    ends, real = [], tiny.unet.conv_out.forward
    monkeypatch.setattr(tiny.unet.conv_out, "forward", lambda *rest: ends.append(1) or real(*rest))
    clip = make(case, "lvd", ALL, latents=start)
    assert (len(ends), clip.nfe) == (2, 4)
    early = make(case, "lvd", ALL | {"maps": [["down", 1, 0]]}, latents=start)
    assert (len(ends), early.nfe) == (4, 4) and not torch.equal(early.latents, clip.latents)


def test_one_prompt_for_each_frame(case, make, tiny, start):
    embeds = tiny.encode_prompt(["", PROMPT])
    once, each = (make(case, "lvd", ALL, latents=start, prompt_embeds=one).latents for one in (
        embeds, embeds.repeat_interleave(3, 0)
    ))  # fmt: skip
    torch.testing.assert_close(once, each, rtol=0, atol=1e-3)
    # Frames of another text have other maps.
    other = torch.cat([embeds[:1].repeat(3, 1, 1), *tiny.encode_prompt(["a dog", PROMPT, "a zebra"])[:, None]])
    assert not torch.allclose(make(case, "lvd", ALL, latents=start, prompt_embeds=other).latents, once, atol=1e-2)


def test_the_order_of_subjects_changes_nothing(two, make, tiny64):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    turned = dataclasses.replace(two, subjects=two.subjects[::-1])
    first, second = (
        make(one, "lvd", ALL | {"com_loss_scale": 0.1}, bb=tiny64, latents=start).latents for one in (two, turned)
    )
    torch.testing.assert_close(first, second, rtol=0, atol=1e-8)


def test_clips_of_a_batch_are_made_one_after_another(case, tiny, start):
    how = dict(method="lvd", method_options=ALL, steps=1, guidance_scale=4.0, output="latent")
    together = generate_batch(tiny, [case, case], seeds=[0, 1], latents=torch.cat([start, start.flip(2)]), **how)
    assert torch.equal(together[1].latents, generate(tiny, case, latents=start.flip(2), **how).latents)
    assert [one.nfe for one in together] == [2, 2]


def test_it_runs_in_half_precision(case, tiny_folder, make, start):
    half = Backbone.from_pretrained(tiny_folder, dtype=torch.bfloat16)
    made = make(case, "lvd", ALL, bb=half, latents=start)
    assert made.latents.dtype == torch.bfloat16 and torch.isfinite(made.latents).all()
    assert not torch.equal(made.latents, make(case, bb=half, latents=start).latents)


@pytest.fixture(scope="module")
def full_size():
    """The layers of ZeroScope at its own size."""
    with torch.device("meta"):
        unet = UNet3DConditionModel.from_config(json.loads(presets.SHIPPED_ARCHITECTURE.read_text())["unet"])
    return sites(unet, 40, 72)


def test_the_releases_six_layers_are_at_half_and_a_quarter_of_the_size(full_size):
    six = watched(full_size, LVD())
    assert tuple(layer_of(one) for one in six) == OFFICIAL
    assert [(one.grid, one.heads) for one in six] == [
        ((20, 36), 10), ((10, 18), 20), ((10, 18), 20), ((10, 18), 20), ((10, 18), 20), ((20, 36), 10)
    ]  # fmt: skip
    every = [layer_of(one) for one in watched(full_size, LVD(maps="half-and-quarter"))]
    assert every == [("down", 1, 0), ("down", 1, 1), *[("down", 2, n) for n in (0, 1)],
                     *[("up", 1, n) for n in (0, 1, 2)], *[("up", 2, n) for n in (0, 1, 2)]]  # fmt: skip
    (middle,) = watched(full_size, LVD(maps=(("mid", 0, 0),)))
    assert middle.name.startswith("mid_block.attentions.0.") and middle.reads == "text"


def test_layers_that_the_network_lacks_are_refused_with_what_to_do(case, make):
    with pytest.raises(
        UserError, match=r"lacks the layers down 2 0, down 2 1, up 2 2 of maps; set .* 'half-and-quarter'"
    ):
        make(case, "lvd", {"loss_threshold": 0.0})
    with pytest.raises(UserError, match=r"lacks the layers up 7 0 of maps.* of down 0 0, down 1 0, up 1 0.*, mid 0 0$"):
        make(case, "lvd", {"maps": [["down", 1, 0], ["up", 7, 0]]})


def test_the_pocket_has_settings_of_its_own_in_which_it_guides():
    pocket = Backbone.from_pretrained("pocket")
    track = np.tile([0.1, 0.1, 0.5, 0.6], (2, 1))
    red = Case("x", "a red star on a grey background", (Subject("red star", track),))
    made = generate(pocket, red, "lvd", {"max_index_step": 1}, steps=1, output="latent")
    assert (made.nfe, made.backward) == (3.5, 5), "not stopped by a threshold that is above every loss"


def test_phrases_have_a_place_each_or_are_found_as_released(tiny):
    both = ("dog", "dog")
    assert LVD().spans(tiny.reader, "a dog and a dog", "", both) == [range(2, 3), range(5, 6)]
    assert LVD(words="official").spans(tiny.reader, "a dog and a dog", "", both) == [range(2, 3)] * 2
    football = ["<", "a_", "football_", "and_", "a_", "ball_", ">"]
    assert spelled_first(football, ["ball_"]) == 3, "one too far"
    assert spelled_first(football, ["a_", "ball_"]) == 4 and spelled_first(football, ["cat_"]) is None


def refused(message, make, case, options=None, **other):
    with pytest.raises(UserError, match=message) as fault:
        make(case, "lvd", ALL | (options or {}), **other)
    assert "\n" not in str(fault.value)


def test_what_cannot_be_done_is_refused(case, make, tiny):
    track = case.subjects[0].boxes
    refused("no subject; give a phrase", make, dataclasses.replace(case, subjects=()), masks=np.zeros((0, 3, 8, 12)))
    refused("subject 0 has no phrase", make, Case("x", PROMPT, (Subject(None, track),)))
    refused("'cub' is not in the prompt 'a zebra", make, Case("x", PROMPT, (Subject("cub", track),)))
    refused("2 subjects are called 'dog', and the prompt names 1", make,
            Case("x", PROMPT, (Subject("dog", track), Subject("dog", track))))  # fmt: skip
    refused("the text encoder reads the first 75 tokens", make,
            Case("x", "green " * 40 + "zebra", (Subject("zebra", track),)))  # fmt: skip
    config = dict(tiny.scheduler_config)
    refused("needs a variance-preserving scheduler", make, case, scheduler=EulerDiscreteScheduler.from_config(config))
    refused("corrector, or .* would undo it", make, case, scheduler=UniPCMultistepScheduler.from_config(config))
    refused("loss_scale 5 times the threshold 7200 is 10000 or more", make, case, {"threshold_fraction": 600.0})


def test_a_network_without_text_attention_in_frames_is_refused(tmp_path):
    wan = Backbone.from_pretrained(tiny_wan.write(tmp_path))
    track = np.tile([0.1, 0.2, 0.5, 0.8], (9, 1))
    with pytest.raises(UserError, match="lvd needs attention within frames"):
        generate(wan, Case("x", PROMPT, (Subject("zebra", track),)), "lvd", latents=torch.zeros(1, 4, 3, 8, 12))
    text = [one for one in wan.sites((3, 8, 12)) if one.reads == "text"]
    with pytest.raises(UserError, match=r"takes masks only, and the method edits it otherwise \(Watch\)"):
        wan.edited({text[0]: Watch(text)}, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_scale": 0}, "loss_scale must be above 0"),
        ({"loss_scale": -1.0}, "out of range"),
        ({"loss_threshold": -1.0}, "out of range"),
        ({"loss_threshold": float("nan")}, "out of range"),
        (
            {"loss_threshold": 2000.0},
            "times the threshold 2000 is 10000 or more, with which the release guides no step",
        ),
        ({"threshold_fraction": -0.1}, "out of range"),
        ({"fg_top_p": 0}, "fg_top_p must be above 0"),
        ({"bg_top_p": 0.0}, "bg_top_p must be above 0"),
        ({"fg_top_p": 1.1}, "between 0 and 1"),
        ({"fg_weight": -1}, "out of range"),
        ({"bg_weight": -1}, "out of range"),
        ({"com_loss_scale": -1}, "out of range"),
        ({"max_iter": -1}, "out of range"),
        ({"max_iter": [1, -1] * 5}, "out of range"),
        ({"max_iter": 1.5}, "expected int"),
        ({"max_iter": "5"}, "expected int"),
        ({"max_iter": [1, 2]}, "max_iter has 2 numbers for the 10 steps of max_index_step"),
        ({"maps": []}, "maps names no layer"),
        ({"maps": "offical"}, "'official', 'half-and-quarter'"),
        ({"maps": ["official"]}, "expected a list of 3, got 'official'"),
        ({"maps": [["down", 1]]}, "expected a list of 3"),
        ({"maps": [["left", 1, 0]]}, "'down', 'mid', 'up'"),
        ({"maps": [["down", "1", 0]]}, "expected int"),
        ({"maps": [["down", 1, -1]]}, "out of range"),
        ({"words": "first"}, "'official', 'place'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        resolve("lvd", options)


def test_many_steps_that_do_nothing_are_seen_at_once():
    assert not LVD(max_iter=0, max_index_step=10**12).acts and LVD(max_index_step=10**12).acts
