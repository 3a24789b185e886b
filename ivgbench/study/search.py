"""Settings by measurement: what the paper leaves open, searched on the tuning suites with the same budget per method.

Chosen is the highest mIoU (all clips, both splits), of every method alike; what it costs in CLIP-SIM stands beside it,
and rules nothing out. What is tried: `search_spaces`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.runs.spec import RunSpec
from ivgbench.store.runs import Store
from ivgbench.study.search_spaces import SPACES, searched, spec


def search(
    trials: int, cases: int, measure: Callable[[RunSpec], pd.DataFrame], backbone: str = RunSpec.backbone
) -> pd.DataFrame:
    """The table of all settings. measure: runs a spec, what is done already not again, and gives its `results`."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        asked = spec(trials, cases, found, backbone)
        frame = measure(asked)
        if {one.method for one in asked.methods} >= set(searched(backbone)):
            return frame
        # Where every setting failed, the next one builds on the defaults.
        found = {one.method: {} for one in asked.methods} | chosen(frame)


def chosen(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The settings that a search's table found: method -> options; without a method of which every setting failed."""
    best = frame[frame["chosen"] & frame["method"].isin(SPACES)]
    return {method: json.loads(options) for method, options in zip(best["method"], best["options"], strict=True)}


def results(store: Store, asked: RunSpec) -> pd.DataFrame:
    """One row per setting: mIoU (percent, all clips) and CLIP-SIM, mean of both splits and of each, cost, `chosen`.

    `clip_sim_cost`: points of CLIP-SIM below the unguided model's on the same cases.

    A setting of which a clip failed has no numbers, and is not chosen.
    """
    rows = pd.DataFrame(store.load_rows(asked.name)[0])
    if (rows["status"] == "missing").any():
        raise UserError(f"run {asked.name!r} is not whole; run the search again")
    rows = rows.astype({"value": "float64"})
    rows.loc[rows["label"].isin(rows["label"][~rows["status"].isin(["ok", "undefined"])]), "value"] = np.nan
    mean = rows.groupby(["label", "split", "metric"])["value"].mean().unstack()
    lines = []
    for one in asked.methods:
        here = mean.loc[one.label or one.method]
        lines.append(
            {
                "method": one.method,
                "label": one.label or one.method,
                "options": canonical_json(one.options),
                "miou_all": 100 * here["miou"].mean(),
                **{f"miou_{split}": 100 * here["miou"][split] for split in here.index},
                **{f"clip_sim_{split}": here["clip_sim"][split] for split in here.index},
                **{name: here[name].mean() for name in ("clip_sim", "nfe", "backward", "seconds")},
            }
        )
    frame = pd.DataFrame(lines)
    unguided = frame[frame["method"] == "plain"]["clip_sim"].iloc[0]
    best = frame[frame["miou_all"].notna()].groupby("method")["miou_all"].idxmax()
    return frame.assign(clip_sim_cost=unguided - frame["clip_sim"], chosen=frame.index.isin(best))
