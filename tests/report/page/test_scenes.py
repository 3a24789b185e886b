"""What was asked, found and scored of a clip, as the report shows it."""

import unicodedata

import numpy as np
import pytest
from shown_runs import shown_run

from ivgbench.metrics import control
from ivgbench.report.page import scenes
from ivgbench.report.page.scenes import Scene, Shot
from ivgbench.report.page.script_data import plain, scores
from ivgbench.runs.scoring import detection_key
from ivgbench.store.runs import Store

SHOT = Shot("job", "", {"pixel_sha256": "ab" * 32, "shape": [2, 8, 8, 3]}, {})


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_was_found_of_a_phrase_in_either_normal_form(tmp_path, form):
    phrase, store = "caf\u00e9", Store(tmp_path)
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [np.nan] * 4])
    key = detection_key("ab" * 32, unicodedata.normalize(form, phrase))
    store.save_arrays("detector", key, {"boxes": boxes, "scores": np.ones(2)})
    found, none = scenes.found(store, "detector", Scene("s", "p", "c", 0, phrases=(phrase, "other")), SHOT)
    assert np.array_equal(found, boxes, equal_nan=True) and none is None


def test_detections_of_another_length_are_none(tmp_path):
    store = Store(tmp_path)
    store.save_arrays("detector", detection_key("ab" * 32, "star"), {"boxes": np.zeros((3, 4))})
    assert scenes.found(store, "detector", Scene("s", "p", "c", 0, phrases=("star",)), SHOT) == [None]


def test_the_overlap_of_frames_has_the_mean_that_is_scored():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.5, (2, 6, 2))
    asked, found = np.concatenate([corner, corner + rng.uniform(0.1, 0.5, (2, 6, 2))], -1)
    asked[1], found[4] = 0, np.nan  # nothing asked; nothing found
    each = scenes.overlap(asked, found)
    assert np.isnan(each[1]) and each[4] == 0
    assert np.nanmean(each) == pytest.approx(control.score(asked, found)["miou"])


def test_scores_in_print():
    values = {"miou": 0.4226, "clip_sim": 96.248, "covered": 0.0, "n_detected": 3.0, "n_frames": 8.0, "nfe": 36}
    assert scores(values, ()) == [["mIoU", "42.3 %"], ["CLIP-SIM", "96.25"], ["covered", "no, 3 of 8"], ["NFE", "36"]]
    assert scores({"miou": None, "clip_sim": 1.0}, ()) == [["mIoU", "–"], ["CLIP-SIM", "1.00"]]
    assert scores({}, ()) == []


def test_data_cannot_leave_its_script():
    text = plain({"a": "</script><!-- & \u2028 \ud800"})
    assert text.isascii() and not set("<>&") & set(text) and "\\u2028" in text


@pytest.mark.parametrize("fate", ["failed", "damaged"])
def test_what_was_asked_is_known_of_clips_that_came_to_nothing(tmp_path, fate):
    store = shown_run(tmp_path, cases=2)
    manifest = store.manifest("table1")
    for job in manifest["jobs"]:
        spec = store.sidecar(job["job"])["spec"]
        if fate == "damaged":
            store.video_path(job["job"]).write_bytes(b"scribble")
        else:
            store.discard(job["job"])
            store.fail(job["job"], "no memory", {"spec": spec})
    _, found = scenes.collect(store, manifest, store.load_rows("table1")[0])
    assert [one.phrases for one in found] == [("red star",), ("red star", "blue ring")] * 2
    assert all(one.prompt.startswith("a red star and a blue ring") and one.asked.shape[1:] == (8, 4) for one in found)
    assert all(shot.facts is None and shot.fault for one in found for shot in one.shots.values())
