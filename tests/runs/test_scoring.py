"""One row per clip, whatever the number of its subjects."""

import numpy as np
import pytest

from ivgbench.cases import Case, Subject, Suite
from ivgbench.metrics import control
from ivgbench.metrics.catalogue import OF_CLIPS
from ivgbench.runs.scoring import Captions, Judges, detection_key, score_job, text_key
from ivgbench.store.runs import Store

FRAMES, SIZE = 4, (48, 80)
JUDGES = Judges("detector", "clip", "squash")
STAR, RING = ([0.1, 0.1, 0.5, 0.6], [0.5, 0.3, 0.9, 0.9])


def track(box):
    return np.tile(box, (FRAMES, 1))


@pytest.fixture
def scored(tmp_path):
    """Scores a case of several subjects from what the detector found of each."""
    store = Store(tmp_path)

    def score(asked, found, cut=None):
        prompt = " and ".join(asked)
        case = Case("several", prompt, tuple(Subject(phrase, box) for phrase, box in asked.items()))
        for model in (JUDGES.clip, JUDGES.squash):
            store.save_arrays(model, "pixels", {"frames": np.eye(FRAMES, 8)})
        store.save_arrays(JUDGES.clip, text_key(prompt), {"text": np.eye(8)[0]} | ({} if cut is None else {"cut": cut}))
        for phrase, boxes in found.items():
            store.save_arrays(JUDGES.detector, detection_key("pixels", phrase), {"boxes": boxes})
        sidecar = {"shape": [FRAMES, *SIZE, 3], "pixel_sha256": "pixels", "nfe": 20, "backward": 0, "seconds": 1.0}
        captions = Captions.of(Suite("s", FRAMES, (case,)), {prompt: store.arrays(JUDGES.clip, text_key(prompt))})
        return score_job(store, JUDGES, case, captions, sidecar)

    return score


def test_each_subject_is_scored_against_its_own_boxes_and_they_are_averaged(scored):
    asked = {"star": track(STAR), "ring": track(RING)}
    found = {"star": track(STAR), "ring": track(RING) - [0.1, 0, 0.1, 0]}
    found["ring"][2] = np.nan
    values = scored(asked, found)
    alone = [control.score(asked[phrase], found[phrase], size=SIZE) for phrase in asked]
    for name in alone[0]:
        assert values[name] == pytest.approx((alone[0][name] + alone[1][name]) / 2), name
    assert values["miou"] == pytest.approx((1 + 0.75 * 0.6) / 2)
    swapped = scored(asked, {"star": found["ring"], "ring": found["star"]})
    assert swapped["miou"] < values["miou"]


def test_one_subject_found_is_half_a_coverage(scored):
    asked = {"star": track(STAR), "ring": track(RING)}
    values = scored(asked, {"star": track(STAR), "ring": np.full((FRAMES, 4), np.nan)})
    assert (values["covered"], values["miou"], values["n_detected"]) == (0.5, 0.5, FRAMES / 2)
    # What has no value for a subject is averaged over the others.
    assert (values["ap50"], values["miou_det"], values["centroid_distance"]) == (1, 1, 0)


def test_one_subject_is_its_own_score(scored):
    found = np.add(track(STAR), [0.05, 0, 0.05, 0])
    values = scored({"star": track(STAR)}, {"star": found})
    assert {name: values[name] for name in ("miou", "covered", "miou_volume")}.items() <= {
        **control.score(track(STAR), found, size=SIZE)
    }.items()


def test_a_caption_that_clip_cuts_is_a_fact_of_the_score(scored):
    asked = {"star": track(STAR)}
    marks = [scored(asked, asked, cut)["caption_cut"] for cut in (np.array(True), np.array(False))]
    assert marks == [1, 0]


def test_a_score_has_the_metrics_of_the_catalogue_and_no_others(scored):
    asked = {"star": track(STAR)}
    assert set(scored(asked, asked)) == {metric.name for metric in OF_CLIPS}
