"""A study's run on another backbone than the one it was written for: what of it has a meaning there."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ivgbench.generator.backbones import sources
from ivgbench.generator.backbones.base import family_of
from ivgbench.generator.backbones.sites import OFFERED
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import CHECKPOINT
from ivgbench.runs.spec import RunSpec


class Moved(NamedTuple):
    """spec: of the run there. lacking: labels of its rows that the backbone cannot make -> why."""

    spec: RunSpec
    lacking: dict[str, str]


def on_backbone(spec: RunSpec, backbone: str) -> Moved:
    """A run's spec on a backbone: its own untouched, another with its own name, rows and noise path.

    Rows that need what the backbone's network does not have are left out; a scheduler of the other kind of noise path
    gives way to the backbone's own.

    Raises:
        UserError: there is no such backbone here.
    """
    if backbone == spec.backbone:
        return Moved(spec, {})
    kind = family_of(backbone)
    lacking = {}
    for one in spec.methods:
        if needs := sorted(resolve(one.method, one.options).needs() - kind.offers):
            what, _, _ = OFFERED[needs[0]].partition(";")
            lacking[one.row] = f"{one.method} needs {what}"
    sampling = spec.sampling
    if sampling.scheduler != CHECKPOINT and sampling.scheduler in ({"ddim", "dpm"} if kind.flow else {"flow"}):
        sampling = replace(sampling, scheduler=None)
    rows = tuple(one for one in spec.methods if one.row not in lacking)
    name = f"{spec.name}-{sources.preset(backbone)[0]}"
    return Moved(replace(spec, name=name, methods=rows, backbone=backbone, sampling=sampling), lacking)


def remarks(moved: Moved) -> tuple[str, ...]:
    """What a reader must know of a study that was moved."""
    kind = family_of(moved.spec.backbone)
    stands = (f"This backbone has no decoder: for it stands {kind.decoder}.",) if kind.decoder else ()
    return (*stands, *(f"Left out: {why}." for why in dict.fromkeys(moved.lacking.values())))


def suffix(backbone: str, weights: str) -> str:
    """What the files of a study on a backbone are called after: "" for the first pocket backbone, "-dit" for the other,
    and the weights' hash for any that does not ship."""
    if backbone in sources.POCKETS:
        return "" if backbone == RunSpec.backbone else f"-{sources.POCKETS[backbone].name}"
    return f"-{weights[:8]}"
