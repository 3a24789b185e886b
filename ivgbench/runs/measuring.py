"""The later stages of a run: what the models see in its clips, and the scores that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ivgbench.cases import Suite
from ivgbench.engines.base import Failure, failure_of
from ivgbench.errors import UserError
from ivgbench.runs import own_metrics, scoring
from ivgbench.runs.identity import Entry, Job
from ivgbench.runs.planning import Plan
from ivgbench.runs.progress import log, progress
from ivgbench.runs.scoring import Captions, Judges
from ivgbench.store.runs import Store
from ivgbench.store.video import pixel_sha256


class Look(NamedTuple):
    """A clip to look at: the phrases to detect in it, and whether its frames are to be embedded."""

    job: str
    phrases: tuple[str, ...]
    embed: bool


class Measured(NamedTuple):
    """How many clips and texts had to be looked at, and the ids of the jobs that could not be scored."""

    looked: int
    failed: set[str]


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
        pixels = pixel_sha256(video)
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
    done: Mapping[str, dict[str, Any]],
) -> Measured:
    """Detections and features of the jobs that are `done` (id -> facts), and the scores of their entries.

    What is scored is not scored again, and of what was seen in it only the names are looked at.
    """
    # A job has a score in each suite that asks for it: captions are shuffled within a suite.
    asked = {(entry.job.id, entry.suite): entry for entry in entries if entry.job.id in done}
    there = {one: store.cached(one) for one in (*judges.models, *map(scoring.own_model, judges.own))}
    metrics = judges.metrics()
    unscored = [
        entry
        for (job, suite), entry in asked.items()
        if not store.is_scored(scoring.score_id(job, judges, plan.suites[suite]), done[job], metrics)
        or not own_metrics.are_kept(judges, entry.job, done[job], there)
    ]
    suites = [plan.suites[name] for name in dict.fromkeys(entry.suite for entry in unscored)]
    prompts, needed = _prompts(plan.suites.values()), set(_prompts(suites))
    read = _read(store, judges, needed)
    unread = [
        text
        for text in prompts
        if text not in read and (text in needed or scoring.text_key(text) not in there[judges.clip])
    ]
    fresh = {entry.job.id for entry in unscored}
    jobs = {job: entry.job for (job, _), entry in asked.items()}
    looks = [_to_look(store, judges, job, done[job.id], there, job.id in fresh) for job in jobs.values()]
    items = [*unread, *filter(None, looks)]
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
    seen = [job for job in jobs.values() if job.id in fresh and job.id not in unseen]
    measured, faults = own_metrics.measure(judges, store, lab, engine, seen, done)
    read |= _read(store, judges, needed - read.keys())
    captions = {suite.name: _summed(suite, read) for suite in suites}
    failed = set()
    for entry in unscored:
        job, suite = entry.job.id, plan.suites[entry.suite]
        given = unseen.get(job) or captions[suite.name]
        if not _score(store, judges, entry, suite, given, done[job], faults.get(job)):
            failed.add(job)
    return Measured(len(items) + measured, failed)


def _prompts(suites: Iterable[Suite]) -> list[str]:
    return sorted({case.prompt for suite in suites for case in suite.cases})


def _read(store: Store, judges: Judges, prompts: Iterable[str]) -> dict[str, dict[str, np.ndarray]]:
    """Prompt -> what CLIP made of it, for those that are cached. Of before, when nothing said whether CLIP cuts a
    prompt, nothing is taken."""
    found = {text: store.arrays(judges.clip, scoring.text_key(text)) or {} for text in prompts}
    return {text: arrays for text, arrays in found.items() if "cut" in arrays}


def _summed(suite: Suite, read: Mapping[str, dict[str, np.ndarray]]) -> Captions | Failure:
    try:
        return Captions.of(suite, read)
    except (UserError, LookupError, ValueError) as fault:
        return failure_of(fault)


def _to_look(
    store: Store, judges: Judges, job: Job, facts: Mapping[str, Any], there: Mapping[str, set[str]], fresh: bool
) -> Look | None:
    """What is not cached yet of a clip; None when everything is.

    there: model -> keys of what it has cached. fresh: it is to be scored, so what is cached must also be readable.
    """
    pixels = facts["pixel_sha256"]

    def lacks(model: str, key: str) -> bool:
        return key not in there[model] or (fresh and store.arrays(model, key) is None)

    asked = [one.words for one in job.case.subjects]
    phrases = tuple(one for one in asked if lacks(judges.detector, scoring.detection_key(pixels, one)))
    embed = any(lacks(model, pixels) for model in (judges.clip, judges.squash))
    return Look(job.id, phrases, embed) if phrases or embed else None


def _score(
    store: Store,
    judges: Judges,
    entry: Entry,
    suite: Suite,
    captions: Captions | Failure,
    facts: Mapping[str, Any],
    faults: Mapping[str, str] | None,
) -> bool:
    """Writes a job's score file, or into it why there is no score; whether there is one.

    captions: those of the suite, or why the clip cannot be scored. faults: the metrics of other packages that failed on
    it, with the reasons.
    """
    job, score = entry.job, scoring.score_id(entry.job.id, judges, suite)
    pixels, facts_of_score = facts["pixel_sha256"], {"job": job.id, **judges.facts()}
    fault = None
    if isinstance(captions, Failure):
        fault = captions
    else:
        try:
            values = scoring.score_job(store, judges, job.case, captions, facts)
        except (UserError, LookupError, ValueError) as raised:
            fault = failure_of(raised)
        else:
            store.save_score(score, pixels, values, facts_of_score | ({"faults": dict(faults)} if faults else {}))
            return True
    log(f"failed: {entry.describe()}: {fault.reason}")
    store.fail_score(score, pixels, fault.reason, {**facts_of_score, "trace": fault.trace})
    return False
