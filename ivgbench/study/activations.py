"""Figures 2 and 3: what masks do to the activations, and what Mask Normalization does about it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ivgbench.files import write_text
from ivgbench.metrics import stats
from ivgbench.report.figures import save
from ivgbench.study.recording import BASELINE, LEVELS, MASKED, NORMALISED, OUTPUTS, Activations
from ivgbench.study.variants import Variant

#: Inches: the width of a column of a two-column page.
COLUMN = 3.3
#: Rows and outputs in print, with the paper's colours; what may lie under another line is wider.
STYLES: dict[str, tuple[str, str, float]] = {
    BASELINE: ("Baseline (no mask)", "#2a9d4b", 2.6),
    MASKED: ("Masked", "#2f6fdb", 1.2),
    NORMALISED: ("Masked + Mask Norm", "#f08c1a", 1.2),
}
#: The recorded layers in print, in the recording's order, and the tensors whose variance is recorded.
LAYER_NAMES = ("self-attention", "text attention")
TENSOR_NAMES = ("transformer's output", *LAYER_NAMES)
OUTPUT_STYLES = {
    "unmasked": ("$A_u$, no mask", "#2a9d4b", "-", 2.6),
    "masked": ("$A_m$, masked", "#2f6fdb", "-", 1.2),
    "matched": ("matched", "#f08c1a", "--", 1.2),
}


def variance_table(seen: Activations) -> pd.DataFrame:
    """A line per tensor, row and step: mean over cases of the variance and of |variance - baseline's|, 95 % ranges.

    Columns: tensor, row, settings, step (from 1), masked (whether the masks are on), variance, variance_low,
    variance_high, error, error_low, error_high, cases. Seeds of a case are averaged first.
    """
    keys = pd.MultiIndex.from_tuples([key[:3] for key in seen.cases])
    lines = []
    for row, (place, tensor) in itertools.product(STYLES, enumerate(TENSOR_NAMES)):
        variance = seen.variance[row][:, place]
        error = np.abs(variance - seen.variance[BASELINE][:, place])
        for step in range(variance.shape[1]):
            line: dict[str, Any] = {"tensor": tensor, "row": row, "settings": seen.settings.get(row, "")}
            line |= {"step": step + 1, "masked": step < seen.frozen_steps}
            for name, values in (("variance", variance), ("error", error)):
                found = stats.mean(pd.Series(values[:, step]).groupby(keys).mean().to_numpy())
                line |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high, "cases": found.n}
            lines.append(line)
    return pd.DataFrame(lines)


def distribution_table(seen: Activations) -> pd.DataFrame:
    """One line per normalised layer and level: the quantiles of the layer's three outputs, mean over clips."""
    mean = seen.quantiles.mean(0)
    parts = [
        {"layer": layer, "level": LEVELS, **dict(zip(OUTPUTS, mean[at], strict=True))}
        for at, layer in enumerate(LAYER_NAMES)
    ]
    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True).dropna(ignore_index=True)


def title(backbone: str, variant: Variant, seen: Activations) -> str:
    """What a figure is of."""
    return f"{backbone}{f' ({variant})' if variant else ''}, mean of {len(seen.cases)} clips"


def figure2(seen: Activations, out: str | Path, title: str) -> list[Path]:
    """Writes figure2.png, .svg and the drawn numbers as .csv: variance per step of the three rows, as it is, in units
    of the baseline's mean, and its error; a column for each recorded tensor of the block."""
    table = variance_table(seen)
    figure = _figure(4.8, len(TENSOR_NAMES))
    panels = ("variance", "relative to baseline", "error")
    for (place, label), (column, tensor) in itertools.product(enumerate(panels), enumerate(TENSOR_NAMES)):
        here = table[table["tensor"] == tensor]
        baseline = here[here["row"] == BASELINE]["variance"].to_numpy()
        name, unit = ("error", 1) if label == "error" else ("variance", baseline if place == 1 else 1)
        axes = figure.add_subplot(3, len(TENSOR_NAMES), place * len(TENSOR_NAMES) + column + 1)
        axes.axvspan(0.5, seen.frozen_steps + 0.5, color="#e9e9ee", lw=0)
        for row, (text, colour, width) in STYLES.items():
            mine = here[here["row"] == row]
            middle, low, high = (mine[f"{name}{end}"].to_numpy() / unit for end in ("", "_low", "_high"))
            axes.plot(mine["step"], middle, color=colour, lw=width, label=text)
            if row != BASELINE or place == 0:
                axes.fill_between(mine["step"], low, high, color=colour, alpha=0.2, lw=0)
        axes.set_xlim(0.5, table["step"].max() + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if column == 0:
            axes.set_ylabel(f"({'abc'[place]}) {label}", fontsize=8)
        if place == 0:
            axes.set_title(tensor, fontsize=8)
            if column == 0:
                axes.legend(fontsize=7, frameon=False)
        if place == len(panels) - 1:
            axes.set_xlabel("denoising step", fontsize=8)
    figure.suptitle(f"{title}; {seen.layer}; grey: masks on", fontsize=7)
    return _written(figure, table, Path(out) / "figure2")


def figure3(seen: Activations, out: str | Path, title: str) -> list[Path]:
    """Writes figure3.png, .svg and .csv: the distributions of the normalised layers' outputs at the last step
    with masks, and below each how far they are from the unmasked one."""
    table = distribution_table(seen)
    layers = table["layer"].unique()
    figure = _figure(0.5 + 2.6 * len(layers))
    panels = figure.subplots(2 * len(layers), 1, squeeze=False, height_ratios=[1.6, 1] * len(layers))[:, 0]
    for place, layer in enumerate(layers):
        mine = table[table["layer"] == layer]
        above, axes = panels[2 * place : 2 * place + 2]
        for name, (text, colour, dashes, width) in OUTPUT_STYLES.items():
            above.plot(mine[name], mine["level"], color=colour, ls=dashes, lw=width, label=text)
            axes.plot(mine["unmasked"], _shift(mine, name), color=colour, ls=dashes, lw=width)
        # The outermost values of millions would leave the rest a vertical line.
        inner = mine[(mine["level"] > 0.004) & (mine["level"] < 0.996)][list(OUTPUTS)]
        for one in (above, axes):
            one.set_xlim(inner.min().min(), inner.max().max())
        above.set_ylim(0, 1)
        above.set_ylabel(f"({'ac'[place]}) share below", fontsize=8)
        axes.set_ylabel(f"({'bd'[place]}) minus $A_u$'s, %", fontsize=8)
        above.set_title(f"{title}; {seen.layer}; {layer}" if place == 0 else layer, fontsize=7, wrap=True)
        if place == 0:
            above.legend(fontsize=7, frameon=False)
    axes.set_xlabel("attention output before the projection", fontsize=8)
    return _written(figure, table, Path(out) / "figure3")


def _shift(layer: pd.DataFrame, output: str) -> np.ndarray:
    """At the quantiles of the unmasked output: the share of an output's values below, minus the unmasked's, percent."""
    return 100 * (np.interp(layer["unmasked"], layer[output], layer["level"]) - layer["level"].to_numpy())


def _figure(height: float, columns: int = 1) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(COLUMN * columns, height), layout="constrained")


def _written(figure: Any, table: pd.DataFrame, stem: Path) -> list[Path]:
    for axes in figure.axes:
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    numbers = stem.with_suffix(".csv")
    write_text(numbers, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return [*save(figure, stem, dpi=300), numbers]
