"""From a spec to its jobs: suites x cases x methods x seeds, in the order in which they are worked off."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ivgbench.cases import Case, Suite
from ivgbench.errors import UserError
from ivgbench.files import file_sha256
from ivgbench.generator import settings
from ivgbench.generator.backbones import sources
from ivgbench.runs import references
from ivgbench.runs.identity import GROUND_TRUTH, Entry, Job
from ivgbench.runs.judging import with_judges
from ivgbench.runs.lab import Facts, ground_truth_job
from ivgbench.runs.settings_text import NOTHING, describe
from ivgbench.runs.spec import RunSpec
from ivgbench.suites import load_suite, spread, stand_in

if TYPE_CHECKING:
    from ivgbench.runs.spec import JudgedSpec


class Plan(NamedTuple):
    """A spec spelled out. `suites` by name, whole (scores shuffle captions over all of a suite's cases).

    entries: the run's rows. notes: what of a dry plan stands for something that is not on this machine.
    """

    spec: JudgedSpec
    facts: Facts
    suites: dict[str, Suite]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """What the entries point at, each once: the clips to make."""
        return tuple({entry.job.id: entry.job for entry in self.entries}.values())


def split_of(suite: Suite, case: Case) -> str:
    """Which split a case is reported under: its metadata's "split", or the suite's name."""
    return str(case.metadata.get("split", suite.name))


def make_plan(spec: RunSpec, lab: Any, dry: bool = False, own: Suite | None = None) -> Plan:
    """Resolves every name and default of a spec, and lists its rows. Users' mistakes surface here, before any work.

    Case by case, all methods of a case next to each other: a run that is stopped early has compared what it has.

    Args:
        dry: only to be counted. Weights may be missing, and suites that can be fetched: others of their size stand in.
        own: the suite of this name, which is in no file.
    """
    suites: dict[str, Suite] = {}
    notes = []
    backbone, preset = sources.preset(spec.backbone)
    for name in spec.suites:
        substitute = stand_in(name, backbone) if dry else None
        if substitute:
            notes.append(f"{name} is not on this machine (`ivgbench fetch imc`): counted with {substitute}, as large")
        suite = own if own and own.name == name else load_suite(substitute or name, backbone)
        if (suite.frames - 1) % preset.time_factor:
            notes.append(
                f"{suite.name}: the boxes of its {suite.frames} frames are spread over {preset.frames}: the "
                f"backbone makes {preset.time_factor}k+1"
            )
            suite = spread(suite, preset.frames)
        if not suite.cases:
            raise UserError(f"run {spec.name!r}: the suite {suite.name!r} has no cases")
        if suites.setdefault(suite.name, suite) is not suite:
            raise UserError(f"run {spec.name!r}: two suites are named {suite.name!r}; name each once")
    judged = with_judges(spec, suites.values())
    if not dry:
        references.check(spec.references)
    methods = []
    for one in spec.methods:
        resolved = settings.resolve(backbone, one.method, spec.settings_of(one), one.options, lab.resolve)
        methods.append((one, resolved, describe(backbone, resolved, lab.resolve)))
    facts = lab.facts(judged, needed=not dry)
    # What the jobs of a row share they hold together: there may be 100,000.
    rows = [
        (one.row, told, {**resolved._asdict(), "sampling": one.sampling.over(spec.sampling).over(facts.sampling)})
        for one, resolved, told in methods
    ]
    if not facts.weights:
        notes.append(f"the weights of {spec.backbone} are not on this machine (`ivgbench fetch {spec.backbone}`)")
    lora = ""
    if spec.lora:
        if not Path(spec.lora).is_file():
            raise UserError(f"run {spec.name!r}: there is no file {spec.lora} (lora)")
        lora = file_sha256(Path(spec.lora))
    entries = []
    for suite in suites.values():
        for case in suite.cases[: spec.cases]:
            for seed in spec.seeds:
                split = split_of(suite, case)
                if spec.ground_truth:
                    job = ground_truth_job(lab, case, seed)
                    entries.append(Entry(job, suite.name, case, GROUND_TRUTH, split, NOTHING))
                for label, told, shared in rows:
                    job = Job(
                        case=case,
                        **shared,
                        backbone=facts.backbone,
                        weights=facts.weights,
                        seed=seed,
                        lora=lora,
                        lora_file=spec.lora,
                        source=spec.backbone,
                    )
                    entries.append(Entry(job, suite.name, case, label, split, *told))
    plan = Plan(judged, facts, suites, tuple(entries), tuple(notes))
    lab.check(judged, plan.jobs)
    return plan


def shard_of(jobs: tuple[Job, ...], shard: str | None) -> tuple[Job, ...]:
    """Every n-th job from the i-th on, for shard "i/n" with i from 0: the n shards make up the whole."""
    if shard is None:
        return jobs
    written = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    index, count = map(int, written.groups()) if written else (0, 0)
    if index >= count:
        raise UserError(f"--shard {shard!r}: write i/n with i from 0 to n-1, e.g. 0/2 and 1/2")
    return jobs[index::count]
