"""CALIBRATION.md: the facts with what was measured, the bars first. It carries no date, as CLAIMS.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ivgbench.calibration import FAILS, HOLDS, NOT_APPLICABLE, NOT_USED, OPEN, Calibration, Finding, bar, table
from ivgbench.metrics.catalogue import COLUMN
from ivgbench.runs.planning import Plan
from ivgbench.study.calibrating import rows
from ivgbench.study.claims import Sample
from ivgbench.study.facts import FactsSpec, name

#: What the table of rows shows of each; percent, and 100 x cosine.
SHOWN = ("miou_all", "coverage", "clip_sim")


def markdown(
    spec: FactsSpec,
    plan: Plan,
    made: Calibration,
    samples: Mapping[tuple[str, str], Sample],
    remarks: Sequence[str] = (),
) -> str:
    """The whole file. samples: what `calibrate` judged the plan's run on. remarks: what else a reader must know."""
    where = made.environment
    told = {entry.label: (entry.settings, entry.about) for entry in plan.entries}
    lines = [f"| {name(label)} | {split} | {' | '.join(f'{x:.1f}' for x in values)} | {told[label][0]} |"
             for label, split, values in rows(plan, samples, SHOWN)]  # fmt: skip
    about = [f"* {name(label)}: {settings}: {what}" for label, (settings, what) in told.items() if what]
    reasons = [f"* {one.number}, {one.id}: {one.why}" for one in spec.facts if one.why]
    parts = [
        "# Is the pocket lab a fair stand-in?",
        f"Facts known of real models, measured on the weights `{made.weights[:12]}` (backbone {made.backbone}). "
        "Source, direction and margin of each stood in `benchmarks/calibration.toml` before any run.",
        *remarks,
        bars(made),
        summary(made),
        table(made.findings),
        "## The rows behind it",
        "\n".join(
            [
                f"| Row | Split | {' | '.join(COLUMN[one].head for one in SHOWN)} | Settings |",
                "| --- | --- | ---: | ---: | ---: | --- |",
                *lines,
            ]
        ),
        *(["\n".join(about)] if about else []),
        "## Where the margins are from",
        "\n".join(reasons),
        "## How it was measured",
        f"`{made.command}`; run `{made.run}` of `{spec.run.name}`, seed {', '.join(map(str, made.seeds))}; "
        f"{where.get('machine')}, {where.get('cpus')} cores, torch {where.get('torch')}. Differences are paired by "
        f"case, p-values are by Student's t over cases, and all facts are one family for Holm's correction at "
        f"{100 * spec.level:g} %, as in `CLAIMS.md`. A fact needs {made.cases} cases; it must be so on all its splits "
        "and against all its rivals. *Holds* and *fails* are shown at that level, margin included; *open* is neither. "
        "A bar is met where what was measured reaches the margin on every split; the verdict says whether that may be "
        "chance.",
    ]
    return "\n\n".join(parts) + "\n"


def bars(made: Calibration) -> str:
    """A line per bar, and how many are met."""
    asked = made.bars()
    met = sum(one.met is True for one in asked)
    lines = [f"* {bar(one).strip('*')}: {one.text}; asked: {one.asked}; measured: {one.measured}" for one in asked]
    head = f"**{met} of {len(asked)} bars are met.** What misses one is a known limit of these weights."
    others = [one.text for one in made.findings if one.bar and one not in asked]
    if others:
        head += f" Not applicable to this one, and neither met nor missed: {'; '.join(others)}."
    return "\n".join([head, "", *lines])


def summary(made: Calibration) -> str:
    """How many facts hold; one that takes several comparisons counts once."""
    verdicts = {number: made.verdict(number) for number in made.numbers()}
    words = {HOLDS: "hold", FAILS: "fail", OPEN: "are open", NOT_USED: "are not used"}
    if NOT_APPLICABLE in verdicts.values():
        words[NOT_APPLICABLE] = "are not applicable"
    told = []
    for verdict, word in words.items():
        mine = [str(number) for number, one in verdicts.items() if one == verdict]
        told.append(f"{len(mine)} {word}" + (f" ({', '.join(mine)})" if mine else ""))
    return f"Of {len(verdicts)} facts {', '.join(told)}."


def line(one: Finding) -> str:
    """A fact in one line, for a terminal."""
    met = f" [bar {bar(one).strip('*')}]" if one.bar else ""
    return f"{one.verdict:14}  {one.number:2} {one.text}: {one.measured}{met}"
