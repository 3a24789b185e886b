"""From a calibration's run and probes to samples that facts are judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ivgbench.metrics import stats
from ivgbench.metrics.clip_sim import attained
from ivgbench.report import paper
from ivgbench.store.runs import Store
from ivgbench.study.claims import Sample
from ivgbench.study.evidence import of_cases

#: The split of probes: plain clips, whose boxes play no part.
BOTH = "both"
#: Metrics of the scores that CLIP-SIM's share of the attainable is made of.
SIM, FLOOR = "clip_sim", "clip_sim_shuffled"


def across_splits(samples: Mapping[tuple[str, str], Sample]) -> dict[tuple[str, str], Sample]:
    """mIoU of each row on dynamic less that on static boxes. The splits have other boxes: they are not paired."""
    try:
        dynamic, static = (samples["miou_all", split] for split in ("dynamic", "static"))
    except KeyError:
        return {}
    rows = dynamic.values.keys() & static.values.keys()
    # The resamples of both stem from one stream; in another order they are independent.
    order = np.random.default_rng(1).permutation(len(next(iter(static.draws.values()))))
    values = {row: dynamic.values[row] - static.values[row] for row in rows}
    draws = {row: dynamic.draws[row] - static.draws[row][order] for row in rows}
    return {("miou_dynamic_over_static", BOTH): Sample(values, draws, min(dynamic.cases, static.cases))}


def attained_sim(runs: str | Path, run: str) -> dict[tuple[str, str], Sample]:
    """Each row's CLIP-SIM on a split, in percent of the way from its floor to the ground truth; {} without that row."""
    rows = pd.DataFrame(Store(runs).load_rows(run)[0])
    rows = rows[rows["metric"].isin([SIM, FLOOR])]
    found = {}
    for split, here in rows.groupby("split"):
        table = here.pivot_table(index=["suite", "case"], columns=["label", "metric"], values="value", aggfunc="mean")
        if (paper.GROUND_TRUTH, SIM) not in table:
            continue
        table = table.dropna()
        means = stats.case_weights(len(table)) @ table.to_numpy() / len(table)
        place = {column: at for at, column in enumerate(table.columns)}
        values, draws = {}, {}
        for row in table.columns.unique("label"):
            columns = [(row, SIM), (row, FLOOR), (paper.GROUND_TRUTH, SIM)]
            values[row] = 100 * attained(*(float(table[one].mean()) for one in columns))
            value, floor, ceiling = (means[:, place[one]] for one in columns)
            draws[row] = 100 * (value - floor) / (ceiling - floor)
        found["clip_sim_attained", str(split)] = Sample(values, draws, len(table))
    return found


def of_probes(probes: Sequence[Mapping[str, np.ndarray]]) -> dict[tuple[str, str], Sample]:
    """Samples of the probes' metrics, in percent; one probe a case. Cases without a value are left out."""

    def sample(**rows: list[float]) -> Sample:
        return of_cases(100 * pd.DataFrame(rows))

    if not probes:
        return {}
    right = {
        ("words_right", word): sample(
            plain=[one["right"][0, at] for one in probes], swapped=[one["right"][1, at] for one in probes]
        )
        for at, word in enumerate(("background", "colour", "shape"))
    }
    return right | {
        ("map_ap", BOTH): sample(
            words=[float(one["map_ap"]) for one in probes], constant=[float(one["map_chance"]) for one in probes]
        ),
        ("sink_mass", BOTH): sample(
            **_bos(probes), **{"content-free": [one["sink"][1] for one in probes]}
        ),
        ("layout_iou", BOTH): sample(plain=[float(one["early"]) for one in probes]),
    }  # fmt: skip


def _bos(probes: Sequence[Mapping[str, np.ndarray]]) -> dict[str, list[float]]:
    """BOS's share, of a text encoder that has one."""
    found = [float(one["sink"][0]) for one in probes]
    return {} if np.isnan(found).all() else {"bos": found}


def joined(a: Mapping[tuple[str, str], Sample], b: Mapping[tuple[str, str], Sample]) -> dict[tuple[str, str], Sample]:
    """Samples of both; where they share metric and split, the rows of both over the same cases."""
    found = dict(a) | dict(b)
    for key in a.keys() & b.keys():
        cases = min(a[key].cases, b[key].cases)
        found[key] = Sample({**a[key].values, **b[key].values}, {**a[key].draws, **b[key].draws}, cases)
    return found
