"""One name is one run: whether a plan would take the place of another run that is stored under its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ivgbench.runs.identity import row_name
from ivgbench.runs.planning import Plan
from ivgbench.runs.spec import RunSpec

#: What tells one row of a manifest from another; the job's id stands for all that changes its pixels.
_ROW = ("label", "suite", "split", "case", "seed", "job")


def measured(spec: RunSpec) -> dict[str, Any]:
    """What a run's clips are measured with, as its manifest keeps it: plain data."""
    encoders = None if spec.frame_encoders is None else list(spec.frame_encoders)
    return {
        "detector": spec.detector, "clip": spec.clip, "references": list(spec.references), "frame encoders": encoders,
        "video encoder": spec.video_encoder, "reference videos": spec.reference_videos,
        "reference seed": spec.reference_seed,
    }  # fmt: skip


def taken(plan: Plan, kept: Mapping[str, Any] | None) -> str | None:
    """How the run that is stored under a plan's name differs from it; None where there is none, or it is the same.

    kept: its manifest (`Store.kept_manifest`).
    """
    if kept is None:
        return None
    mine = [entry.record() for entry in plan.entries]
    for what, of in (("rows", _labels), ("suites", _suites)):
        if (there := of(kept["jobs"])) != (here := of(mine)):
            return f"its {what} are {_listed(there)}, here {_listed(here)}"
    if {_key(row) for row in kept["jobs"]} != {_key(row) for row in mine}:
        weights = (kept.get("backbone") or {}).get("weights")
        if weights != plan.facts.weights:
            return f"its weights are {_digits(weights)}, here {_digits(plan.facts.weights)}"
        return f"its {len(kept['jobs'])} clips are of other cases, seeds or settings than the {len(mine)} here"
    now = measured(plan.spec)
    # A manifest of before says nothing of this.
    for what, there in kept.get("measured", now).items():
        if there != now.get(what):
            return f"its {what}: {_told(there)}, here {_told(now.get(what))}"
    return None


def _digits(weights: str | None) -> str:
    """The first of a hash; an old manifest may have none."""
    return (weights or "none")[:12]


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _ROW)


def _labels(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({row_name(row["label"]) for row in rows})


def _suites(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({row["suite"] for row in rows})


def _listed(names: list[str], most: int = 6) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
