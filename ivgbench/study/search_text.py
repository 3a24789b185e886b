"""What the search found, in print: the table, the figure, and the settings that it makes the backbone's own."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from ivgbench.errors import UserError
from ivgbench.generator import settings as named_settings
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.methods.peekaboo import Masking
from ivgbench.report import paper
from ivgbench.report.figures import save
from ivgbench.report.layout import evaluations
from ivgbench.study.search import chosen
from ivgbench.study.search_spaces import BUILT_ON

#: The line of settings.toml below which the search writes.
MARK = "# ---- Written by `ivgbench study search --tune`: of a backbone, it replaces all that stands below."


def markdown(frame: pd.DataFrame, backbone: str) -> str:
    """Chosen settings beside the defaults."""
    lines = [
        f"# Settings found on the tuning suites, {backbone}",
        f"{frame['method'].value_counts().max()} settings a method at most, the same cases and noise for all. Chosen: "
        "highest mIoU, of every method alike. Cost: points of CLIP-SIM below the unguided model's; it rules nothing "
        "out. All settings: search.csv.",
        "| Method | Setting | mIoU all % | CLIP-SIM | Cost | NFE | Backward | s |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for method, mine in frame.groupby("method", sort=False):
        first = mine.index[0]
        start = _start(method, backbone)
        shown = mine[mine["chosen"] | (mine.index == first)]
        for one in shown.itertuples():
            what = start if one.Index == first else f"`{one.options}`"
            what += ", **chosen**" if one.chosen and one.method != "plain" else ""
            lines[-1] += (
                f"\n| {paper.print_name(method)} | {what} | {one.miou_all:.1f} | {one.clip_sim:.2f} "
                f"| {one.clip_sim_cost:+.2f} | {evaluations(one.nfe)} | {one.backward:.0f} | {one.seconds:.2f} |"
            )
        if not mine["chosen"].any():
            lines[-1] += f"\n| {paper.print_name(method)} | every setting failed | – | – | – | – | – | – |"
    return "\n\n".join(lines) + "\n"


def _start(method: str, backbone: str) -> str:
    """What the first setting of a method is, see `search_spaces.start`."""
    if method in BUILT_ON:
        return f"the settings of {paper.print_name(BUILT_ON[method])}"
    known = named_settings.known(backbone, method)
    return next(name for name in (named_settings.ADAPTED, named_settings.DEFAULTS) if name in known)


def tuned(frame: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Method -> name -> options of the chosen settings. A method of which no setting was chosen has none.

    `tuned-mask-norm`, of Peekaboo: the masks of Mask Norm's chosen settings, so that Mask Norm can be told from its
    masks.
    """
    found = {method: {named_settings.TUNED: options} for method, options in chosen(frame).items()}
    normalised = resolve("mask-norm", found.get("mask-norm", {}).get(named_settings.TUNED))
    masks = {one.name: getattr(normalised, one.name) for one in fields(Masking)}
    return {**found, "peekaboo": {**found.get("peekaboo", {}), "tuned-mask-norm": masks}}


def put(text: str, found: dict[str, dict[str, dict[str, Any]]], backbone: str) -> str:
    """The text of settings.toml with these as a backbone's, in place of what stands for it below the `MARK`."""
    head, mark, written = text.partition(MARK)
    if not mark:
        raise UserError(f"{named_settings.FILE}: it has no line below which the search's settings stand: {MARK}")
    tables = [one for one in written.strip().split("\n\n") if one and not one.startswith(f"[{backbone}.")]
    for method, names in found.items():
        for name, options in names.items():
            lines = [f"{key} = {json.dumps(value)}" for key, value in options.items() if value is not None]
            tables.append("\n".join([f"[{backbone}.{method}.{name}]", *lines]))
    return head + mark + "\n\n" + "\n\n".join(tables) + "\n"


def draw(frame: pd.DataFrame, backbone: str, stem: Path) -> list[Path]:
    """Every setting by control and text agreement; rings: defaults, stars: chosen, dotted: the unguided model's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3, 3.0), layout="constrained")
    axes = figure.add_subplot()
    for number, (method, mine) in enumerate(frame.groupby("method", sort=False)):
        colour = f"C{number}"
        axes.scatter(mine["miou_all"], mine["clip_sim"], s=9, color=colour, label=paper.print_name(method))
        axes.scatter(mine["miou_all"][:1], mine["clip_sim"][:1], s=45, facecolors="none", edgecolors=colour)
        best = mine[mine["chosen"]]
        axes.scatter(best["miou_all"], best["clip_sim"], s=90, marker="*", color=colour, edgecolors="black", lw=0.5)
    plain = frame[frame["method"] == "plain"]["clip_sim"].iloc[0]
    axes.axhline(plain, color="grey", lw=0.8, ls=":")
    axes.set_xlabel("mIoU over all clips, %", fontsize=8)
    axes.set_ylabel("CLIP-SIM", fontsize=8)
    axes.set_title(f"tuning suites, {backbone}; rings: defaults, stars: chosen", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6, frameon=False)
    return save(figure, stem, dpi=300)
