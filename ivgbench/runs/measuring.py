"""The later stages of a run: what the models see in its clips, and the scores that follow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ivgbench.cases import Suite
from ivgbench.engines.local import Failure, failure_of
from ivgbench.errors import UserError
from ivgbench.runs import own_metrics, scoring
from ivgbench.runs.identity import Entry, Job
from ivgbench.runs.planning import Plan
from ivgbench.runs.progress import log, progress
from ivgbench.runs.scoring import Judges
from ivgbench.store.runs import Store


class Look(NamedTuple):
    """A clip to look at: the phrases to detect in it, and whether its frames are to be embedded."""

    job: str
    phrases: tuple[str, ...]
    embed: bool


class Observer:
    """What a measuring worker holds: the store and its models."""

    def __init__(self, store: Store, lab: Any, detector: str, clip: str):
        lab.start_worker()
        self.store, self.detector, self.clip = store, lab.detector(detector), lab.clip(clip)
        self.squash = self.clip.squashed()

    def look(self, item: Look | str) -> None:
        """Caches what the models say of a clip, or of a text."""
        if isinstance(item, str):
            arrays = {"text": np.asarray(self.clip.embed_text([item])[0]), "cut": np.asarray(self.clip.cuts(item))}
            self.store.save_arrays(self.clip.id, scoring.text_key(item), arrays)
            return
        video = self.store.clip(item.job)
        pixels = self.store.sidecar(item.job)["pixel_sha256"]
        if item.embed:
            for model in (self.clip, self.squash):
                self.store.save_arrays(model.id, pixels, {"frames": np.asarray(model.embed_video(video))})
        for phrase in item.phrases:
            boxes, scores = self.detector.detect(video, phrase)
            arrays = {"boxes": np.asarray(boxes), "scores": np.asarray(scores)}
            self.store.save_arrays(self.detector.id, scoring.detection_key(pixels, phrase), arrays)


def measure(
    plan: Plan,
    judges: Judges,
    store: Store,
    lab: Any,
    engine: Any,
    entries: Sequence[Entry],
    done: dict[str, dict[str, Any]],
) -> int:
    """Detections and features of the jobs that are `done` (id -> sidecar), and the scores of their entries.

    Returns how many clips and texts had to be looked at.
    """
    jobs = {entry.job.id: entry.job for entry in entries}
    texts = {case.prompt for suite in plan.suites.values() for case in suite.cases}
    unread = [text for text in sorted(texts) if "cut" not in (store.arrays(judges.clip, scoring.text_key(text)) or {})]
    looks = [look for look in (_to_look(store, judges, jobs[job], facts) for job, facts in done.items()) if look]
    items = [*unread, *looks]
    start = partial(Observer, store, lab, plan.spec.detector, plan.spec.clip)
    unseen: dict[str, Failure] = {}
    with progress("measure", len(items)) as advance:
        for index, outcome in engine.run(start, Observer.look, items):
            item = items[index]
            if isinstance(outcome, Failure):
                if isinstance(item, str):
                    raise UserError(f"the CLIP model cannot read the prompt {item!r}: {outcome.reason}")
                unseen[item.job] = outcome
            advance()
    # A job has a score in each suite that asks for it: captions are shuffled within a suite.
    asked = {(entry.job.id, entry.suite): entry for entry in entries if entry.job.id in done}
    seen = [job for job in jobs.values() if job.id in done and job.id not in unseen]
    measured, faults = own_metrics.measure(judges, store, lab, engine, seen, done)
    for (job, suite), entry in asked.items():
        _score(store, judges, entry, plan.suites[suite], done[job], unseen.get(job), faults.get(job))
    return len(items) + measured


def _to_look(store: Store, judges: Judges, job: Job, facts: dict[str, Any]) -> Look | None:
    """What is not cached yet of a clip; None when everything is."""
    pixels = facts["pixel_sha256"]
    phrases = tuple(
        subject.phrase
        for subject in job.case.subjects
        if store.arrays(judges.detector, scoring.detection_key(pixels, subject.phrase)) is None
    )
    embed = any(store.arrays(model, pixels) is None for model in (judges.clip, judges.squash))
    return Look(job.id, phrases, embed) if phrases or embed else None


def _score(
    store: Store,
    judges: Judges,
    entry: Entry,
    suite: Suite,
    facts: dict[str, Any],
    unseen: Failure | None,
    faults: dict[str, str] | None,
) -> None:
    """Writes a job's score file, or into it why there is no score. Always anew: it is cheap, and never out of date.

    faults: the metrics of other packages that failed on the clip, with the reasons.
    """
    job, score = entry.job, scoring.score_id(entry.job.id, judges, suite)
    pixels, facts_of_score = facts["pixel_sha256"], {"job": job.id, **judges.facts()}
    if unseen is None:
        try:
            values = scoring.score_job(store, judges, job.case, suite, facts)
        except (UserError, LookupError, ValueError) as fault:
            unseen = failure_of(fault)
        else:
            store.save_score(score, pixels, values, facts_of_score | ({"faults": faults} if faults else {}))
            return
    log(f"failed: {entry.describe()}: {unseen.reason}")
    store.fail_score(score, pixels, unseen.reason, {**facts_of_score, "trace": unseen.trace})
