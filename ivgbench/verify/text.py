"""The report of `ivgbench verify`: every verdict, what was measured, and what it was measured with."""

from __future__ import annotations

from typing import Any

from ivgbench.runs.environment import environment
from ivgbench.verify.costs import HEADER, cells
from ivgbench.verify.files import FAILED, NOT_RUN, PASSED
from ivgbench.verify.verifying import Verification

#: Of the environment, what stands in the report.
VERSIONS = ("ivgbench", "commit", "python", "torch", "diffusers", "transformers")


def summary(made: Verification) -> str:
    """One line: how many checks came to what."""
    counts = {kind: sum(one.verdict == kind for one in made.checks) for kind in (PASSED, FAILED, NOT_RUN)}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"{len(made.checks)} checks of {made.backbone}: {told}"


def markdown(made: Verification, command: str) -> str:
    """The whole file."""
    sampling, versions = made.sampling, environment()
    size = "the backbone's own size" if sampling.size is None else f"{sampling.size[0]} x {sampling.size[1]} pixels"
    head = [
        f"* Weights `{made.weights[:16] or 'not whole'}`, commit {made.revision or 'none: a folder'}",
        f"* On {made.device} in {sampling.dtype}; {made.frames} frames, {size}, {sampling.steps} steps, guidance "
        f"{sampling.guidance_scale:g}, scheduler {sampling.scheduler}, seed 0",
        f"* {', '.join(f'{name} {versions[name]}' for name in VERSIONS if versions.get(name))}",
    ]
    checks = _table(("Check", "Verdict", "Found"), [[one.what, f"**{one.verdict}**", one.told] for one in made.checks])
    parts = [
        f"# {made.backbone}, verified",
        f"{summary(made)}. Written by `{command}`; every verdict is the program's.",
        "\n".join(head),
        checks,
    ]
    if made.rows:
        parts += [
            "## What the clips took",
            _table(HEADER, [cells(row) for row in made.rows]),
            "Seconds are of whole clips: text, all steps, and frames. The first clip warms up.",
        ]
    if any(one.verdict == NOT_RUN for one in made.checks):
        parts.append("*Not run* is no verdict: nothing is known there.")
    return "\n\n".join(parts) + "\n"


def _table(header: tuple[str, ...], rows: list[list[object]]) -> str:
    lines: list[list[Any]] = [list(header), ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)
