"""What can be said of a backbone's files, and of the weights that were loaded from them. No clip is made here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ivgbench import hub
from ivgbench.errors import UserError
from ivgbench.generator.backbones import hashing, layout, presets, sources

PASSED: Literal["passed"] = "passed"
FAILED: Literal["FAILED"] = "FAILED"
NOT_RUN: Literal["not run"] = "not run"
#: Of a config that says nothing of the weights: frames have the size that is asked for.
FREE = ("sample_size",)


class Check(NamedTuple):
    """One verdict. told: what was found, or why nothing was looked at."""

    what: str
    verdict: Literal["passed", "FAILED", "not run"]
    told: str


def check(what: str, faults: list[str], sound: str) -> Check:
    """The verdict on what was looked at: it passed where no fault was found, and else the first ones are told."""
    more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
    return Check(what, FAILED, "; ".join(faults[:3]) + more) if faults else Check(what, PASSED, sound)


def complete(source: str) -> Check:
    """Whether all files are there."""
    try:
        folder = sources.locate(source)
        layout.require_vae(folder)
    except UserError as fault:
        return Check("files", FAILED, str(fault))
    return Check("files", PASSED, f"{len(hashing.read_files(folder))} files, none is missing")


def hashes(source: str, folder: Path, sums: Mapping[Path, str]) -> Check:
    """Each file against the hash that its publisher announced. sums: sha256 of each."""
    announced, faults, unknown, known = hub.published(sources.preset(source)[1].hub_id, folder), [], [], 0
    for path, sha256 in sums.items():
        name = path.relative_to(folder).as_posix()
        if name not in announced:
            unknown.append(name)
        elif hub.has_hash(path, announced[name], sha256):
            known += 1
        else:
            faults.append(f"{name} is not the published file ({announced[name][:12]}); fetch it again")
    if not known and not faults:
        why = "no hash was published for a folder that was not fetched"
        return Check("hashes", NOT_RUN, f"{why} (`ivgbench fetch` keeps them); its own is in this report's head")
    rest = f"; no hash is known of {', '.join(unknown)}" if unknown else ""
    return check("hashes", faults, f"{known} files are the published ones{rest}")


def configs(source: str, folder: Path) -> Check:
    """The parts' configs against those of the published model, which ship with this package."""
    published = presets.published_architecture(sources.preset(source)[1])
    if published is None:
        return Check("configs", NOT_RUN, "no published configs are known of this folder")
    faults, count = [], 0
    for part, right in published.items():
        there = layout.read_config(folder / part / "config.json")
        for name in right.keys() & there.keys() - set(FREE):
            count += 1
            if there[name] != right[name]:
                faults.append(f"{part}: {name} is {there[name]!r}, published {right[name]!r}")
    return check("configs", sorted(faults), f"{count} values are the published ones")


def weights(bb: Any) -> Check:
    """Whether every loaded weight is a number, in the precision that it works in."""
    faults, count = [], 0
    for part, module in bb.modules().items():
        for name, weight in (*module.named_parameters(), *module.named_buffers()):
            count += 1
            if weight.is_floating_point() and not weight.isfinite().all():
                bad = int((~weight.isfinite()).sum())
                faults.append(f"{part}: {name} has {bad} values that are NaN or infinite in {_dtype(weight)}")
    return check("weights", faults, f"{count} tensors are finite")


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")
