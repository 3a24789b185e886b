"""FID and KID beside the libraries they must agree with: values, and FID's time and peak memory, on the same features.

    python benchmarks/fid_kid.py [--rows 5000] [--dimension 2048] [--repeats 3]     -> results/tables/fid_kid.{csv,md}

Each library gets a fresh process per repeat, taking turns, so that peaks of memory are its own and a busy machine slows
all alike. Time is that of FID from features that are in memory; ratios are of medians. KID is computed on the first
rows with one subset of all of them, where no random choice is left.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ivgbench  # noqa: F401  before torch: it says how torch's threads wait

TABLES = Path(__file__).resolve().parents[1] / "results" / "tables"


def made_up(rows: int, dimension: int, seed: int) -> np.ndarray:
    """Features as an encoder has them: correlated, not negative, a falling spectrum."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((dimension, dimension)) / np.sqrt(dimension)
    spread = (1.0 + np.arange(dimension)) ** -0.7
    return np.maximum((rng.standard_normal((rows, dimension)) * spread) @ mix + 0.1, 0).astype(np.float32)


def ivgbench_fid(x: np.ndarray, y: np.ndarray) -> float:
    from ivgbench.metrics import fid

    return fid(x, y)


def ivgbench_kid(x: np.ndarray, y: np.ndarray) -> float:
    from ivgbench.metrics import kid

    return kid(x, y, subsets=1, subset_size=len(x))[0]


def torch_fidelity(x: np.ndarray, y: np.ndarray) -> float:
    import torch
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    one, two = (fid_features_to_statistics(torch.from_numpy(features)) for features in (x, y))
    return fid_statistics_to_metric(one, two, verbose=False)[KEY_METRIC_FID]


def torch_fidelity_kid(x: np.ndarray, y: np.ndarray) -> float:
    import torch
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    both = (torch.from_numpy(features).double() for features in (x, y))
    return kid_features_to_metric(*both, kid_subsets=1, kid_subset_size=len(x), verbose=False)[KEY_METRIC_KID_MEAN]


def torchmetrics(x: np.ndarray, y: np.ndarray) -> float:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    made = FrechetInceptionDistance(feature=_given(x), normalize=True).set_dtype(torch.float64)
    return _updated(made, x, y).item()


def torchmetrics_kid(x: np.ndarray, y: np.ndarray) -> float:
    from torchmetrics.image.kid import KernelInceptionDistance

    made = KernelInceptionDistance(feature=_given(x), subsets=1, subset_size=len(x), normalize=True)
    return _updated(made, x.astype(float), y.astype(float))[0].item()


def _given(x: np.ndarray) -> Any:
    """torchmetrics' feature extractor for features that are there already."""
    import torch

    class Given(torch.nn.Module):
        num_features = x.shape[1]

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features

    return Given()


def _updated(metric: Any, x: np.ndarray, y: np.ndarray) -> Any:
    import torch

    metric.update(torch.from_numpy(x), real=True)
    metric.update(torch.from_numpy(y), real=False)
    return metric.compute()


#: Library -> its FID and its KID.
LIBRARIES = {
    "ivgbench": (ivgbench_fid, ivgbench_kid),
    "torch-fidelity": (torch_fidelity, torch_fidelity_kid),
    "torchmetrics": (torchmetrics, torchmetrics_kid),
}
KID_ROWS = 1000


def once(library: str, rows: int, dimension: int) -> None:
    """Prints the "seconds", "mb" and value of "fid", and "kid"; `mb` is what the peak grew by over the features."""
    fid, kid = LIBRARIES[library]
    x, y = made_up(rows, dimension, 1), made_up(rows, dimension, 2)
    small = made_up(8, 4, 1), made_up(8, 4, 2)
    fid(*small)  # imports are not what is measured
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    value = fid(x, y)
    seconds = time.perf_counter() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    found = {"seconds": seconds, "mb": grown, "fid": float(value), "kid": kid(x[:KID_ROWS], y[:KID_ROWS])}
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--once", choices=list(LIBRARIES), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        once(asked.once, asked.rows, asked.dimension)
        return
    size = ["--rows", str(asked.rows), "--dimension", str(asked.dimension)]
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in LIBRARIES}
    for _ in range(asked.repeats):
        for name in LIBRARIES:
            command = [sys.executable, __file__, "--once", name, *size]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            measured[name].append(json.loads(answer.stdout.splitlines()[-1]))
    own = pd.DataFrame(measured["ivgbench"]).median()
    rows = []
    for name, runs in measured.items():
        middle = pd.DataFrame(runs).median()
        rows.append(
            {
                "library": name,
                "seconds": f"{middle['seconds']:.2f}",
                "of its time we take": f"{own['seconds'] / middle['seconds']:.3f}",
                "peak MB over the features": f"{middle['mb']:.0f}",
                "FID": f"{middle['fid']:.10g}",
                "relative difference": f"{abs(middle['fid'] / own['fid'] - 1):.1e}",
                "KID": f"{middle['kid']:.10g}",
                "difference": f"{abs(middle['kid'] - own['kid']):.1e}",
            }
        )
    frame = pd.DataFrame(rows)
    TABLES.mkdir(parents=True, exist_ok=True)
    frame.to_csv(TABLES / "fid_kid.csv", index=False)
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.values.tolist()]
    about = f"{asked.rows} x {asked.dimension} features a side, medians of {asked.repeats}, {platform.machine()}"
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    (TABLES / "fid_kid.md").write_text(
        f"FID on {about}; KID on the first {min(KID_ROWS, asked.rows)}.\n\n{table}", encoding="utf-8"
    )
    print(frame.to_string(index=False))


if __name__ == "__main__":
    main()
