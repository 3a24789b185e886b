"""The scripts of benchmarks/ that make tables, on made-up runs; and their specs."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ivgbench.generator.methods.base import resolve
from ivgbench.runs.spec import load_spec

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_ablation_table(stored):
    store, rows, _, _ = stored
    ablations = script("ablations")
    frame = ablations.ablations(store.root, "table1", base="Plain")
    mine = [r["value"] for r in rows if (r["metric"], r["split"], r["label"]) == ("miou", "dynamic", "mask-norm")]
    theirs = [r["value"] for r in rows if (r["metric"], r["split"], r["label"]) == ("miou", "dynamic", "plain")]
    line = frame[(frame["split"] == "dynamic") & (frame["setting"] == "Mask Norm")].iloc[0]
    assert line["miou_all"] == pytest.approx(100 * np.mean(mine))
    assert line["difference"] == pytest.approx(100 * (np.mean(mine) - np.mean(theirs)))
    assert (frame[frame["setting"] == "Plain"]["difference"] == 0).all()
    assert "| Mask Norm |" in ablations.markdown(frame)


def test_every_setting_of_the_ablation_is_another():
    spec = load_spec(BENCHMARKS / "ablations.toml")
    configs = [resolve(one.method, one.options) for one in spec.methods]
    assert len(set(configs)) == len(configs)
    assert script("ablations").BASE in {one.label for one in spec.methods}
