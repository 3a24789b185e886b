"""Settings by measurement: what the paper leaves open, searched on the tuning suites with the same budget per method.

    python benchmarks/search.py                        # can be stopped and started again
    python benchmarks/search.py --trials 1 --cases 1   # a rehearsal

Every method gets the same number of settings, on the same cases, from the same noise: its defaults first (or what
stands for them on this backbone), then random draws from its own space. A method that adds one thing to another
(`BUILT_ON`) takes the other's chosen settings and searches its own alone, so that the rows of a table differ by what
they are named for. Chosen is the highest mIoU (all clips, both splits), of every method alike; what it costs in
CLIP-SIM stands beside it, and rules nothing out. Masks are read as Peekaboo's release does. The reporting suites are
never looked at. Writes tables/search.csv and .md, and figures/search.png and .svg, into results/own, a rehearsal's
into results/quick. With --tune the chosen settings become the pocket's `tuned` in ivgbench/generator/settings.toml,
from where clips, runs and specs take them; after a search that is done it takes a moment.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ivgbench.cli import in_one_line
from ivgbench.engines.local import LocalEngine
from ivgbench.errors import UserError
from ivgbench.files import canonical_json, write_text
from ivgbench.generator import settings as named_settings
from ivgbench.generator.methods.base import Method, resolve
from ivgbench.generator.methods.intrinsic import MaskNormTID
from ivgbench.generator.methods.mask_norm import MaskNorm
from ivgbench.generator.methods.peekaboo import Masking
from ivgbench.report import paper
from ivgbench.report.figures import save
from ivgbench.report.layout import evaluations
from ivgbench.runs import runner
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

SUITES = ("pocket-tuning-static", "pocket-tuning-dynamic")
#: 730 clips: more settings on fewer cases (all settings on the same) find more than fewer on more.
TRIALS, CASES, SEED = 8, 5, 0
#: The line of settings.toml below which the search writes.
MARK = "# ---- The pocket lab's, written by benchmarks/search.py --tune, which replaces all that stands below."
MASKS: dict[str, list[Any]] = {"frozen_steps": [2, 3, 4, 6, 8, 10, 12], "scope": ["official", "paper"]}
SPACES: dict[str, dict[str, list[Any]]] = {
    "peekaboo": {**MASKS, "without": [None, ("bos",), ("mid",), ("temporal",)]},
    # Without temporal edits: the released gate never opens at the pocket's sizes, so any number of steps is as none.
    "trailblazer": {
        "spatial_steps": [5, 8],
        "spatial_strengthen": [0.1, 0.3, 0.5],
        "trailing_length": [0, 2, 15],
    },
    "mask-norm": {**MASKS, "norm_self": [True, False], "norm_cross": [True, False]},
    "mask-norm-id": {
        "gamma": [0.02, 0.05, 0.1, 0.2, 0.5, 1.0],
        "inner_steps": [1, 2, 3],
        "window": [None, (0, 4), (0, 8), (4, 16)],
    },
    "mask-norm-tid": {
        "kappa": [0.03, 0.1, 0.3, 1.0],
        "gradient": ["detached", "exact"],
        "guided_steps": ["all", "frozen"],
        "crop_grid": ["mean", "max", "fixed"],
    },
    "freeinit": {
        "rounds": [2, 3, 5],
        "filter": ["butterworth", "gaussian", "ideal"],
        "d_s": [0.1, 0.25, 0.5],
        "d_t": [0.1, 0.25, 0.5],
    },
    "freetraj": {
        "ddim_edit": [2, 4, 6, 10, 15],
        "d_s": [0.1, 0.25, 0.5],
        "d_t": [0.1, 0.25, 0.5],
        "inside": ["official", "intent"],
        "logits": ["official", "intent"],
        "box_size": ["first", "frame"],
    },
    "direct-a-video": {"amplify": [5.0, 15.0, 25.0, 50.0], "tau": [0.95, 0.9, 0.8], "others": ["hidden", "open"]},
    "lvd": {
        "loss_scale": [2.5, 5.0, 10.0, 20.0],
        "threshold_fraction": [0.5, 0.75, 0.9],
        "max_iter": [1, 2, 5],
        "max_index_step": [5, 10],
        "fg_top_p": [0.25, 0.75],
        "bg_top_p": [0.25, 0.75],
        "bg_weight": [1.0, 2.0, 4.0],
        "com_loss_scale": [0.0, 0.03],
    },
}
#: method -> the one whose chosen settings it takes.
BUILT_ON = {"mask-norm-id": "mask-norm", "mask-norm-tid": "mask-norm-id"}


def start(method: str, found: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What a method's settings are searched on top of; None where the search has not found it yet.

    The chosen settings of what it is built on, else what the backbone needs in place of the method's defaults.
    """
    if method in BUILT_ON:
        return found.get(BUILT_ON[method])
    return named_settings.known(RunSpec.backbone, method).get(named_settings.ADAPTED, {})


