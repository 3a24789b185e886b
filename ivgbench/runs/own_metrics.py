"""The stage of a run in which clips are measured by what other packages offer (`ivgbench.metrics.own`).

Workers do it, one clip and metric at a time, and keep each value: what fails, or kills its worker, costs that value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ivgbench.engines.base import Failure
from ivgbench.metrics import own
from ivgbench.metrics.catalogue import Metric
from ivgbench.runs import scoring
from ivgbench.runs.identity import Job
from ivgbench.runs.progress import log, progress
from ivgbench.runs.scoring import Judges
from ivgbench.store.runs import Store


class Ask(NamedTuple):
    """A clip to measure: the metric, the job, and the key that the value is kept by."""

    metric: Metric
    job: Job
    key: str


class Measurer:
    """What a measuring worker holds: the store and the metrics it was asked for."""

    def __init__(self, store: Store, lab: Any, judges: Judges):
        lab.start_worker()
        self.store, self.judges = store, judges
        self.metrics: dict[str, own.ClipMetric] = {}

    def measure(self, ask: Ask) -> None:
        """Keeps the value of a clip."""
        name = ask.metric.name
        if name not in self.metrics:
            self.metrics[name] = own.make(name)
        value = own.measured(name, self.metrics[name], self._seen(ask))
        self.store.save_arrays(scoring.own_model(ask.metric), ask.key, {"value": np.asarray(value, dtype=np.float64)})

    def _seen(self, ask: Ask) -> own.Seen:
        needs, case = ask.metric.needs, ask.job.case
        pixels = self.store.pixels(ask.job.id)
        phrases = tuple(subject.words for subject in case.subjects)
        given: dict[str, np.ndarray] = {}
        if "video" in needs:
            given["video"] = self.store.clip(ask.job.id)
        if "asked boxes" in needs:
            given["asked"] = np.array([subject.boxes for subject in case.subjects], dtype=np.float64)
        if "detections" in needs:
            keys = [scoring.detection_key(pixels, phrase) for phrase in phrases]
            found = [scoring.cached(self.store, self.judges.detector, key)["boxes"] for key in keys]
            given["detected"] = np.array(found, dtype=np.float64)
        if "frame features" in needs:
            given["frame_features"] = scoring.cached(self.store, self.judges.clip, pixels)["frames"]
        if "text features" in needs:
            text = scoring.text_key(case.prompt)
            given["text_features"] = scoring.cached(self.store, self.judges.clip, text)["text"]
        return own.Seen(case.prompt, phrases, **given)


def are_kept(judges: Judges, job: Job, facts: Mapping[str, Any], there: Mapping[str, set[str]]) -> bool:
    """Whether each metric has its value of a clip, by the names of what is kept (`there`: place -> keys)."""
    return all(
        scoring.own_key(metric, judges, facts["pixel_sha256"], job.case) in there[scoring.own_model(metric)]
        for metric in judges.own
    )


def measure(
    judges: Judges, store: Store, lab: Any, engine: Any, jobs: Iterable[Job], done: Mapping[str, dict[str, Any]]
) -> tuple[int, dict[str, dict[str, str]]]:
    """Measures the clips of jobs that are `done` (id -> sidecar) where no value is kept.

    Returns how many values that were, and job id -> metric -> why it has none: the next run tries again.
    """
    asks = []
    for job in jobs if judges.own else ():
        facts = done[job.id]
        if job.case.frames != facts["shape"][0]:  # it has no score at all
            continue
        for metric in judges.own:
            key = scoring.own_key(metric, judges, facts["pixel_sha256"], job.case)
            if store.arrays(scoring.own_model(metric), key) is None:
                asks.append(Ask(metric, job, key))
    faults: dict[str, dict[str, str]] = {}
    with progress("metrics of other packages", len(asks)) as advance:
        for index, outcome in engine.run(partial(Measurer, store, lab, judges), Measurer.measure, asks):
            if isinstance(outcome, Failure):
                metric, job, _ = asks[index]
                faults.setdefault(job.id, {})[metric.name] = outcome.reason
            advance()
    _tell(faults)
    return len(asks), faults


def _tell(faults: Mapping[str, Mapping[str, str]]) -> None:
    """A line for each metric: on how many clips it failed, and how on the first."""
    for name in dict.fromkeys(name for mine in faults.values() for name in mine):
        failed = [(job, mine[name]) for job, mine in faults.items() if name in mine]
        log(f"no {name} of {len(failed)} clips: {failed[0][1]} (first: job {failed[0][0]})")
