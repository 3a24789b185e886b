"""The suites: drawn by their rules, the same every time, and tuning never sees what is reported."""

from collections import Counter

import numpy as np
import pytest

from ivgbench import boxes, load_suite, suites, world
from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.suites import pocket, scenes
from ivgbench.suites import tracks as rules

REPORTING = [name for name, recipe in pocket.RECIPES.items() if recipe.content != "tuning"]
TUNING = [name for name, recipe in pocket.RECIPES.items() if recipe.content == "tuning"]


def track(case: Case) -> np.ndarray:
    (subject,) = case.subjects
    return subject.boxes


def centres(tracks: np.ndarray) -> np.ndarray:
    return (tracks[..., :2] + tracks[..., 2:]) / 2


@pytest.mark.parametrize("name", pocket.RECIPES)
def test_the_committed_file_is_what_the_recipe_draws(name):
    committed, made = load_suite(name), suites.make_suite(name)
    assert committed.sha256 == made.sha256, "the recipe or the world changed: `ivgbench suites make --all`"
    assert (committed.name, committed.frames, len(committed.cases)) == (
        name,
        8,
        pocket.CASES[pocket.RECIPES[name].content],
    )


@pytest.mark.parametrize("name", pocket.RECIPES)
def test_prompts_are_sentences_of_the_world_about_their_subject(name):
    for case in load_suite(name).cases:
        ((colour, shape),), background = world.parse_caption(case.prompt)
        assert case.subjects[0].phrase == f"{colour} {shape}"
        assert case.metadata["background"] == background and case.metadata["split"] in name


def test_short_names_are_those_of_the_backbone():
    assert load_suite("static").name == "pocket-static" and load_suite("dynamic").name == "pocket-dynamic"
    assert load_suite(suites.folder() / "pocket-static.jsonl").sha256 == load_suite("static").sha256
    with pytest.raises(UserError, match=r"'imc-static' is not on this machine: .ivgbench fetch imc.*scenes-static"):
        load_suite("static", backbone="zeroscope")
    with pytest.raises(UserError, match=r"unknown suite 'statik'.*did you mean 'static'"):
        load_suite("statik")
    with pytest.raises(UserError, match="no recipe"):
        suites.make_suite("nothing")


def test_tuning_and_reporting_share_neither_captions_nor_boxes():
    reported = [case for name in REPORTING for case in load_suite(name).cases]
    tuned = [case for name in TUNING for case in load_suite(name).cases]
    assert not {case.prompt for case in reported} & {case.prompt for case in tuned}
    assert not {track(case).tobytes() for case in reported} & {track(case).tobytes() for case in tuned}
    assert world.SPLIT_SEEDS["report"] != world.SPLIT_SEEDS["tuning"]


@pytest.mark.parametrize("content", ["report", "claims", "tuning"])
@pytest.mark.parametrize("first", [12, 24, 48, 96])
def test_every_beginning_of_a_suite_is_balanced(content, first):
    captions = pocket.captions(content)
    assert len(set(captions)) == len(captions) == pocket.CASES[content]
    words = [pocket._words(text) for text in captions[:first]]
    for position, options in enumerate((world.COLOURS, world.SHAPES, world.BACKGROUNDS)):
        counts = Counter(word[position] for word in words)
        assert set(counts) == set(options)
        assert max(counts.values()) - min(counts.values()) <= 2


def test_content_is_independent_of_boxes():
    # Redrawing the captions leaves the boxes as they are, because the streams are separate; so no pairing is chosen.
    for name in REPORTING:
        recipe = pocket.RECIPES[name]
        rng = np.random.default_rng([world.SPLIT_SEEDS["report"], recipe.seed])
        for case in load_suite(name).cases:
            np.testing.assert_allclose(track(case), recipe.track(rng, 8), atol=5.1e-5)


def draw(rule, count: int = 400, frames: int = 16) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([boxes.check(rule(rng, frames), "drawn") for _ in range(count)])


@pytest.mark.parametrize("frames", [1, 8, 16, 24])
@pytest.mark.parametrize(
    "rule", [rules.imc_static, rules.imc_dynamic, rules.trailblazer_static, rules.trailblazer_dynamic]
)
def test_every_rule_draws_valid_boxes_for_any_length(rule, frames):
    assert draw(rule, 40, frames).shape == (40, frames, 4)


def test_imc_boxes_have_the_published_sizes():
    for rule in (rules.imc_static, rules.imc_dynamic):
        tracks = draw(rule)
        sides = tracks[..., 2:] - tracks[..., :2]
        np.testing.assert_allclose(sides, np.broadcast_to(sides[:, :1], sides.shape), atol=1e-9)  # never cut at an edge
        assert {tuple(pair) for pair in sides[:, 0].round(4).tolist()} == {
            (0.25, 0.25), (0.3325, 0.25), (0.25, 0.3325), (0.3, 0.3), (0.399, 0.3), (0.3, 0.399),
        }  # fmt: skip
        area = sides.prod(-1)
        assert area.min() > 0.06 and area.max() <= 0.1201


