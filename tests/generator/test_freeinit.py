"""FreeInit: rounds of the sampler, alone and around other methods."""

import dataclasses
import shutil
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler

from ivgbench.errors import UserError
from ivgbench.generator import generate_batch
from ivgbench.generator.edits.frequency import low_pass, mix
from ivgbench.generator.foresight import Foresight
from ivgbench.generator.levels import Schedule
from ivgbench.generator.methods import freeinit
from ivgbench.generator.methods.base import Method, Run
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import PLAIN, Sampling

INSIDE = ["plain", "peekaboo", "trailblazer", "mask-norm", "mask-norm-tid", "freetraj"]
FILTERS = ["butterworth", "gaussian", "ideal", "box"]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- mixing by frequency


def test_everything_kept_is_the_one_and_nothing_kept_the_other():
    slow, fast = noise(2, 4, 4, 6, 8), noise(2, 4, 4, 6, 8, seed=1)
    torch.testing.assert_close(mix(slow, fast, torch.ones(4, 6, 8)), slow, rtol=0, atol=1e-12)
    torch.testing.assert_close(mix(slow, fast, torch.zeros(4, 6, 8)), fast, rtol=0, atol=1e-12)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("shape", [(4, 6, 8), (5, 7, 9)])
def test_mixing_is_linear_and_with_itself_changes_nothing(filter, shape):
    kept, (a, b, c, d) = low_pass(shape, filter, d_s=0.5, d_t=0.5), (noise(1, 2, *shape, seed=n) for n in range(4))
    torch.testing.assert_close(mix(a, a, kept), a, rtol=0, atol=1e-6)  # 1 - L is rounded in float32
    together = mix(2 * a + c, 2 * b + d, kept)
    torch.testing.assert_close(together, 2 * mix(a, b, kept) + mix(c, d, kept), rtol=0, atol=1e-12)


