"""Is control real? Peekaboo against the plain model on the same cases, from the stored run `control`.

    ivgbench run --spec benchmarks/control.toml && python benchmarks/control.py

Prints the unfiltered mIoU of both, their ratio, and the paired bootstrap interval of the difference over cases.
"""

from __future__ import annotations

import pandas as pd

from ivgbench.cli import in_one_line
from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.report import settings_notes
from ivgbench.runs.store import Store


def compare(runs: str = "results/runs", run: str = "control") -> pd.DataFrame:
    """One row per split: mIoU of both methods over all clips, ratio, difference with its 95 % interval, n.

    settings: Peekaboo's.
    """
    rows, manifest = Store(runs).load_rows(run)
    told = settings_notes.by_label(manifest["jobs"])
    frame = pd.DataFrame(rows)
    if not frame["status"].isin(["ok", "undefined"]).all():
        raise UserError(f"run {run!r} is not complete; run it again: ivgbench run --spec benchmarks/control.toml")
    miou = frame[frame["metric"] == "miou"].pivot(index=["split", "case"], columns="method", values="value")
    lines = []
    for split, values in miou.groupby("split"):
        difference = stats.paired_difference(values["peekaboo"].to_numpy(), values["plain"].to_numpy())
        plain, peekaboo = values["plain"].mean(), values["peekaboo"].mean()
        lines.append(
            {
                "split": split,
                "settings": told["peekaboo"][0],
                "plain": plain,
                "peekaboo": peekaboo,
                "ratio": peekaboo / plain,
                "difference": difference.value,
                "low": difference.low,
                "high": difference.high,
                "n": difference.n,
            }
        )
    return pd.DataFrame(lines)


def main() -> None:
    """Prints the table."""
    print(compare().to_string(index=False, float_format="{:.4f}".format))


if __name__ == "__main__":
    in_one_line(main)