def test_imc_static_boxes_drift_a_little():
    moved = centres(draw(rules.imc_static))
    assert np.abs(np.diff(moved, axis=1)).max() <= 0.01 + 1e-9
    drift = np.ptp(moved, axis=1).max(-1)
    assert 0.02 < drift.mean() < 0.06 and drift.max() < 0.15


def test_imc_dynamic_boxes_go_straight_along_one_axis():
    moved = centres(draw(rules.imc_dynamic))
    span = np.ptp(moved, axis=1)
    axis = span.argmax(-1)
    assert 0.5 < axis.mean() < 0.7  # up or down in 60 %
    along = np.take_along_axis(moved, axis[:, None, None], 2)[..., 0]
    across = np.take_along_axis(moved, 1 - axis[:, None, None], 2)[..., 0]
    steps = np.diff(along, axis=1)
    np.testing.assert_allclose(steps, np.broadcast_to(steps.mean(1, keepdims=True), steps.shape), atol=1e-9)
    assert np.ptp(across, axis=1).max() <= 0.02 + 1e-9
    speed = np.abs(steps.mean(1))
    assert speed.max() <= 16 / 224 and speed.min() * 15 >= rules.IMC_LEAST_TRAVEL - 1e-9
    assert 0.25 < span.max(-1).mean() < 0.42  # 34 % in the released records
    assert {-1.0, 1.0} == set(np.sign(steps.mean(1)))


def test_trailblazer_static_boxes_do_not_move():
    tracks = draw(rules.trailblazer_static)
    assert (tracks == tracks[:, :1]).all()
    first = tracks[:, 0]
    np.testing.assert_array_equal(first, first.round(2))
    assert first[:, :2].max() <= 0.5
    sides = first[:, 2:] - first[:, :2]
    assert sides.min() >= 0.2 - 1e-9 and sides.max() <= 0.5 + 1e-9 and sides.std() > 0.05


def test_trailblazer_dynamic_boxes_go_between_the_published_ends():
    tracks = draw(rules.trailblazer_dynamic, frames=24)
    starts = {tuple(row) for row in tracks[:, 0].tolist()}
    assert starts == {end for pair in rules.TRAILBLAZER_ENDS for end in pair}
    turns = (np.diff(np.sign(np.diff(centres(tracks)[..., 0], axis=1)), axis=1) != 0).sum(1)
    assert set(turns) == {0, 1, 2, 3, 4}  # 2..6 keyframes
    # Two keyframes, 0 and 24: the last one is a frame beyond the clip, so frame 23 is 23/24 of the way.
    there = tracks[turns == 0][0]
    end = next(b if tuple(there[0]) == a else a for a, b in rules.TRAILBLAZER_ENDS if tuple(there[0]) in (a, b))
    np.testing.assert_allclose(there[-1], there[0] + (np.array(end) - there[0]) * 23 / 24)


@pytest.mark.parametrize("name", scenes.NAMES)
def test_our_own_sentences_are_laid_out_as_the_released_set(name):
    committed = load_suite(name)
    assert committed.sha256 == suites.make_suite(name).sha256
    assert (committed.frames, len(committed.cases)) == (24, 102)
    assert Counter(Counter(case.prompt for case in committed.cases).values()) == {3: 34}
    assert Counter(scene.kind.axis is None for scene in scenes.SCENES) == {True: 12, False: 22}


def test_boxes_have_the_kind_their_scene_asks_for():
    for name in scenes.NAMES:
        for index, case in enumerate(load_suite(name).cases):
            kind = scenes.SCENES[index // 3].kind
            sides = np.full(2, kind.side)
            if kind.aspect:
                sides[kind.aspect - 1] *= 1.33
            np.testing.assert_allclose(track(case)[:, 2:] - track(case)[:, :2], np.tile(sides, (24, 1)), atol=2e-4)
            moved = np.ptp(centres(track(case)), axis=0)
            if name == "scenes-dynamic" and kind.axis is not None:
                assert moved[kind.axis] >= rules.IMC_LEAST_TRAVEL - 2e-4
                assert moved[1 - kind.axis] <= 0.021


def test_both_splits_share_prompts_and_no_boxes():
    static, dynamic = map(load_suite, scenes.NAMES)
    assert [case.prompt for case in static.cases] == [case.prompt for case in dynamic.cases]
    assert not {track(case).tobytes() for case in static.cases} & {track(case).tobytes() for case in dynamic.cases}
