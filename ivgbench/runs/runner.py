"""A run: generate, look, score. Each stage does only what is not yet there, so a killed run goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ivgbench.errors import UserError
from ivgbench.metrics import own
from ivgbench.metrics.catalogue import Metric
from ivgbench.runs import generating, measuring, scoring, sets
from ivgbench.runs.environment import environment
from ivgbench.runs.identity import EXTERNAL, Job
from ivgbench.runs.naming import measured, taken
from ivgbench.runs.planning import Plan
from ivgbench.runs.progress import log
from ivgbench.runs.scoring import Judges
from ivgbench.store.clips import each_done
from ivgbench.store.runs import Store, metrics_version


class Outcome(NamedTuple):
    """What a run came to: counts of its jobs (each once), and how many clips were made this time."""

    run: str
    total: int
    made: int
    failed: int
    missing: int


class NotCompared(UserError):
    """FID, KID and JEDi against a reference failed; everything else of the run is done, and is in its `outcome`."""

    def __init__(self, reason: str, outcome: Outcome):
        super().__init__(reason)
        self.outcome = outcome


def run(
    plan: Plan, store: Store, lab: Any, engine: Any, jobs: Iterable[Job] | None = None, batch_size: int | str = 1
) -> Outcome:
    """Works off a plan, or the share of its `jobs` that a shard has, `batch_size` clips at a time (see `batching`).

    Failed jobs stay in the run as rows with their reason, and are tried again by the next run.

    Raises:
        UserError: a model cannot be loaded, or something of the user's is wrong before any work.
        NotCompared: a reference, or an encoder, cannot be used; after the rest.
        DiskFull, StartFailed: see `engines`. What was finished before is kept.
    """
    mine = list(plan.jobs if jobs is None else jobs)
    ids = [job.id for job in mine]
    wanted = set(ids)
    entries = [entry for entry in plan.entries if entry.job.id in wanted]
    clip, squash = lab.clip_ids(plan.spec.clip)
    judges = Judges(lab.detector_id(plan.spec.detector), clip, squash, _own_metrics())
    done = each_done(store, ids, log)
    # Another system's clips cannot be made here: they are there or have failed.
    open_jobs = [job for job in mine if job.id not in done and job.method != EXTERNAL]
    if open_jobs:  # judges that cannot be loaded are told before hours of work
        lab.detector(plan.spec.detector)
        lab.clip(plan.spec.clip)
    kept = store.kept_manifest(plan.spec.name)
    if why := taken(plan, kept):
        log(f"run {plan.spec.name} takes the place of the one that had this name ({why}); its clips stay")
    about = environment()
    write_manifest(plan, judges, store, about, kept)
    del kept  # it is as large as the plan
    made = generating.generate(store, lab, engine, open_jobs, len(mine), about, batch_size)
    done |= each_done(store, [job.id for job in open_jobs], log)
    looked, unscored = measuring.measure(plan, judges, store, lab, engine, entries, done)
    fault = None
    if plan.spec.references:
        try:
            looked += sets.measure(plan, store, lab, engine)
        except UserError as raised:
            fault = raised
    store.index.save()
    failed = unscored | {job for job in ids if job not in done and store.failure(job) is not None}
    missing = set(ids) - done.keys() - failed
    if not (made or looked or failed or missing or fault):
        log(f"nothing to do: all {len(mine)} jobs are done")
    outcome = Outcome(plan.spec.name, len(mine), made, len(failed), len(missing))
    if fault is not None:
        raise NotCompared(str(fault), outcome) from None
    return outcome


def _own_metrics() -> tuple[Metric, ...]:
    """The metrics of other packages; one that is broken is told, and left out."""
    found = own.find()
    for line in found.faults.values():
        log(f"left out: {line}")
    return found.rows


def write_manifest(
    plan: Plan, judges: Judges, store: Store, about: dict[str, Any], kept: Mapping[str, Any] | None
) -> None:
    """What the run is made of, before any work: an unfinished run is then known to be unfinished.

    kept: what stands there under its name, if that has been read.
    """
    entries = [
        {**entry.record(), "score": scoring.score_id(entry.job.id, judges, plan.suites[entry.suite])}
        for entry in plan.entries
    ]
    manifest = {
        "jobs": entries,
        "backbone": {
            "name": plan.facts.backbone,
            "weights": plan.facts.weights,
            "revision": plan.facts.revision,
        },
        "detector": judges.detector,
        "clip": judges.clip,
        "metrics": metrics_version(),
        "measured": measured(plan.spec),
        "suites": {suite.name: suite.sha256 for suite in plan.suites.values()},
        "environment": about,
    }
    if judges.own:  # with all that a table says of them: whoever reads it need not have the package
        manifest["own_metrics"] = [metric.record() for metric in judges.own]
    store.save_manifest(plan.spec.name, manifest, kept)
