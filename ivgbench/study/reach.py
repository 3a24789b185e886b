"""Would another setting have made a claim about control hold? Read off the search's table.

For every claim on mIoU or CLIP-SIM: how many of the settings that were tried for its method are beyond the margin, on
all of its splits and against all rivals as the claims' run has them in the search's own variant, on the tuning suites.
These are few cases and no verdict: a claim that no setting meets here is one that tuning does not save.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd

from ivgbench.generator import settings
from ivgbench.generator.methods.options import resolve
from ivgbench.metrics.catalogue import COLUMN
from ivgbench.report import paper
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.study import variants
from ivgbench.study.claims import METRICS, Claim
from ivgbench.study.variants import Variant

#: Whose settings the search chose, and how it reads masks.
SEARCHS_OWN = Variant("tuned", "additive")
#: Claims' metrics that the search measures -> its columns.
SEARCHED = {column: COLUMN[column].name for column in ("miou_all", "clip_sim")}


def tried(frame: pd.DataFrame, row: MethodSpec) -> pd.Series | None:
    """The line of the search's table that has the setting of a run's row, None if it was not tried."""
    mine = frame[frame["method"] == row.method]
    asked = resolve(row.method, row.options)
    same = [resolve(row.method, json.loads(options)) == asked for options in mine["options"]]
    return next((line for _, line in mine[same].iterrows()), None)


def spelled_out(run: RunSpec) -> tuple[MethodSpec, ...]:
    """The rows of a run with the options that their settings' names stand for."""
    return tuple(
        replace(one, options=settings.of(run.backbone, one.method, run.settings_of(one)) | one.options)
        for one in run.methods
    )


def as_searched(methods: tuple[MethodSpec, ...]) -> tuple[MethodSpec, ...]:
    """The rows of a run that the search's variant has, called as claims call them."""
    names = variants.rows((one.label or one.method for one in methods), SEARCHS_OWN)
    return tuple(replace(one, label=names[label]) for one in methods if (label := one.label or one.method) in names)


def gaps(frame: pd.DataFrame, claim: Claim, rivals: list[pd.Series]) -> pd.Series:
    """For each tried setting of the claim's row: its smallest difference to a rival in the claimed direction."""
    mine = frame[frame["method"] == claim.row].set_index("options")
    sign = 1 if claim.direction == "higher" else -1
    columns = [f"{SEARCHED[claim.metric]}_{split}" for split in claim.splits]
    differences = [sign * (mine[column] - one[column]) for one in rivals for column in columns]
    return pd.concat(differences, axis=1).min(axis=1)


def reach(frame: pd.DataFrame, claims: tuple[Claim, ...], rows: tuple[MethodSpec, ...]) -> pd.DataFrame:
    """One row per claim that the search can speak of: settings tried and meeting it, the best setting and its gap.

    Args:
        frame: the search's table; rows: those of the claims' run, with all their options.
    """
    known = {one.label or one.method: tried(frame, one) for one in rows}
    lines = []
    for claim in claims:
        if claim.metric not in SEARCHED:
            continue
        there = [known[str(name)] for name in claim.than if known.get(str(name)) is not None]
        found = gaps(frame, claim, there).dropna() if there else pd.Series(dtype="float64")
        lines.append(
            {
                "claim": claim.id,
                "text": claim.text,
                "metric": claim.metric,
                "row": claim.row,
                "tried": len(found),
                "met": int((found > claim.margin).sum()),
                "margin": claim.margin,
                "best": found.max(),
                "setting": "" if found.empty else found.idxmax(),
                "without": " ".join(str(name) for name in claim.than if known.get(str(name)) is None),
            }
        )
    return pd.DataFrame(lines)


def markdown(frame: pd.DataFrame) -> str:
    """The same in print."""
    lines = [
        "# Would another setting have made the claim hold? Tuning suites, pocket lab",
        "Point differences on the search's few cases, against rivals as the claims' run has them: no verdicts "
        "(those are in CLAIMS.md), but what tuning can reach.",
        "| Claim | Method | Settings that meet it | Best difference (needed) | With |\n"
        "| --- | --- | ---: | ---: | --- |",
    ]
    for one in frame.itertuples():
        digits = METRICS[one.metric].decimals
        unmet = ", ".join(paper.print_name(name) for name in one.without.split())
        but = f" (not compared with {unmet}, whose setting was not tried)" if unmet else ""
        lines[-1] += f"\n| {one.text}{but} | {paper.print_name(one.row)} "
        if one.tried:
            lines[-1] += f"| {one.met or 'none'} of {one.tried} | {one.best:+.{digits}f} (> {one.margin:g}) "
            lines[-1] += f"| `{one.setting}` |"
        else:
            lines[-1] += "| – | – | – |"
    return "\n\n".join(lines) + "\n"