def settings(method: str, trials: int, base: dict[str, Any] | None = None, seed: int = SEED) -> list[dict[str, Any]]:
    """`trials` different settings of a method over a base, the base alone first; a shorter list starts a longer one.

    Draws that the method refuses, or that leave out what it is named for, are drawn again. A space that is smaller than
    `trials` is exhausted as far as 100 draws a trial go.
    """
    rng = np.random.default_rng([seed, list(SPACES).index(method)])
    base = base or {}
    found = {resolve(method, base): base}
    for _ in range(100 * trials):
        drawn = {name: values[rng.integers(len(values))] for name, values in SPACES[method].items()}
        options = {**base, **{name: value for name, value in drawn.items() if value is not None}}
        try:
            config = resolve(method, options)
        except UserError:
            continue
        if len(found) < trials and is_itself(config):
            found.setdefault(config, options)
    return list(found.values())


def is_itself(config: Method) -> bool:
    """Whether Mask Norm normalises anything, and the temporal prior guides any step."""
    if isinstance(config, MaskNorm) and not (config.norm_self or config.norm_cross):
        return False
    if isinstance(config, MaskNormTID) and config.guided_steps == "frozen":
        return (config.window or (0, 1))[0] < config.frozen_steps
    return True


def spec(trials: int, cases: int, found: dict[str, dict[str, Any]]) -> RunSpec:
    """The run of a search as far as it can go: the unguided model, and the settings of methods whose base is found.

    found: method -> chosen settings.
    """
    methods = [MethodSpec("plain")]
    for method in SPACES:
        if (base := start(method, found)) is not None:
            tried = settings(method, trials, base)
            methods += [MethodSpec(method, one, f"{method} #{k}") for k, one in enumerate(tried)]
    # A rehearsal has its own name, or it would take the place of the search's manifest.
    name = "search" if (trials, cases) == (TRIALS, CASES) else f"search-{trials}x{cases}"
    # A search starts from the methods' own defaults, and not from what the last one found.
    return RunSpec(name, tuple(methods), suites=SUITES, cases=cases, settings=named_settings.DEFAULTS)


def search(trials: int, cases: int, measure: Callable[[RunSpec], pd.DataFrame]) -> pd.DataFrame:
    """The table of all settings. measure: runs a spec, what is done already not again, and gives its `results`."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        asked = spec(trials, cases, found)
        frame = measure(asked)
        if {one.method for one in asked.methods} >= set(SPACES):
            return frame
        # Where every setting failed, the next one builds on the defaults.
        found = {one.method: {} for one in asked.methods} | chosen(frame)


def chosen(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The settings that a search's table found: method -> options; without a method of which every setting failed."""
    best = frame[frame["chosen"] & frame["method"].isin(SPACES)]
    return {method: json.loads(options) for method, options in zip(best["method"], best["options"], strict=True)}


def results(store: Store, asked: RunSpec) -> pd.DataFrame:
    """One row per setting: mIoU (percent, all clips) and CLIP-SIM, mean of both splits and of each, cost, `chosen`.

    `clip_sim_cost`: points of CLIP-SIM below the unguided model's on the same cases.

    A setting of which a clip failed has no numbers, and is not chosen.
    """
    rows = pd.DataFrame(store.load_rows(asked.name)[0])
    if (rows["status"] == "missing").any():
        raise UserError(f"run {asked.name!r} is not whole; run the search again")
    rows = rows.astype({"value": "float64"})
    rows.loc[rows["label"].isin(rows["label"][~rows["status"].isin(["ok", "undefined"])]), "value"] = np.nan
    mean = rows.groupby(["label", "split", "metric"])["value"].mean().unstack()
    lines = []
    for one in asked.methods:
        here = mean.loc[one.label or one.method]
        lines.append(
            {
                "method": one.method,
                "label": one.label or one.method,
                "options": canonical_json(one.options),
                "miou_all": 100 * here["miou"].mean(),
                **{f"miou_{split}": 100 * here["miou"][split] for split in here.index},
                **{f"clip_sim_{split}": here["clip_sim"][split] for split in here.index},
                **{name: here[name].mean() for name in ("clip_sim", "nfe", "backward", "seconds")},
            }
        )
    frame = pd.DataFrame(lines)
    unguided = frame[frame["method"] == "plain"]["clip_sim"].iloc[0]
    best = frame[frame["miou_all"].notna()].groupby("method")["miou_all"].idxmax()
    return frame.assign(clip_sim_cost=unguided - frame["clip_sim"], chosen=frame.index.isin(best))


