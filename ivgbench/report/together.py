"""Several runs in one table: as one run, if their rows can be compared, else refused with what differs.

They can where the same models judged the same cases: equal detector, CLIP and version of the metrics, suites of equal
checksums, and in every split that two runs have, equal cases. A run need not have every split, but at least one suite
of the first run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NoReturn

from ivgbench.errors import UserError

Row = dict[str, Any]
Manifest = dict[str, Any]
#: Entries of a manifest that must be equal, and what they are.
JUDGED_BY = {"detector": "detectors", "clip": "CLIP models", "metrics": "versions of the metrics"}
_KEY = ("label", "suite", "split", "case", "seed", "job")


def join(loaded: Sequence[tuple[list[Row], Manifest]]) -> tuple[list[Row], Manifest]:
    """Rows and manifests of several runs as those of one run. What two runs share stands there once.

    Raises:
        UserError: they cannot be compared, or two systems have one label.
    """
    manifests = [manifest for _, manifest in loaded]
    check(manifests)
    rows = {(*(row[name] for name in _KEY), row["metric"]): row for run, _ in loaded for row in run}
    entries = {tuple(entry[name] for name in _KEY): entry for one in manifests for entry in one["jobs"]}
    return list(rows.values()), joined(manifests, list(entries.values()))


def joined(manifests: Sequence[Manifest], entries: list[Row]) -> Manifest:
    """One manifest for several: what they share, all entries, and the `runs` it is made of."""
    suites = {name: sha256 for one in manifests for name, sha256 in one.get("suites", {}).items()}
    name = " + ".join(one["run"] for one in manifests)
    own = {row["name"]: row for one in reversed(manifests) for row in one.get("own_metrics", ())}
    made = {**manifests[0], "run": name, "jobs": entries, "suites": suites, "runs": list(manifests)}
    return made | ({"own_metrics": list(own.values())} if own else {})


def check(manifests: Sequence[Manifest]) -> None:
    """Raises UserError where two of the runs cannot stand in one table."""
    for first, second in combinations(manifests, 2):
        _check_pair(first, second, may_be_apart=first is not manifests[0])


def _check_pair(first: Manifest, second: Manifest, may_be_apart: bool) -> None:
    """may_be_apart: they need have no suite in common, since both are compared with the first run."""

    def refuse(why: str) -> NoReturn:
        raise UserError(f"runs {first['run']!r} and {second['run']!r} cannot stand in one table: {why}")

    for key, what in JUDGED_BY.items():
        mine, other = first.get(key), second.get(key)
        if mine != other:
            refuse(f"their {what} differ ({mine}; {other}); score one of them again with the other's")
    mine, other = _own_versions(first), _own_versions(second)
    for name in mine.keys() & other.keys():
        if mine[name] != other[name]:
            refuse(f"their metric {name!r} differs (version {mine[name]}; {other[name]}); score one of them again")
    mine, other = first.get("suites", {}), second.get("suites", {})
    for suite in mine.keys() & other.keys():
        if mine[suite] != other[suite]:
            refuse(f"the suite {suite!r} differs (sha256 {mine[suite][:12]}, {other[suite][:12]})")
    asked = [sorted({entry["suite"] for entry in run["jobs"]}) for run in (first, second)]
    if not may_be_apart and not set(asked[0]) & set(asked[1]):
        refuse(f"they have no suite in common ({'; '.join(map(', '.join, asked))})")
    cases, others = (_by(run, ("split",), ("suite", "case")) for run in (first, second))
    for split in cases.keys() & others.keys():
        if cases[split] != others[split]:
            counts = (f"{len(one)} of {_suites(one)}" for one in (cases[split], others[split]))
            refuse(f"their {split[0]} cases differ ({'; '.join(counts)})")
    _check_labels(first, second, refuse)


def _own_versions(run: Manifest) -> dict[str, int]:
    """Versions of the metrics of other packages that a run has."""
    return {row["name"]: row["version"] for row in run.get("own_metrics", ())}


def _check_labels(first: Manifest, second: Manifest, refuse: Any) -> None:
    """Rows of one label must be the same clips where both runs have them, and else of the same method."""
    clips, others = (_by(run, ("label", "split"), ("suite", "case", "seed", "job")) for run in (first, second))
    for key in clips.keys() & others.keys():
        if clips[key] != others[key]:
            refuse(
                f"both have a row {key[0]!r} ({key[1]}), of different clips; give one of them another label (`ivgbench "
                f"score --label`, or label in the run's spec)"
            )
    methods, other_methods = (_methods(run) for run in (first, second))
    for label in methods.keys() & other_methods.keys():
        if methods[label] != other_methods[label]:
            refuse(f"{label!r} is not the same method in both (settings or backbone differ); give it another label")


def _by(run: Manifest, keys: Sequence[str], values: Sequence[str]) -> dict[tuple, set[tuple]]:
    found: dict[tuple, set[tuple]] = {}
    for entry in run["jobs"]:
        found.setdefault(tuple(entry[key] for key in keys), set()).add(tuple(entry[value] for value in values))
    return found


def _methods(run: Manifest) -> dict[str, tuple[Any, ...]]:
    return {entry["label"]: (entry["method"], entry["options"], run.get("backbone")) for entry in run["jobs"]}


def _suites(cases: set[tuple]) -> str:
    return ", ".join(sorted({suite for suite, _ in cases}))


def runs_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The manifests that a manifest is made of; itself, if it is one run's."""
    return manifest.get("runs") or [manifest]


def check_sets(loaded: Sequence[tuple[list[Row], Manifest]]) -> None:
    """For set metrics besides: equal references and encoders, and equal numbers of videos, which all of them depend on.

    Raises:
        UserError: what differs.
    """
    first_rows, first = loaded[0]
    for rows, manifest in loaded[1:]:
        where = f"runs {first['run']!r} and {manifest['run']!r} cannot stand in one table"
        for what, of in (("encoders", _encoders), ("references", _references), ("numbers of videos", _videos)):
            mine, other = of(first_rows), of(rows)
            if mine != other:
                raise UserError(f"{where}: their {what} differ ({_short(mine)}; {_short(other)})")


def _encoders(rows: list[Row]) -> Any:
    return rows[0]["encoders"]


def _references(rows: list[Row]) -> Any:
    names = ("reference_videos", "reference_frames", "against")
    return {row["reference"]: [row.get(name) for name in names] for row in rows}


def _videos(rows: list[Row]) -> Any:
    return sorted({(row["n_videos"], row["n_expected"]) for row in rows})


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
