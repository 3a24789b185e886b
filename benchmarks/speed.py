"""How long a step takes: every method against plain generation, in turn, in one process, one thread.

    python benchmarks/speed.py [--grid pocket|40x72|12x20 ...] [--rounds N] [--device cuda --dtype bfloat16]
                                                            -> results/tables/speed.csv, speed.md

"pocket" is the pocket lab at its own size. HEIGHTxWIDTH is a UNet of the published one's levels at that latent size,
narrow and with random weights: what masks cost there, without the hours. Per method: seconds and CPU seconds of one
sampler step with its edits on (medians), guided network evaluations in it, that step's ratio to plain's, by evaluation
as well.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import ivgbench  # noqa: F401  before torch: it says how torch's threads wait
from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.generator import Backbone, generate

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "results" / "tables"
#: Row -> method and options: masks are on in the one step that is timed.
ROWS = {
    "plain": ("plain", {}),
    "peekaboo": ("peekaboo", {}),
    "peekaboo, paper scope": ("peekaboo", {"scope": "paper"}),
    "mask-norm": ("mask-norm", {}),
    "trailblazer": ("trailblazer", {}),
    "mask-norm-id": ("id", {}),
    "mask-norm-tid": ("tid", {}),
    "mask-norm-tid, exact": ("tid", {"gradient": "exact"}),
}
PROMPT = "a red star on a grey background"


def narrow(device: str, dtype: Any) -> Backbone:
    """A UNet with the published one's kinds of blocks, 32 to 64 wide, behind the pocket lab's text encoder."""
    import torch
    from diffusers import UNet3DConditionModel

    bb = copy.copy(Backbone.from_pretrained("pocket", device, dtype))
    torch.manual_seed(0)
    bb.unet = UNet3DConditionModel(
        block_out_channels=(32, 32, 64, 64), norm_num_groups=8, attention_head_dim=16, layers_per_block=2,
        cross_attention_dim=bb.text_width,
    )  # fmt: skip
    bb.unet.to(device, dtype).eval().requires_grad_(False)
    return bb


def request(bb: Backbone, grid: tuple[int, int], frames: int) -> tuple[Case, dict[str, Any]]:
    track = boxes.interpolate({0: (0.1, 0.2, 0.5, 0.7), frames - 1: (0.45, 0.3, 0.85, 0.8)}, frames)
    mask = boxes.rasterise(track, *grid)[None]
    return Case("speed", PROMPT, (Subject("red star", track),)), {"masks": mask}


def measured(bb: Backbone, grid: tuple[int, int], frames: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each method: one step of each in turn, `rounds` times, after one that is not counted."""
    import torch

    case, given = request(bb, grid, frames)
    seconds: dict[str, list[float]] = {name: [] for name in ROWS}
    processor: dict[str, list[float]] = {name: [] for name in ROWS}
    evaluations: dict[str, float] = {}
    for turn in range(rounds + 1):
        for name, (method, options) in ROWS.items():
            before = time.perf_counter(), time.process_time()
            clip = generate(bb, case, method, options, steps=1, scheduler="ddim", output="latent", **given)
            if bb.device.type == "cuda":
                torch.cuda.synchronize(bb.device)
            if turn:
                seconds[name].append(time.perf_counter() - before[0])
                processor[name].append(time.process_time() - before[1])
            evaluations[name] = clip.nfe
    times = processor if bb.device.type == "cpu" else seconds
    ratio = {name: statistics.median(a / b for a, b in zip(times[name], times["plain"], strict=True)) for name in ROWS}
    return [
        {
            "grid": f"{frames} x {grid[0]} x {grid[1]}",
            "method": name,
            "seconds": f"{statistics.median(seconds[name]):.3f}",
            "CPU seconds": f"{statistics.median(processor[name]):.3f}",
            "evaluations": evaluations[name],
            "of plain": f"{ratio[name]:.2f}",
            "of plain, by evaluation": f"{ratio[name] / evaluations[name]:.2f}",
        }
        for name in ROWS
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", action="append", help="pocket, or HEIGHTxWIDTH of latents; repeat")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import pandas as pd
    import torch

    torch.set_num_threads(asked.threads)
    dtype, rows = getattr(torch, asked.dtype), []
    for grid in asked.grid or ["pocket", "40x72"]:
        if grid == "pocket":
            bb = Backbone.from_pretrained("pocket", asked.device, dtype)
            size = bb.latent_height, bb.latent_width
        else:
            try:
                size = tuple(int(side) for side in grid.split("x"))
                bb = narrow(asked.device, dtype)
                np.empty(size)
            except ValueError:
                parser.error(f"--grid {grid!r}: write pocket, or HEIGHTxWIDTH such as 40x72")
        rows += [{"model": "pocket" if grid == "pocket" else "narrow", **row} for row in
                 measured(bb, size, asked.frames, asked.rounds)]  # fmt: skip
    frame = pd.DataFrame(rows)
    on = torch.cuda.get_device_name() if asked.device.startswith("cuda") else f"{platform.processor() or 'CPU'}"
    head = f"{on}, {asked.threads} thread(s), {asked.dtype}, torch {torch.__version__}, medians of {asked.rounds}"
    TABLES.mkdir(parents=True, exist_ok=True)
    frame.to_csv(TABLES / "speed.csv", index=False)
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    (TABLES / "speed.md").write_text(f"{head}\n\n{body}", encoding="utf-8")
    print(frame.to_string(index=False))
    print(head)
    return 0


if __name__ == "__main__":
    sys.exit(main())
