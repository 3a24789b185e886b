"""Does the regression gate bite? Perturbs every method and every metric once, and writes what the check says.

    python benchmarks/gate.py [--only TEXT]     -> results/tables/gate.csv, gate.md

One row per perturbation: how many metrics moved too far, and the one that was chosen beforehand to tell. The last line
says how many perturbations the gate did not see; so does the exit code. With --only, the perturbations whose name holds
TEXT are tried, and the rows of the others stay as they were.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

import ivgbench  # noqa: F401  before torch: it says how torch's threads wait

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "parity"), str(ROOT / "tests" / "doubles")]

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of names")
    only = parser.parse_args().only
    path = TABLES / "gate.csv"
    kept = pd.read_csv(path).to_dict("records") if only and path.exists() else []
    known = {(one["of"], one["perturbed"]): {**one, "seen": one["seen"] == "yes"} for one in kept}
    rows = []
    with TemporaryDirectory() as folder:
        gate = Gate(Path(folder))
        for perturbation in PERTURBATIONS:
            name = (perturbation.method or "metrics", perturbation.what)
            if only in str(perturbation):
                known[name] = row(gate, perturbation)
                print(*list(known[name].values())[:4], sep=" | ", flush=True)
            if name in known:
                rows.append(known[name])
    frame = pd.DataFrame(rows)
    unseen = int((~frame["seen"]).sum())
    frame["seen"] = frame["seen"].map({True: "yes", False: "NO"})
    frame.to_csv(path, index=False)
    (TABLES / "gate.md").write_text(markdown(frame), encoding="utf-8")
    print(f"{len(frame) - unseen} of {len(frame)} perturbations are seen")
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main())
