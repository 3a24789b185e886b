"""Is it exact? Peekaboo and TrailBlazer through the public API against official numbers and a second implementation.

    python benchmarks/parity.py [FOLDER]                 -> results/tables/parity.csv, parity.md
    python benchmarks/parity.py [FOLDER] --mutations     -> results/tables/parity_mutations.csv, parity_mutations.md

FOLDER holds golden fixtures (default: tests/golden, which keeps those that are small). With --mutations every rule is
broken in turn, and the tables say which check sees it, and whether an official fixture would have. The last line of
either says how many did not pass; so does the exit code.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
from rich.progress import track

import ivgbench  # noqa: F401  before torch: it says how torch's threads wait

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "parity"))

from checks import Check  # noqa: E402
from golden import golden_checks, peekaboo, trailblazer  # noqa: E402
from mutations import MUTATIONS, Mutation, mutated  # noqa: E402
from requested import reference_checks  # noqa: E402

TABLES = ROOT / "results" / "tables"


def parity(folder: Path) -> pd.DataFrame:
    """One row per check: largest absolute error, relative error of the worst step, whether that is small enough."""
    checks, left_out = golden_checks(folder)
    rows = []
    for check in track([*checks, *reference_checks().values()], description="parity"):
        absolute, relative, steps = check.errors()
        rows.append(
            {
                "against": check.source,
                "case": check.name,
                "dtype": check.dtype,
                "steps (or frames)": steps,
                "max abs": f"{absolute:.1e}",
                "relative": f"{relative:.1e}",
                "tolerance": f"{check.tolerance:g}" if check.tolerance else "bit for bit",
                "passed": relative <= check.tolerance,
            }
        )
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    return pd.DataFrame(rows)


def broken(folder: Path) -> pd.DataFrame:
    """One row per mutation: the check that is there for it, and the first official one that sees it."""
    checks = reference_checks()
    rows = []
    for mutation in track(MUTATIONS, description="mutations"):
        check = checks[mutation.seen_by]
        error = error_under(mutation, check)
        witness = next((one for one in witnesses(mutation, folder) if seen(mutation, one)), None)
        rows.append(
            {
                "rule": mutation.rule,
                "broken": mutation.what,
                "seen by": check.name,
                "relative": f"{error:.1e}",
                "tolerance": f"{check.tolerance:g}" if check.tolerance else "bit for bit",
                "official fixture": "" if witness is None else f"{witness.name} ({witness.dtype})",
                "passed": error > check.tolerance,
            }
        )
    return pd.DataFrame(rows)


def error_under(mutation: Mutation, check: Check) -> float:
    """The relative error of a check while a rule is broken."""
    check.theirs()  # from the second implementation as it is
    with mutated(mutation):
        return check.errors()[1]


def seen(mutation: Mutation, check: Check) -> bool:
    try:
        return error_under(mutation, check) > check.tolerance
    except (AssertionError, ValueError):  # another shape, or boxes that the broken rule refuses
        return True


def witnesses(mutation: Mutation, folder: Path) -> list[Check]:
    """Official checks that may see a mutation, quick ones: Peekaboo in float32, of TrailBlazer the first step."""
    official = golden_checks(folder)[0]
    if mutation.seen_by.startswith(("peekaboo", "plain")):
        masked = [one.name for one in official if one.name.startswith("peekaboo/") and one.name.endswith(", no mask")]
        names = [name.removesuffix(", no mask") for name in masked]
        return [peekaboo(folder / f"{name}.npz", name, "float32", first=2) for name in names]
    quick = [one for one in official if "_edit" in one.name or "of the keys" in one.name]
    runs = [one.name for one in official if one.name.startswith("trailblazer/") and "," not in one.name]
    return quick + [trailblazer(folder / f"{name}.npz", name, first=1) for name in runs[:1]]


def markdown(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "tests" / "golden")
    parser.add_argument("--mutations", action="store_true")
    asked = parser.parse_args()
    if not any(asked.folder.glob("*/*.npz")):
        parser.error(f"no fixtures in {asked.folder}: expected peekaboo/*.npz, trailblazer/*.npz and their models")
    frame, name = (broken(asked.folder), "parity_mutations") if asked.mutations else (parity(asked.folder), "parity")
    failed = int((~frame["passed"]).sum())
    frame["passed"] = frame["passed"].map({True: "yes", False: "NO"})
    TABLES.mkdir(parents=True, exist_ok=True)
    frame.to_csv(TABLES / f"{name}.csv", index=False)
    (TABLES / f"{name}.md").write_text(markdown(frame), encoding="utf-8")
    print(frame.to_string(index=False))
    print(f"{len(frame) - failed} of {len(frame)} passed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
