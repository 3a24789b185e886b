"""Does the regression gate bite? Perturbs every method and every metric once, and writes what the check says.

    python benchmarks/gate.py       -> results/tables/gate.csv, gate.md

One row per perturbation: how many metrics moved too far, and the one that was chosen beforehand to tell. The last line
says how many perturbations the gate did not see; so does the exit code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "parity"))

from gate import PERTURBATIONS, Gate, Perturbation  # noqa: E402
from parity import TABLES, markdown  # noqa: E402


def row(gate: Gate, perturbation: Perturbation) -> dict[str, object]:
    told = gate.told(perturbation)
    telling = [change for change in told if change.metric.column == perturbation.column]
    return {
        "of": perturbation.method or "metrics",
        "perturbed": perturbation.what,
        "metrics changed": len(told),
        "told by": str(telling[0]) if telling else f"NOT TOLD by {perturbation.column}",
        "seen": bool(telling),
    }


def main() -> int:
    rows = []
    with TemporaryDirectory() as folder:
        gate = Gate(Path(folder))
        for perturbation in PERTURBATIONS:
            rows.append(row(gate, perturbation))
            print(*list(rows[-1].values())[:4], sep=" | ", flush=True)
    frame = pd.DataFrame(rows)
    unseen = int((~frame["seen"]).sum())
    frame["seen"] = frame["seen"].map({True: "yes", False: "NO"})
    frame.to_csv(TABLES / "gate.csv", index=False)
    (TABLES / "gate.md").write_text(markdown(frame), encoding="utf-8")
    print(f"{len(frame) - unseen} of {len(frame)} perturbations are seen")
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main())
