"""The ablation table, from the stored run `ablations`: what each component does to control and text, and its cost.

Differences of mIoU (over all clips) are against the bare masks of the
paper's scope, paired by case, with 95 % bootstrap intervals.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ivgbench.metrics import stats
from ivgbench.report import loading, paper, tables
from ivgbench.report.layout import evaluations

RUN, BASE = "ablations", "masks: self, cross"


def ablations(runs: str | Path = "results/runs", run: str = RUN, base: str = BASE) -> pd.DataFrame:
    """One row per split and setting, in the spec's order: mIoU in percent, its difference to the base, text, cost."""
    table = tables.table(1, runs, run)
    rows, manifest = loading.load(1, runs, run)
    miou = pd.DataFrame(rows).query("metric == 'miou'").astype({"value": "float64"})
    miou = miou.assign(label=miou["label"].map(paper.print_name))
    miou = miou.pivot_table(index=["split", "case"], columns="label", values="value", aggfunc="mean")
    order = [paper.print_name(label) for label in dict.fromkeys(entry["label"] for entry in manifest["jobs"])]
    lines = []
    for split in dict.fromkeys(table["split"]):
        here, values = table.set_index(["split", "label"]).loc[split], miou.loc[split]
        for label in order:
            measured = here.loc[label]
            moved = stats.paired_difference(values[label].to_numpy(), values[base].to_numpy())
            lines.append(
                {
                    "split": split,
                    "setting": label,
                    "settings": measured["settings"],
                    **{name: measured[name] for name in ("miou_all", "miou_all_low", "miou_all_high")},
                    "difference": 100 * moved.value,
                    "difference_low": 100 * moved.low,
                    "difference_high": 100 * moved.high,
                    **{name: measured[name] for name in ("coverage", "clip_sim", "nfe", "backward", "seconds")},
                    "cases": moved.n,
                }
            )
    return pd.DataFrame(lines)


def markdown(frame: pd.DataFrame) -> str:
    """The same as a Markdown table per split."""
    parts = ["# Ablations, pocket lab"]
    for split, lines in frame.groupby("split", sort=False):
        table = [
            f"## {str(split).capitalize()} boxes, {lines['cases'].min()} cases",
            "| Row | Settings | mIoU all % | Against the bare masks | CoV % | CLIP-SIM | NFE | Backward | s |\n"
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for line in lines.itertuples():
            table[-1] += (
                f"\n| {line.setting} | {line.settings} "
                f"| {line.miou_all:.1f} [{line.miou_all_low:.1f}, {line.miou_all_high:.1f}] "
                f"| {line.difference:+.1f} [{line.difference_low:+.1f}, {line.difference_high:+.1f}] "
                f"| {line.coverage:.0f} | {line.clip_sim:.2f} | {evaluations(line.nfe)} | {line.backward:.0f} "
                f"| {line.seconds:.2f} |"
            )
        parts += table
    return "\n\n".join(parts) + "\n"
