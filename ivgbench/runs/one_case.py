"""One request under several methods: the clips, what the judges say of them, and why a method has none.

Clips and scores are kept in the store as those of runs are, but are no run: what was made is not made again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ivgbench.cases import Case, Suite
from ivgbench.engines.base import StartFailed
from ivgbench.errors import UserError
from ivgbench.plugins import PluginFault
from ivgbench.runs import generating, measuring, scoring
from ivgbench.runs.environment import environment
from ivgbench.runs.identity import Entry
from ivgbench.runs.judging import with_judges
from ivgbench.runs.planning import Plan, make_plan
from ivgbench.runs.progress import log
from ivgbench.runs.scoring import Judges
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.clips import each_done
from ivgbench.store.runs import Store


class Result(NamedTuple):
    """What became of a method: its clip uint8 [F,H,W,3], or why there is none.

    values: metrics by their names (`metrics.catalogue`); nfe and seconds of every clip, the others where judges saw it.
    settings: what its options are called (`settings_text`). job: whose clip it is in the store.
    detected: float64 [K,F,4], a box per subject and frame, NaN where none was found; None without judges.
    unscored: why there are no judges' numbers, where there are none.
    """

    label: str
    clip: np.ndarray | None
    values: dict[str, float | None]
    failed: str = ""
    settings: str = ""
    job: str = ""
    detected: np.ndarray | None = None
    unscored: str = ""


def compare(spec: RunSpec, case: Case, lab: Any, engine: Any, store: Store) -> list[Result]:
    """Makes the spec's clips of one case, all from the same noise, and measures them; in the order of its methods.

    A method that cannot make its clip fails alone. Judges that are not at hand are told, and leave the clips without
    their numbers.

    Raises:
        UserError: a wrong option, or what no method can be asked for.
        DiskFull, StartFailed: see `engines`. What was finished before is kept.
    """
    suite = Suite("own", len(case.subjects[0].track), (case,))
    spec = replace(spec, suites=(suite.name,))
    unjudged = ""
    try:
        with_judges(spec, [suite])
    except UserError as fault:
        unjudged, spec = str(fault), replace(spec, detector="owlvit")  # any other: nothing is looked at
    plan, refused = _planned(spec, suite, lab)
    ids = [job.id for job in plan.jobs]
    done = each_done(store, ids, log)
    open_jobs = [job for job in plan.jobs if job.id not in done]
    generating.generate(store, lab, engine, open_jobs, len(ids), environment())
    done = each_done(store, ids, log)
    judges = None
    try:
        if unjudged:
            raise UserError(unjudged)
        judges = Judges(lab.detector_id(plan.spec.detector), *lab.clip_ids(plan.spec.clip))
        measuring.measure(plan, judges, store, lab, engine, plan.entries, done)
    except (UserError, StartFailed) as fault:
        judges, unjudged = None, " ".join(str(fault).split())
        log(f"not measured: {unjudged}")
    made = {
        entry.label: _result(entry, suite, judges or unjudged, store, done.get(entry.job.id)) for entry in plan.entries
    }
    return [refused.get(one.row) or made[one.row] for one in spec.methods]


def _planned(spec: RunSpec, suite: Suite, lab: Any) -> tuple[Plan, dict[str, Result]]:
    """The plan of all methods that allow the case, and the others by their labels."""
    broken: dict[str, Result] = {}
    for one in spec.methods:
        try:
            lab.resolve(one.method, one.options)  # a mistyped option is no failure of a method
        except PluginFault as fault:
            broken[one.row] = _refusal(one, fault)
    sound = [one for one in spec.methods if one.row not in broken]
    if not sound:
        raise UserError(next(iter(broken.values())).failed)
    try:
        plans = [make_plan(replace(spec, methods=tuple(sound)), lab, own=suite)]
    except UserError as fault:
        first, plans = fault, []
        for one in sound:
            try:
                plans.append(make_plan(replace(spec, methods=(one,)), lab, own=suite))
            except UserError as fault:
                broken[one.row] = _refusal(one, fault)
    if not plans:  # it is not the methods' fault
        raise first
    for label, refusal in broken.items():
        log(f"failed: {label}: {refusal.failed}")
    return plans[0]._replace(entries=tuple(entry for plan in plans for entry in plan.entries)), broken


def _refusal(method: MethodSpec, fault: Exception) -> Result:
    return Result(method.row, None, {}, " ".join(str(fault).split()))


def _result(entry: Entry, suite: Suite, judges: Judges | str, store: Store, facts: dict[str, Any] | None) -> Result:
    """judges: who looked, or why nobody did."""
    job = entry.job.id
    if facts is None:
        return Result(entry.label, None, {}, store.failure(job) or "there is no clip", entry.settings, job)
    pixels = facts["pixel_sha256"]
    values: dict[str, float | None] = {name: facts[name] for name in ("nfe", "seconds")}
    made = Result(entry.label, store.clip(job), values, settings=entry.settings, job=job)
    if isinstance(judges, str):
        return made._replace(unscored=judges)
    score = scoring.score_id(job, judges, suite)
    if (known := store.score(score, pixels)) is None:
        return made._replace(unscored=store.score_failure(score, pixels) or "it was not measured")
    tracks = [
        scoring.cached(store, judges.detector, scoring.detection_key(pixels, subject.words))["boxes"]
        for subject in entry.job.case.subjects
    ]
    return made._replace(values=values | known, detected=np.stack(tracks))
