"""From cached detections and features to the metrics of one job, `metrics.catalogue.OF_CLIPS`. Pure reading and
arithmetic: no model is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ivgbench.cases import Case, Suite
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.metrics import clip_sim, control
from ivgbench.metrics.catalogue import Metric
from ivgbench.store.runs import Store


class Judges(NamedTuple):
    """Ids of the models that look at the clips. They carry everything that changes an answer (weights, threshold).

    own: the metrics of other packages that the clips are measured by, too.
    """

    detector: str
    clip: str
    squash: str
    own: tuple[Metric, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Who judged, as a score keeps it."""
        versions = {metric.name: metric.version for metric in self.own}
        facts = {"detector": self.detector, "clip": self.clip, "squash": self.squash}
        return facts | ({"own_metrics": versions} if versions else {})


def score_id(job: str, judges: Judges, suite: Suite) -> str:
    """Name of a job's score file: other judges, captions to shuffle with, or metrics of other packages (or another
    version of one) give another file."""
    # Named only where there are some: what is scored without them is called what it was before there were any.
    own = [{metric.name: metric.version for metric in judges.own}] if judges.own else []
    return f"{job}-{digest([judges.detector, judges.clip, judges.squash, suite.sha256, *own])[:8]}"


def detection_key(pixels: str, phrase: str) -> str:
    return f"{pixels}-{digest(phrase)[:12]}"


def text_key(text: str) -> str:
    return f"text-{digest(text)[:32]}"


def own_model(metric: Metric) -> str:
    """The place of the values of another package's metric among the caches."""
    return f"metric {metric.name} {metric.version}"


def own_key(metric: Metric, judges: Judges, pixels: str, case: Case) -> str:
    """The key of such a value: of all that it is made of."""
    models = {"detections": judges.detector, "frame features": judges.clip, "text features": judges.clip}
    made_of = [models[one] for one in metric.needs if one in models]
    return f"{pixels}-{digest([case.content(), list(metric.needs), made_of])[:12]}"


def score_job(store: Store, judges: Judges, case: Case, suite: Suite, sidecar: dict[str, Any]) -> dict[str, float]:
    """Metrics of one clip: CLIP-SIM with its shuffled floor, box control (mean over subjects), cost, and those of other
    packages (NaN where there is no value).

    Raises:
        UserError: clip and case have different numbers of frames.
        LookupError: a cached detection or feature is not there.
    """
    frames, height, width = sidecar["shape"][:3]
    if case.frames != frames:
        raise UserError(f"the clip has {frames} frames, the case has boxes for {case.frames}; they must be equal")
    pixels = sidecar["pixel_sha256"]
    features = cached(store, judges.clip, pixels)["frames"]
    prompts = [other.prompt for other in suite.cases]
    captions = {text: cached(store, judges.clip, text_key(text)) for text in {case.prompt, *prompts}}
    texts = {text: arrays["text"] for text, arrays in captions.items()}
    whole = cached(store, judges.squash, pixels)["frames"]
    values = {
        "clip_sim": clip_sim.clip_sim(features, texts[case.prompt]),
        "clip_sim_squash": clip_sim.clip_sim(whole, texts[case.prompt]),
        "clip_sim_shuffled": clip_sim.shuffled(features, case.prompt, prompts, np.stack([texts[p] for p in prompts])),
    }
    values["caption_cut"] = float(captions[case.prompt].get("cut", 0))
    per_subject = []
    for subject in case.subjects:
        found = cached(store, judges.detector, detection_key(pixels, subject.phrase))["boxes"]
        per_subject.append(control.score(subject.boxes, found, variant="clean", size=(height, width)))
    values.update({name: _mean([float(one[name]) for one in per_subject]) for name in per_subject[0]})
    for metric in judges.own:
        kept = store.arrays(own_model(metric), own_key(metric, judges, pixels, case))
        values[metric.name] = math.nan if kept is None else float(kept["value"])
    return {**values, **{name: sidecar[name] for name in ("nfe", "backward", "seconds")}}


def cached(store: Store, model: str, key: str) -> dict[str, np.ndarray]:
    """What a model said; LookupError when it was not asked."""
    arrays = store.arrays(model, key)
    if arrays is None:
        raise LookupError(f"no cached output of {model} for {key[:24]}")
    return arrays


def _mean(values: Sequence[float]) -> float:
    """Mean over the subjects for which the metric has a value; NaN when it has none for any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