@pytest.mark.parametrize("filter", FILTERS)
def test_the_mean_is_the_slow_ones(filter):
    slow, fast = noise(1, 2, 4, 8, 10), noise(1, 2, 4, 8, 10, seed=1)
    kept = low_pass((4, 8, 10), filter, d_s=0.5, d_t=0.5)
    assert kept[2, 4, 5] == 1
    torch.testing.assert_close(mix(slow, fast, kept).mean((2, 3, 4)), slow.mean((2, 3, 4)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("cutoffs", [(0, 0.5), (0.5, 0)])
def test_a_cutoff_of_nothing_keeps_nothing(filter, cutoffs):
    assert not low_pass((4, 6, 8), filter, 4, *cutoffs).any()


def test_the_release_and_the_intent_differ_where_the_release_is_odd():
    def both(shape, filter):
        return (low_pass(shape, filter, d_s=0.25, d_t=0.25, rule=rule) for rule in ("official", "intent"))

    for filter in ("butterworth", "gaussian"):
        official, intent = both((8, 12, 20), filter)
        assert torch.equal(official, intent)
        official, intent = both((7, 11, 9), filter)
        middle = intent == intent.max()
        assert middle.nonzero().tolist() == [[3, 5, 4]] and official[3, 5, 4] < 1
        assert torch.equal(intent, intent.flip(0, 1, 2)) and not torch.equal(official, intent)
    official, intent = both((8, 12, 20), "ideal")  # radius 0.71 instead of 0.25
    assert official.mean() > 0.1 and intent.mean() < 0.02
    official, intent = both((8, 8, 16), "box")
    assert [sorted(set(axis.tolist())) for axis in official.nonzero().T] == [[3, 4], [3, 4], [7, 8]]
    assert [sorted(set(axis.tolist())) for axis in intent.nonzero().T] == [[3, 4, 5], [3, 4, 5], [6, 7, 8, 9, 10]]


def test_mixed_noise_is_not_of_unit_variance():
    kept = low_pass((24, 40, 72))
    assert (kept**2 + (1 - kept) ** 2).mean() == pytest.approx(0.9922, abs=1e-4)


# ---- rounds


@pytest.mark.parametrize("method", INSIDE)
def test_one_round_is_the_method_inside(method, case, make):
    alone, inside = make(case, method), make(case, "freeinit", {"rounds": 1, "base": method})
    assert torch.equal(alone.latents, inside.latents) and (alone.nfe, alone.backward) == (inside.nfe, inside.backward)


@pytest.mark.parametrize("method", INSIDE)
def test_every_round_costs_what_the_method_inside_costs(method, case, make):
    alone, inside = make(case, method), make(case, "freeinit", {"rounds": 3, "base": method})
    assert inside.nfe == 3 * alone.nfe and not torch.equal(alone.latents, inside.latents)


@pytest.mark.parametrize(("steps", "rounds", "expected"), [(6, 3, [2, 4, 6]), (5, 3, [1, 3, 5]), (4, 4, [1, 2, 3, 4])])
def test_fast_rounds_grow(steps, rounds, expected, case, make):
    told = []
    clip = make(
        case, "freeinit", {"rounds": rounds, "fast": True}, steps=steps, return_trajectory=True,
        callback=lambda *one: told.append(one),
    )  # fmt: skip
    assert clip.nfe == sum(expected) and len(clip.trajectory) == steps
    assert told == [(done, sum(expected)) for done in range(1, sum(expected) + 1)]


def test_the_releases_own_counts_of_steps():
    config = resolve("freeinit", {"fast": True})

    def evaluations(steps, rounds):
        schedule = Schedule(steps, None, None, True)
        setup = type("S", (), {"schedule": schedule, "shape": (2, 4, 4), "clips": []})
        return freeinit.Again(setup, dataclasses.replace(config, rounds=rounds)).rounds()

    assert evaluations(50, 5) == [10, 20, 30, 40, 50] and sum(evaluations(50, 3)) == 99
    assert evaluations(61, 7)[-1] == 60  # a step is lost to rounding, as released


def test_a_round_starts_from_the_last_ones_clip_and_the_first_ones_noise(case, make):
    """By hand: the library's own noising, each round's clip made by the plain sampler."""
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    streams = []
    real = freeinit.standard_normal
    with patch.object(freeinit, "standard_normal", lambda *asked: streams.append(real(*asked)) or streams[-1]):
        clip = make(case, "freeinit", {"rounds": 3}, latents=start)
    # sqrt(0.0046601) of the clip: the last of 1000 training timesteps.
    latents, alpha = make(case, latents=start).latents, torch.tensor(0.0046601)
    for fresh in streams:
        noised = alpha.sqrt() * latents + (1 - alpha).sqrt() * start
        latents = make(case, latents=mix(noised, fresh, low_pass((3, 8, 12)))).latents
    assert len(streams) == 2 and not torch.equal(*streams)
    torch.testing.assert_close(clip.latents, latents, rtol=0, atol=2e-3)


def test_a_clip_repeats_and_another_stream_changes_what_is_drawn_only(case, make, tiny, monkeypatch):
    once, again = (make(case, "freeinit", {"rounds": 2}) for _ in range(2))
    assert torch.equal(once.latents, again.latents)
    noised = []
    real = freeinit.mix
    monkeypatch.setattr(freeinit, "mix", lambda *all: noised.append(all) or real(*all))
    make(case, "freeinit", {"rounds": 2})
    source = freeinit.Again.__init__
    monkeypatch.setattr(
        freeinit.Again, "__init__",
        lambda self, setup, config: source(self, setup, config) or setattr(
            self, "_streams", [clip.stream("other") for clip in setup.clips]
        ),
    )  # fmt: skip
    other = make(case, "freeinit", {"rounds": 2})
    assert torch.equal(noised[0][0], noised[1][0]) and not torch.equal(noised[0][1], noised[1][1])
    assert not torch.equal(other.latents, once.latents)


def test_clips_of_a_batch_have_their_own_draws(case, tiny):
    latents = torch.randn(2, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    how = dict(method="freeinit", method_options={"rounds": 2, "base": "peekaboo"}, steps=2, output="latent")
    both = generate_batch(tiny, [case, case], seeds=[0, 1], latents=latents, **how)
    alone = [generate_batch(tiny, [case], seeds=[n], latents=latents[n : n + 1], **how)[0] for n in range(2)]
    for one, other in zip(both, alone, strict=True):
        torch.testing.assert_close(one.latents, other.latents, rtol=1e-3, atol=1e-3)
        assert one.nfe == other.nfe == 4


def test_a_method_that_ranks_values_is_made_clip_by_clip():
    assert not resolve("freeinit", {"base": "mask-norm"}).batches and resolve("freeinit").batches


class Watch(Run):
    """Notes in which steps it is asked for what."""

    def __init__(self, setup):
        self.setup, self.seen = setup, []

    def initial(self, latents):
        self.seen.append("initial")
        return latents

    def before_step(self, step, latents, network):
        self.seen.append((step, self.setup.steps, len(self.setup.levels), float(network.level.a)))
        return latents


def test_steps_levels_and_hooks_start_again_in_every_round(case, make, monkeypatch):
    runs = []
    monkeypatch.setattr(resolve("plain").__class__, "start", lambda self, setup: runs.append(Watch(setup)) or runs[-1])
    make(case, "freeinit", {"rounds": 2, "fast": True}, steps=4)
    (run,) = runs
    assert run.seen[0] == "initial" and [one[:3] for one in run.seen[1:]] == [
        (0, 2, 2), (1, 2, 2), (0, 4, 4), (1, 4, 4), (2, 4, 4), (3, 4, 4)
    ]  # fmt: skip
    first, second = run.seen[1:3], run.seen[3:]
    assert (first[0][3], first[1][3]) == (second[1][3], second[3][3])  # timesteps 501, 1 and 751, 501, 251, 1


def test_the_masks_act_in_the_first_steps_of_every_round(case, make, tiny, monkeypatch):
    seen, real = [], type(tiny).edited
    monkeypatch.setattr(type(tiny), "edited", lambda bb, on, clips: seen.append(bool(on)) or real(bb, on, clips))
    make(case, "freeinit", {"rounds": 2, "base": "peekaboo", "base.frozen_steps": 1}, steps=3)
    assert seen == [True, False, False] * 2


def test_subjects_made_alone_are_made_once(two, make):
    alone, inside = make(two, "trailblazer"), make(two, "freeinit", {"rounds": 3, "base": "trailblazer"})
    assert (alone.nfe, inside.nfe) == (6, 4 + 3 * 2)


def test_a_scheduler_that_makes_more_steps_than_asked_makes_them_in_every_round(case, make, tiny):
    scheduler = PNDMScheduler.from_config(tiny.scheduler_config, skip_prk_steps=True)
    once = make(case, scheduler=scheduler, steps=5).nfe
    assert once > 5 and make(case, "freeinit", {"rounds": 2}, scheduler=scheduler, steps=5).nfe == 2 * once


def test_a_multistep_scheduler_starts_every_round_afresh(case, make):
    assert make(case, "freeinit", {"rounds": 2}, scheduler="dpm", steps=3).nfe == 6


def test_in_half_precision_it_runs(case, tiny_folder):
    from ivgbench.generator import Backbone, generate

    half = Backbone.from_pretrained(tiny_folder, dtype=torch.bfloat16)
    clip = generate(half, case, "freeinit", {"rounds": 2}, steps=1, output="latent", masks=np.ones((1, 3, 8, 12)))
    assert clip.latents.dtype == torch.bfloat16 and clip.nfe == 2


# ---- options


def test_options_of_the_method_inside_are_its_own_on_top_of_its_defaults():
    config = resolve("freeinit", {"base": "tid", "base.gamma": 1})
    assert config.base == "mask-norm-tid" and config.inner == resolve("tid", {"gamma": 1.0})
    assert config == resolve("freeinit", {"base": "mask-norm-tid", "base_options": {"gamma": 1.0, "kappa": 0.1}})
    assert config.versions() == (1, resolve("tid").version) and resolve("freeinit").base_options is None
    assert len({config, resolve("freeinit", {"base": "tid"}), resolve("freeinit")}) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rounds": 0}, "use a value >= 1"),
        ({"rounds": 2.5}, "expected int"),
        ({"d_s": 1.1}, "between 0 and 1"),
        ({"d_t": -0.1}, "between 0 and 1"),
        ({"d_t": float("nan")}, "between 0 and 1"),
        ({"order": 0}, "order 0 is out of range; use a value above 0"),
        ({"order": -1}, "out of range"),
        ({"order": float("inf")}, "out of range"),
        ({"filter": "gauss"}, "use one of 'butterworth', 'gaussian', 'ideal', 'box'"),
        ({"filter": "ideal", "order": 2}, "the filter 'ideal' has no order"),
        ({"base": "freeinit"}, "base cannot be freeinit itself"),
        ({"base": "peekabo"}, "did you mean 'peekaboo'"),
        ({"base": 3}, "named by a text|expected str"),
        ({"base": "peekaboo", "base.frozen": 1}, "freeinit around 'peekaboo': .* no option 'frozen'"),
        ({"base": "peekaboo", "base.frozen_steps": -1}, "freeinit around 'peekaboo': .* out of range"),
        ({"base.frozen_steps": 1}, "freeinit around 'plain': .* no option 'frozen_steps'"),
        ({"base_options": 3}, "expected a mapping"),
    ],
)
def test_bad_options_are_one_line(options, words):
    with pytest.raises(UserError, match=words) as refused:
        resolve("freeinit", options)
    assert "\n" not in str(refused.value)


def test_the_default_order_is_accepted_by_every_filter():
    assert all(resolve("freeinit", {"filter": filter, "order": 4}).order == 4.0 for filter in FILTERS)


def test_too_few_steps_for_fast_rounds_are_refused(case, make):
    with pytest.raises(UserError, match="with fast, 2 steps are too few for 3 rounds"):
        make(case, "freeinit", {"rounds": 3, "fast": True}, steps=2)
    assert make(case, "freeinit", {"rounds": 3}, steps=2).nfe == 6


def test_a_scheduler_of_another_scale_is_refused(case, make, tiny):
    euler = EulerDiscreteScheduler.from_config(tiny.scheduler_config)
    with pytest.raises(UserError, match=r"freeinit noises a clip back .* use 'ddim' or 'dpm'"):
        make(case, "freeinit", {"rounds": 2}, scheduler=euler)
    assert make(case, "freeinit", {"rounds": 1}, scheduler=euler).nfe == 2  # nothing is noised back


def without_signal(cls, tiny):
    """A scheduler whose last noise level holds nothing of a clip; what DPM-Solver++ has there is not quite 0."""
    return cls.from_config(tiny.scheduler_config, rescale_betas_zero_snr=True, prediction_type="v_prediction")


@pytest.mark.parametrize("cls", [DDIMScheduler, DPMSolverMultistepScheduler])
@pytest.mark.parametrize("base", ["plain", "peekaboo"])
def test_a_schedule_that_ends_in_noise_alone_is_refused(cls, base, case, make, tiny):
    with pytest.raises(UserError, match=r"freeinit noises a clip back .* ends in noise alone") as refused:
        make(case, "freeinit", {"rounds": 2, "base": base}, scheduler=without_signal(cls, tiny))
    assert "\n" not in str(refused.value)
    assert make(case, "freeinit", {"rounds": 1, "base": base}, scheduler=without_signal(cls, tiny)).nfe == 2


def test_it_is_refused_in_planning_too(case, tiny, tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "tiny")
    sampling = Sampling(steps=4, guidance_scale=4.0, scheduler="ddim").over(PLAIN)
    Foresight(folder).check(resolve("freeinit", {"rounds": 2}), case, sampling)
    with pytest.raises(UserError, match="with fast, 4 steps are too few"):
        Foresight(folder).check(resolve("freeinit", {"fast": True}), case, sampling)
    without_signal(DDIMScheduler, tiny).save_config(folder / "scheduler")
    Foresight(folder).check(resolve("freeinit", {"rounds": 1}), case, sampling)
    with pytest.raises(UserError, match="ends in noise alone"):
        Foresight(folder).check(resolve("freeinit", {"rounds": 2}), case, sampling)


def test_several_subjects_made_alone_are_refused_with_fast(two, case, make):
    options = {"rounds": 2, "fast": True, "base": "trailblazer"}
    with pytest.raises(UserError, match=r"freeinit around 'trailblazer': with fast .* leave fast out"):
        make(two, "freeinit", options)
    assert make(case, "freeinit", options).nfe == 3


def test_boxes_and_masks_are_unused_around_plain(case, make):
    bare = dataclasses.replace(case, subjects=())
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    nothing = {"latents": start, "masks": None}
    with patch.object(freeinit, "standard_normal", lambda streams, shape: torch.zeros(shape)):
        assert torch.equal(
            make(case, "freeinit", {"rounds": 2}, latents=start).latents,
            make(bare, "freeinit", {"rounds": 2}, **nothing).latents,
        )


def test_words_are_checked_by_the_method_inside(tiny):
    far = "a " * 90 + "zebra"
    resolve("freeinit").check_words(tiny.reader, far, "", ("zebra",))
    with pytest.raises(UserError, match="peekaboo: the text encoder reads"):
        resolve("freeinit", {"base": "peekaboo"}).check_words(tiny.reader, far, "", ("zebra",))


def test_every_question_to_a_config_is_answered_by_the_method_inside():
    asked = {name for name, one in vars(Method).items() if callable(one) and not name.startswith("_")}
    assert asked - set(vars(freeinit.FreeInit)) == set()
    assert Method.versions(resolve("plain")) == (1,)
