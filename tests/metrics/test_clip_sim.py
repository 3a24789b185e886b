import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import clip_sim

X, Y = np.array([1.0, 0.0]), np.array([0.0, 1.0])
DIAGONAL = np.array([1.0, 1.0]) / np.sqrt(2)


def test_mean_cosine_of_all_frames_times_100():
    assert clip_sim.clip_sim(np.stack([X, Y]), X) == pytest.approx(50)
    assert clip_sim.clip_sim(np.stack([DIAGONAL]), X) == pytest.approx(70.7106781)
    # No clamp per frame: the opposite direction counts against the clip.
    assert clip_sim.clip_sim(np.stack([X, -X, -X]), X) == pytest.approx(-100 / 3)


def test_float32_features_are_accepted():
    assert clip_sim.clip_sim(np.stack([DIAGONAL]).astype(np.float32), Y.astype(np.float32)) == pytest.approx(70.71068)


def test_shuffled_uses_every_case_with_another_text():
    prompts = ["a", "b", "a", "c", "b"]
    captions = np.stack([X, Y, X, DIAGONAL, Y])
    # Two cases say b (cosine 0 each), one says c; the other case that says a is the clip's own text.
    assert clip_sim.shuffled(np.stack([X, X]), "a", prompts, captions) == pytest.approx(70.7106781 / 3)
    assert clip_sim.shuffled(np.stack([X]), "a", prompts, captions) == clip_sim.shuffled(
        np.stack([X]), "a", prompts, captions
    )


def test_shuffled_has_no_value_where_all_cases_say_the_same():
    assert np.isnan(clip_sim.shuffled(np.stack([X]), "a", ["a", "a"], np.stack([X, X])))


def test_attained():
    assert clip_sim.attained(10, 10, 30) == 0
    assert clip_sim.attained(30, 10, 30) == 1
    assert clip_sim.attained(15, 10, 30) == 0.25
    assert np.isnan(clip_sim.attained(15, 30, 30))
    assert np.isnan(clip_sim.attained(15, 10, float("nan")))


@pytest.mark.parametrize(
    ("frames", "caption"),
    [
        (np.stack([2 * X]), X),
        (np.stack([X]), 2 * X),
        (np.stack([X, [np.nan, np.nan]]), X),
        (np.stack([X]), np.array([1.0, 0.0, 0.0])),
        (X, X),
        (np.zeros((0, 2)), X),
    ],
)
def test_features_that_are_not_unit_vectors_of_one_length_are_refused(frames, caption):
    with pytest.raises(UserError):
        clip_sim.clip_sim(frames, caption)


def test_every_prompt_needs_its_caption():
    with pytest.raises(UserError, match="2 prompts but 1"):
        clip_sim.shuffled(np.stack([X]), "a", ["a", "b"], np.stack([Y]))
