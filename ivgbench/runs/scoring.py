"""From cached detections and features to the metrics of one job. Pure reading and arithmetic: no model is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ivgbench.cases import Case, Suite
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.metrics import clip_sim, control
from ivgbench.store.runs import Store

#: Metrics of a job: name -> what it is. ivgbench.metrics defines them.
METRICS: dict[str, str] = {
    "clip_sim": "100 x mean cosine of the frames with the prompt",
    "clip_sim_squash": "the same with whole frames squeezed to the model's input, where clip_sim crops their middle",
    "clip_sim_shuffled": "clip_sim with the prompts of other cases: its chance level",
    "caption_cut": "1 when CLIP reads only the beginning of the prompt: the CLIP-SIMs are then of that beginning",
    "covered": "1 when the subject is found in more than half of the frames",
    "miou": "mean IoU of asked and detected box over all frames, 0 where nothing is found",
    "miou_det": "the same over frames with a detection",
    "miou_volume": "IoU of the boxes' pixels stacked over time (Peekaboo's)",
    "ap50": "share of detected frames with IoU of at least 0.5",
    "ap50_strict": "the same hits over all frames",
    "centroid_distance": "mean distance of box centres, in frame diagonals",
    "n_detected": "frames with a detection",
    "n_frames": "frames that count",
    "nfe": "guided network evaluations",
    "backward": "backward passes through the network",
    "seconds": "time it took to make the clip",
}


class Judges(NamedTuple):
    """Ids of the models that look at the clips. They carry everything that changes an answer (weights, threshold)."""

    detector: str
    clip: str
    squash: str


def score_id(job: str, judges: Judges, suite: Suite) -> str:
    """Name of a job's score file: other judges, or other captions to shuffle with, give another file."""
    return job + _suffix(judges, suite.sha256)


@lru_cache(maxsize=64)
def _suffix(judges: Judges, suite: str) -> str:
    return f"-{digest([*judges, suite])[:8]}"


def detection_key(pixels: str, phrase: str) -> str:
    return f"{pixels}-{digest(phrase)[:12]}"


def text_key(text: str) -> str:
    return f"text-{digest(text)[:32]}"


class Captions(NamedTuple):
    """What CLIP makes of a suite's prompts, read and summed up once for all its clips. By prompt: its features [D],
    whether it is cut, and the mean of the captions that differ from it [D]."""

    texts: dict[str, np.ndarray]
    cut: dict[str, float]
    others: dict[str, np.ndarray]

    @classmethod
    def of(cls, suite: Suite, read: Mapping[str, dict[str, np.ndarray]]) -> Captions:
        """read: prompt -> its cached arrays.

        Raises:
            UserError: features that are no unit vectors of one length.
        """
        prompts = [case.prompt for case in suite.cases]
        texts = {text: read[text]["text"] for text in dict.fromkeys(prompts)}
        cut = {text: float(read[text].get("cut", 0)) for text in texts}
        return cls(texts, cut, clip_sim.others(prompts, np.stack([texts[text] for text in prompts])))


def score_job(
    store: Store, judges: Judges, case: Case, captions: Captions, sidecar: Mapping[str, Any]
) -> dict[str, float]:
    """Metrics of one clip: CLIP-SIM with its shuffled floor, box control (mean over subjects), and cost.

    Args:
        case: of the suite that the captions are of.
    Raises:
        UserError: clip and case have different numbers of frames.
        LookupError: a cached detection or feature is not there.
    """
    frames, height, width = sidecar["shape"][:3]
    if case.frames != frames:
        raise UserError(f"the clip has {frames} frames, the case has boxes for {case.frames}; they must be equal")
    pixels = sidecar["pixel_sha256"]
    features = _cached(store, judges.clip, pixels)["frames"]
    whole = _cached(store, judges.squash, pixels)["frames"]
    values = {
        "clip_sim": clip_sim.clip_sim(features, captions.texts[case.prompt]),
        "clip_sim_squash": clip_sim.clip_sim(whole, captions.texts[case.prompt]),
        "clip_sim_shuffled": clip_sim.floor(features, captions.others[case.prompt]),
    }
    values["caption_cut"] = captions.cut[case.prompt]
    per_subject = []
    for subject in case.subjects:
        found = _cached(store, judges.detector, detection_key(pixels, subject.phrase))["boxes"]
        per_subject.append(control.score(subject.boxes, found, variant="clean", size=(height, width)))
    values.update({name: _mean([float(one[name]) for one in per_subject]) for name in per_subject[0]})
    return {**values, **{name: sidecar[name] for name in ("nfe", "backward", "seconds")}}


def _cached(store: Store, model: str, key: str) -> dict[str, np.ndarray]:
    arrays = store.arrays(model, key)
    if arrays is None:
        raise LookupError(f"no cached output of {model} for {key[:24]}")
    return arrays


def _mean(values: Sequence[float]) -> float:
    """Mean over the subjects for which the metric has a value; NaN when it has none for any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
