"""From cached detections and features to the metrics of one job, `metrics.catalogue.OF_CLIPS`. Pure reading and
arithmetic: no model is loaded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ivgbench.cases import Case, Suite
from ivgbench.errors import UserError
from ivgbench.files import canonical_json, digest
from ivgbench.metrics import clip_sim, control
from ivgbench.metrics.catalogue import OF_CLIPS, Metric
from ivgbench.store.runs import Store


class Judges(NamedTuple):
    """Ids of the models that look at the clips. They carry everything that changes an answer (weights, threshold).

    own: the metrics of other packages that the clips are measured by, too.
    """

    detector: str
    clip: str
    squash: str
    own: tuple[Metric, ...] = ()

    @property
    def models(self) -> tuple[str, str, str]:
        """The ids alone."""
        return self.detector, self.clip, self.squash

    def metrics(self) -> frozenset[str]:
        """The names of all that a score has."""
        return frozenset(metric.name for metric in (*OF_CLIPS, *self.own))

    def facts(self) -> dict[str, Any]:
        """Who judged, as a score keeps it."""
        versions = {metric.name: metric.version for metric in self.own}
        facts = {"detector": self.detector, "clip": self.clip, "squash": self.squash}
        return facts | ({"own_metrics": versions} if versions else {})


def score_id(job: str, judges: Judges, suite: Suite) -> str:
    """Name of a job's score file: other judges, captions to shuffle with, or metrics of other packages (or another
    version of one) give another file."""
    return job + _suffix(judges.models, tuple((metric.name, metric.version) for metric in judges.own), suite.sha256)


@lru_cache(maxsize=64)
def _suffix(models: tuple[str, ...], own: tuple[tuple[str, int], ...], suite: str) -> str:
    # Named only where there are some: what is scored without them is called what it was before there were any.
    return f"-{digest([*models, suite, *([dict(own)] if own else [])])[:8]}"


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
    # The digest of [content of the case, needs, made of]: the case, the longest part, is spelled but once.
    text = f"[{case.canonical},{canonical_json(list(metric.needs))},{canonical_json(made_of)}]"
    return f"{pixels}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


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
    """Metrics of one clip: CLIP-SIM with its shuffled floor, box control (mean over subjects), cost, and those of other
    packages (NaN where there is no value).

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
    features = cached(store, judges.clip, pixels)["frames"]
    whole = cached(store, judges.squash, pixels)["frames"]
    values = {
        "clip_sim": clip_sim.clip_sim(features, captions.texts[case.prompt]),
        "clip_sim_squash": clip_sim.clip_sim(whole, captions.texts[case.prompt]),
        "clip_sim_shuffled": clip_sim.floor(features, captions.others[case.prompt]),
    }
    values["caption_cut"] = captions.cut[case.prompt]
    per_subject = []
    for subject in case.subjects:
        found = cached(store, judges.detector, detection_key(pixels, subject.words))["boxes"]
        per_subject.append(control.score(subject.track, found, variant="clean", size=(height, width)))
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