def markdown(frame: pd.DataFrame) -> str:
    """Chosen settings beside the defaults."""
    lines = [
        "# Settings found on the tuning suites, pocket lab",
        f"{frame['method'].value_counts().max()} settings a method at most, the same cases and noise for all. Chosen: "
        "highest mIoU, of every method alike. Cost: points of CLIP-SIM below the unguided model's; it rules nothing "
        "out. All settings: search.csv.",
        "| Method | Setting | mIoU all % | CLIP-SIM | Cost | NFE | Backward | s |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for method, mine in frame.groupby("method", sort=False):
        first = mine.index[0]
        start = f"the settings of {paper.print_name(BUILT_ON[method])}" if method in BUILT_ON else "defaults"
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


def tuned(frame: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Method -> name -> options of the chosen settings. A method of which no setting was chosen has none.

    `tuned-mask-norm`, of Peekaboo: the masks of Mask Norm's chosen settings, so that Mask Norm can be told from its
    masks.
    """
    found = {method: {named_settings.TUNED: options} for method, options in chosen(frame).items()}
    normalised = resolve("mask-norm", found.get("mask-norm", {}).get(named_settings.TUNED))
    masks = {one.name: getattr(normalised, one.name) for one in fields(Masking)}
    return {**found, "peekaboo": {**found.get("peekaboo", {}), "tuned-mask-norm": masks}}


def put(text: str, found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The text of settings.toml with these as the pocket's, which is all that stands below the `MARK`."""
    head, mark, _ = text.partition(MARK)
    if not mark:
        raise UserError(f"{named_settings.FILE}: it has no line below which the search's settings stand: {MARK}")
    tables = []
    for method, names in found.items():
        for name, options in names.items():
            lines = [f"{key} = {json.dumps(value)}" for key, value in options.items() if value is not None]
            tables.append("\n".join([f"[pocket.{method}.{name}]", *lines]))
    return head + mark + "\n\n" + "\n\n".join(tables) + "\n"


def draw(frame: pd.DataFrame, stem: Path) -> list[Path]:
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
    axes.set_title("tuning suites, pocket; rings: defaults, stars: chosen", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6, frameon=False)
    return save(figure, stem, dpi=300)


def main() -> None:
    """Runs what is missing, then writes table and figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=int, default=TRIALS, help="settings a method")
    options.add_argument("--cases", type=int, default=CASES, help="of each tuning suite")
    options.add_argument("--runs", type=Path, default=Path("results/runs"))
    options.add_argument("--out", type=Path, default=None)
    options.add_argument("--workers", type=int, default=None)
    options.add_argument("--tune", action="store_true", help="make what was chosen the pocket's `tuned` settings")
    said = options.parse_args()
    whole = (said.trials, said.cases) == (TRIALS, CASES)
    if said.tune and not whole:
        raise UserError("--tune is for the whole search: what a rehearsal chooses says nothing")
    lab, store = Lab(), Store(said.runs)

    def measure(asked: RunSpec) -> pd.DataFrame:
        runner.run(make_plan(asked, lab), store, lab, LocalEngine(said.workers or lab.default_workers()))
        return results(store, asked)

    frame = search(said.trials, said.cases, measure)
    out = said.out or Path("results/own" if whole else "results/quick")
    write_text(out / "tables" / "search.csv", frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    write_text(out / "tables" / "search.md", markdown(frame))
    draw(frame, out / "figures" / "search")
    if said.tune:
        text = named_settings.FILE.read_text(encoding="utf-8")
        write_text(named_settings.FILE, put(text, tuned(frame)))
    print(markdown(frame))


if __name__ == "__main__":
    in_one_line(main)
