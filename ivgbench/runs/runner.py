"""A run: generate, look, score. Each stage does only what is not yet there, so a killed run goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ivgbench.cases import Suite
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.runs import scoring, sets
from ivgbench.runs.engines import Failure, failure_of
from ivgbench.runs.environment import environment
from ivgbench.runs.identity import EXTERNAL, GROUND_TRUTH, Job
from ivgbench.runs.lab import Made
from ivgbench.runs.planning import Plan
from ivgbench.runs.progress import log, progress
from ivgbench.runs.scoring import Judges
from ivgbench.runs.store import Store, each_done


class Outcome(NamedTuple):
    """What a run came to: counts of its jobs (each once), and how many clips were made this time."""

    run: str
    total: int
    made: int
    failed: int
    missing: int


def run(
    plan: Plan, store: Store, lab: Any, engine: Any, jobs: Iterable[Job] | None = None, batch_size: int = 1
) -> Outcome:
    """Works off a plan, or the share of its `jobs` that a shard has, up to `batch_size` clips at a time.

    Failed jobs stay in the run as rows with their reason, and are tried again by the next run.

    Raises:
        UserError: a model cannot be loaded, or something of the user's is wrong before any work.
        DiskFull, StartFailed: see `engines`. What was finished before is kept.
    """
    mine = list({job.id: job for job in (plan.jobs if jobs is None else jobs)}.values())
    clip = lab.clip(plan.spec.clip)
    judges = Judges(lab.detector(plan.spec.detector).id, clip.id, clip.squashed().id)
    write_manifest(plan, judges, store)
    done = each_done(store, [job.id for job in mine], log)
    # Another system's clips cannot be made here: they are there or have failed.
    open_jobs = [job for job in mine if job.id not in done and job.method != EXTERNAL]
    made = generate(store, lab, engine, open_jobs, len(mine), environment(), batch_size)
    done = each_done(store, [job.id for job in mine], log)
    looked = measure(plan, judges, store, lab, engine, mine, done)
    if plan.spec.references:
        looked += sets.measure(plan, store, lab, engine)
    failed = sum(_failed(store, judges, plan, job) for job in mine)
    missing = sum(job.id not in done and not _failed(store, judges, plan, job) for job in mine)
    if not (made or looked or failed or missing):
        log(f"nothing to do: all {len(mine)} jobs are done")
    return Outcome(plan.spec.name, len(mine), made, failed, missing)


def _failed(store: Store, judges: Judges, plan: Plan, job: Job) -> bool:
    score = scoring.score_id(job.id, judges, plan.suites[job.suite])
    return store.failure(job.id) is not None or store.score_failure(score) is not None


def write_manifest(plan: Plan, judges: Judges, store: Store) -> None:
    """What the run is made of, before any work: an unfinished run is then known to be unfinished."""
    entries = [{**job.entry(), "score": scoring.score_id(job.id, judges, plan.suites[job.suite])} for job in plan.jobs]
    manifest = {
        "jobs": entries,
        "backbone": {
            "name": plan.facts.backbone,
            "weights": plan.facts.weights,
            "revision": plan.facts.revision,
        },
        "detector": judges.detector,
        "clip": judges.clip,
        "suites": {suite.name: suite.sha256 for suite in plan.suites.values()},
        "environment": environment(),
    }
    store.save_manifest(plan.spec.name, manifest)


# ---- generate


class Generator:
    """What a generating worker holds: the store, the models, and the facts for its sidecars."""

    def __init__(self, store: Store, lab: Any, about: dict[str, Any], backbones: set[tuple[str, str, str]]):
        self.store, self.lab, self.about = store, lab, about
        self.machine = lab.start_worker()
        self.backbones = {key: lab.backbone(*key) for key in backbones}

    def make(self, jobs: Sequence[Job]) -> list[str | Failure]:
        """Makes the clips of a batch and stores them; for each its id, or why there is none.

        A batch that fails (one bad case, or too little memory) is made again clip by clip.
        """
        if len(jobs) > 1:
            try:
                return self._make(jobs)
            except Exception as fault:
                _raise_if_disk_is_full(fault)
        outcomes: list[str | Failure] = []
        for job in jobs:
            try:
                outcomes += self._make([job])
            except Exception as fault:  # becomes the job's failure, with its reason
                _raise_if_disk_is_full(fault)
                outcomes.append(failure_of(fault))
        return outcomes

    def _make(self, jobs: Sequence[Job]) -> list[str]:
        started = time.perf_counter()
        made = self._clips(jobs)
        seconds = round((time.perf_counter() - started) / len(jobs), 4)
        about = {**self.about, **self.machine, "batch": len(jobs)}
        for job, clip in zip(jobs, made, strict=True):
            facts = {"spec": job.identity(), "nfe": clip.nfe, "backward": clip.backward, "seconds": seconds}
            self.store.save_clip(job.id, clip.video, {**facts, "environment": about})
        return [job.id for job in jobs]

    def _clips(self, jobs: Sequence[Job]) -> list[Made]:
        first = jobs[0]
        if first.method == GROUND_TRUTH:
            return [self.lab.ground_truth(job.case, job.seed) for job in jobs]
        backbone = self.backbones[first.source, first.dtype, first.lora_file]
        if len(jobs) == 1:
            return [self.lab.generate(backbone, first)]
        return self.lab.generate_batch(backbone, jobs)


def _raise_if_disk_is_full(fault: Exception) -> None:
    if failure_of(fault).kind == "disk":
        raise fault


def batches(jobs: Iterable[Job], size: int) -> list[list[Job]]:
    """Jobs in batches of at most `size`: those that differ in nothing but their cases (of equal length) and seeds."""
    if size < 1:
        raise UserError(f"--batch-size must be at least 1, got {size}")
    found: list[list[Job]] = []
    filling: dict[str, list[Job]] = {}
    for job in jobs:
        identity = {name: value for name, value in job.identity().items() if name not in ("case", "seed")}
        key = digest([identity, job.source, job.case.frames, len(job.case.subjects)])
        if len(filling.get(key, ())) in (0, size):
            filling[key] = []
            found.append(filling[key])
        filling[key].append(job)
    return found


def generate(
    store: Store, lab: Any, engine: Any, jobs: list[Job], total: int, about: dict[str, Any], batch_size: int = 1
) -> int:
    """Makes the clips of jobs; failures are recorded with their reason. Returns how many were made."""
    backbones = {(job.source, job.dtype, job.lora_file) for job in jobs if job.method != GROUND_TRUTH}
    start = partial(Generator, store, lab, about, backbones)
    items = batches(jobs, batch_size)
    made = 0
    with progress("generate", total, total - len(jobs)) as advance:
        for index, outcome in engine.run(start, Generator.make, items):
            outcomes = [outcome] * len(items[index]) if isinstance(outcome, Failure) else outcome
            for job, one in zip(items[index], outcomes, strict=True):
                if isinstance(one, Failure):
                    log(f"failed: {job.describe()}: {one.reason}")
                    store.fail(job.id, one.reason, {"spec": job.identity(), "trace": one.trace})
                else:
                    made += 1
                advance()
    return made


# ---- look: detect and embed


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
            features = self.clip.embed_text([item])[0]
            self.store.save_arrays(self.clip.id, scoring.text_key(item), {"text": np.asarray(features)})
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
    plan: Plan, judges: Judges, store: Store, lab: Any, engine: Any, jobs: list[Job], done: dict[str, dict[str, Any]]
) -> int:
    """Detections, features and scores of the jobs that are `done`: id -> sidecar.

    Returns how many clips and texts had to be looked at.
    """
    by_id = {job.id: job for job in jobs}
    texts = {case.prompt for suite in plan.suites.values() for case in suite.cases}
    unread = [text for text in sorted(texts) if store.arrays(judges.clip, scoring.text_key(text)) is None]
    looks = [look for look in (_to_look(store, judges, by_id[job], facts) for job, facts in done.items()) if look]
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
    for job in done:
        _score(store, judges, by_id[job], plan.suites[by_id[job].suite], done[job], unseen.get(job))
    return len(items)


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


def _score(store: Store, judges: Judges, job: Job, suite: Suite, facts: dict[str, Any], unseen: Failure | None) -> None:
    """Writes a job's score file, or into it why there is no score. Always anew: it is cheap, and never out of date."""
    score, facts_of_score = scoring.score_id(job.id, judges, suite), {"job": job.id, **judges._asdict()}
    if unseen is None:
        try:
            values = scoring.score_job(store, judges, job.case, suite, facts)
        except (UserError, LookupError, ValueError) as fault:
            unseen = failure_of(fault)
        else:
            store.save_score(score, values, facts_of_score)
            return
    log(f"failed: {job.describe()}: {unseen.reason}")
    store.fail_score(score, unseen.reason, {**facts_of_score, "trace": unseen.trace})
