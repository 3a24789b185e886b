"""What claims are judged on: a run's scores, its recorded activations, and FID and KID of its clips, as samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ivgbench.metrics import stats
from ivgbench.metrics.catalogue import COLUMN, MEASURED
from ivgbench.metrics.fid import gaussian
from ivgbench.metrics.paired_sets import fid_draws, kid_draws
from ivgbench.report import paper
from ivgbench.report.clips import scored
from ivgbench.store.runs import Store
from ivgbench.study.claims import METRICS, VARIANCES, Sample
from ivgbench.study.recording import Activations

#: Resamples behind FID and KID. Only their spread counts, which so many know to 2 %.
SET_RESAMPLES = 2_000
_SCORES = {metric.column: metric for metric in MEASURED if metric.column in METRICS}


def samples(
    runs: str | Path, run: str, encoders: Mapping[str, str], resamples: int = SET_RESAMPLES
) -> dict[tuple[str, str], Sample]:
    """(metric, split) -> Sample of a whole run. Only clips that every row has count.

    Args:
        encoders: name -> id of the frame encoders whose features of the run's clips are cached; for FID and KID the
            name stands where the split does.
        resamples: of FID and KID.
    Raises:
        UserError: no such run, or clips of it are missing or have failed.
    """
    store = Store(runs)
    rows, manifest = store.load_rows(run)
    entries = pd.DataFrame(manifest["jobs"])
    needed = frozenset(metric.name for metric in _SCORES.values())
    clips = pd.DataFrame(scored(run, manifest["jobs"], rows, needed, allow_partial=False)[0])
    found = {}
    methods = clips[clips["label"] != paper.GROUND_TRUTH]
    for split, here in methods.groupby("split"):
        for key, metric in _SCORES.items():
            table = here.pivot(index=["suite", "case", "seed"], columns="label", values=metric.name)
            found[key, str(split)] = of_cases(of_clips(table * metric.scale, ["suite", "case"]))
    for name, model in encoders.items():
        found |= {(metric, name): sample for metric, sample in set_samples(store, entries, model, resamples).items()}
    return found


def of_clips(table: pd.DataFrame, case: Sequence[str]) -> pd.DataFrame:
    """Means over seeds of a table [clips, rows]: one line a case. A clip that a row lacks counts for no row.

    Args:
        case: the levels of the index that name a case; clips of one case are no independent samples.
    """
    return table.dropna().groupby(level=list(case)).mean()


def of_cases(table: pd.DataFrame) -> Sample:
    """Means over cases of a table [cases, rows]; the rows share their resamples. A case that a row lacks is dropped."""
    table = table.dropna()
    means = stats.case_weights(len(table)) @ table.to_numpy() / len(table)
    draws = {str(row): means[:, place] for place, row in enumerate(table.columns)}
    return Sample({str(row): float(value) for row, value in table.mean().items()}, draws, len(table))


def activation_samples(seen: Activations) -> dict[tuple[str, str], Sample]:
    """The three variance metrics of each recorded tensor on every split of the recordings."""
    frozen = seen.frozen_steps
    keys = pd.MultiIndex.from_tuples(seen.cases, names=["split", "suite", "case", "seed"])
    measures: dict[str, dict[str, np.ndarray]] = {}
    for row in seen.variance:
        for place, tensor in enumerate(VARIANCES):
            relative = 100 * seen.relative(row)[:, place]
            measures.setdefault(f"{tensor}_masked", {})[row] = relative[:, :frozen].mean(1)
            measures.setdefault(f"{tensor}_error", {})[row] = np.abs(relative[:, :frozen] - 100).mean(1)
            if frozen < relative.shape[1]:
                measures.setdefault(f"{tensor}_after", {})[row] = relative[:, frozen]
    found = {}
    for metric, rows in measures.items():
        table = of_clips(pd.DataFrame(rows, index=keys), ["split", "suite", "case"])
        for split in table.index.unique("split"):
            found[metric, split] = of_cases(table.xs(split, level="split"))
    return found


def renamed(samples: Mapping[tuple[str, str], Sample], names: Mapping[str, str]) -> dict[tuple[str, str], Sample]:
    """Samples with other names for the rows that have one, and without all others."""
    found = {}
    for key, one in samples.items():
        values = {new: one.values[old] for old, new in names.items() if old in one.values}
        draws = {new: one.draws[old] for old, new in names.items() if old in one.draws}
        found[key] = one._replace(values=values, draws=draws)
    return found


def set_samples(store: Store, entries: pd.DataFrame, model: str, resamples: int) -> dict[str, Sample]:
    """Metric -> Sample: FID and KID of every row against the run's ground truth: the asked scenes, drawn.

    All splits together. The reference is the run's own ground truth, so that obeying an unusual box is not punished
    as unreal; without that row there is nothing to compare with.
    """
    reference = entries[entries["label"] == paper.GROUND_TRUTH]
    if reference.empty:
        return {}
    drawn, _ = _features(store, reference, model)
    frames, owner = np.concatenate(drawn), np.repeat(np.arange(len(drawn)), [len(one) for one in drawn])
    known = gaussian(frames)
    values: dict[str, dict[str, np.ndarray]] = {"fid": {}, "kid": {}}
    weights = None
    for label, mine in entries[entries["label"] != paper.GROUND_TRUTH].groupby("label"):
        clips, cases = _features(store, mine, model)
        weights = stats.case_weights(max(cases) + 1, resamples) if weights is None else weights
        values["fid"][str(label)] = fid_draws(clips, cases, known, weights)
        values["kid"][str(label)] = COLUMN["kid_xvideo"].scale * kid_draws(clips, cases, frames, owner, weights)
    if weights is None:  # the ground truth alone
        return {}
    found = {}
    for metric, rows in values.items():
        first, rest = ({row: one[part] for row, one in rows.items()} for part in (0, slice(1, None)))
        estimates = {row: float(one) for row, one in first.items()}
        found[metric] = Sample(estimates, rest, weights.shape[1])
    return found


def _features(store: Store, entries: pd.DataFrame, model: str) -> tuple[list[np.ndarray], Sequence[int]]:
    """Cached frame features [F,D] of each job, and the number of its case; the same cases have the same numbers."""
    entries = entries.sort_values(["suite", "case", "seed"])
    cases = entries.groupby(["suite", "case"], sort=True).ngroup().tolist()
    pixels = [store.pixels(job) for job in entries["job"]]
    return [np.asarray(store.kept_arrays(model, one)["frames"], np.float64) for one in pixels], cases
