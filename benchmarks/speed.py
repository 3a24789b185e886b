"""How long a step takes: every method against plain generation, in turn, in one process.

    python benchmarks/speed.py [--grid pocket|pocket-dit|40x72|wan-480p|zeroscope|modelscope|wan-1.3b ...] [--rounds N]
                               [--device cuda --dtype bfloat16] [--batch N] [--compile]
                                                            -> results/tables/speed.csv, speed.md

"pocket" and "pocket-dit" are the pocket lab's at their own size. HEIGHTxWIDTH is a UNet of the published one's levels
at that latent size, and "wan-480p" a Wan on the published one's 32,760 tokens, both narrow and with random weights:
what masks cost there, without the hours. Published names are the architectures at true size, random weights, for a
GPU. Methods have their own defaults, nothing tuned. Per method: seconds (on a GPU between its own events) and CPU
seconds of one sampler step with its edits on, guided network evaluations in it, most bytes beside the weights, and
the ratios of time and memory to plain's in the same turn; medians. At true size also the share of the GPU's published
bf16 rate.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ivgbench  # noqa: F401  before torch: it says how torch's threads wait
from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator.sampling import DTYPES, Sampling
from ivgbench.generator.settings import DEFAULTS
from ivgbench.registry import METHODS

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "results" / "tables"
#: Row -> method and options: masks are on in the one step that is timed. Methods that are not named have one row.
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("plain", {}),
    "peekaboo": ("peekaboo", {}),
    "peekaboo, paper scope": ("peekaboo", {"scope": "paper"}),
    "mask-norm": ("mask-norm", {}),
    "trailblazer": ("trailblazer", {}),
    "mask-norm-id": ("mask-norm-id", {}),
    "mask-norm-tid": ("mask-norm-tid", {}),
    "mask-norm-tid, exact": ("mask-norm-tid", {"gradient": "exact"}),
}
PROMPT, PHRASE = "a red star on a grey background", "red star"


def rows_of() -> dict[str, tuple[str, dict[str, Any]]]:
    """The rows, and one more of each method that has none."""
    named = {method for method, _ in ROWS.values()}
    return ROWS | {name: (name, {}) for name in METHODS.builtin() if name not in named}


class Clock:
    """Seconds and most bytes of a piece of work on the CPU; bytes are counted in a run of their own."""

    def __init__(self, denoiser: Any):
        self.denoiser = denoiser

    def seconds(self, work: Callable[[], Any]) -> tuple[float, float, Any]:
        """(seconds, CPU seconds, what the work gave)."""
        before = time.perf_counter(), time.process_time()
        made = work()
        return time.perf_counter() - before[0], time.process_time() - before[1], made

    def bytes(self, work: Callable[[], Any]) -> int:
        from ivgbench.generator.metering import Meter

        with Meter(self.denoiser) as meter:
            work()
        return meter.peak


class CudaClock(Clock):
    """The same on a GPU, between two events of its stream; bytes as torch's allocator counts them."""

    def __init__(self, denoiser: Any, device: Any):
        super().__init__(denoiser)
        self.device = device

    def seconds(self, work: Callable[[], Any]) -> tuple[float, float, Any]:
        import torch

        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before = time.process_time()
        start.record()
        made = work()
        end.record()
        torch.cuda.synchronize(self.device)
        return start.elapsed_time(end) / 1000, time.process_time() - before, made

    def bytes(self, work: Callable[[], Any]) -> int:
        import torch

        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        held = torch.cuda.memory_allocated(self.device)
        work()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - held


def work_of(model: Any, method: str, options: dict[str, Any], batch: int) -> Callable[[], Any]:
    """A function that makes one sampler step of a method, `batch` clips at once."""
    from ivgbench.generator import generate_batch

    bb, (frames, *grid) = model.backbone, model.shape
    track = boxes.interpolate({0: (0.1, 0.2, 0.5, 0.7), frames - 1: (0.45, 0.3, 0.85, 0.8)}, frames)
    case, mask = Case("speed", PROMPT, (Subject(PHRASE, track),)), boxes.rasterise(track, *grid)[None]
    return lambda: generate_batch(
        bb, [case] * batch, method, options, steps=1, seeds=list(range(batch)), scheduler="flow" if bb.flow else "ddim",
        masks=[mask] * batch, output="latent", settings=DEFAULTS,
    )[0]  # fmt: skip


def measured(model: Any, clock: Clock, rounds: int, batch: int = 1, rate: float | None = None) -> list[dict[str, Any]]:
    """A row for each method: one step of each in turn, `rounds` times, after one that is not counted.

    rate: operations per second of the device, where their share is wanted.
    """
    works = {name: work_of(model, *one, batch) for name, one in rows_of().items()}
    memory: dict[str, int] = {}
    refused: dict[str, str] = {}
    for name, work in works.items():
        try:
            work()
            memory[name] = clock.bytes(work)
        except (UserError, RuntimeError, NotImplementedError) as fault:
            if name == "plain":
                raise
            refused[name] = " ".join(str(fault).split())[:200]  # no meaning here, or too little memory
    turns: dict[str, list[tuple[float, float, Any]]] = {name: [] for name in memory}
    for _ in range(rounds):
        for name in memory:
            turns[name].append(clock.seconds(works[name]))
    column = 0 if isinstance(clock, CudaClock) else 1  # a busy machine does not change CPU seconds
    plain = [turn[column] for turn in turns["plain"]]
    found = []
    for name in works:
        row = {"model": model.name, "latents": " x ".join(map(str, model.shape)), "method": name}
        if name in refused:
            found.append({**row, "note": refused[name]})
            continue
        nfe = turns[name][0][2].nfe
        seconds, processor = (statistics.median(turn[which] for turn in turns[name]) for which in (0, 1))
        ratio = statistics.median(turn[column] / one for turn, one in zip(turns[name], plain, strict=True))
        share = operations(model, *rows_of()[name]) * batch / seconds / rate if rate and model.architecture else None
        found.append({
            **row, "seconds": f"{seconds:.3f}", "CPU seconds": f"{processor:.3f}", "evaluations": nfe,
            "of plain": f"{ratio:.2f}", "of plain, by evaluation": f"{ratio / nfe:.2f}",
            "peak MB": f"{memory[name] / 1e6:.1f}", "memory, of plain": f"{memory[name] / memory['plain']:.2f}",
            "of the bf16 rate": "" if share is None else f"{share:.1%}", "note": "",
        })  # fmt: skip
    return found


def operations(model: Any, method: str, options: dict[str, Any]) -> int:
    """Of one sampler step, by the plan's count."""
    import torch

    from ivgbench.generator.cost import Costs
    from ivgbench.generator.methods.options import resolve

    frames = (model.shape[0] - 1) * model.preset.time_factor + 1
    case = Case("speed", PROMPT, (Subject(PHRASE, boxes.interpolate({0: (0.1, 0.2, 0.5, 0.7)}, frames)),))
    cost = Costs(model.architecture, model.preset, torch.bfloat16).of(resolve(method, options), case, Sampling(1, 5.0))
    return cost.flops - cost.decoding


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", action="append", help="what is timed, see above; repeat (default: pocket and 40x72)")
    parser.add_argument("--frames", type=int, default=8, help="of pocket and HEIGHTxWIDTH (default: 8)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1, help="clips at once")
    parser.add_argument("--compile", action="store_true", help="the denoiser through torch.compile")
    parser.add_argument("--out", type=Path, default=TABLES, help="the tables' folder")
    asked = parser.parse_args(arguments)
    if min(asked.frames, asked.rounds, asked.threads, asked.batch) < 1:
        parser.error("--frames, --rounds, --threads and --batch must be at least 1")
    import pandas as pd
    import torch

    from ivgbench.runs import devices
    from ivgbench.verify.costs import device_facts

    sys.path.insert(0, str(Path(__file__).parent))
    from speed_models import model

    torch.set_num_threads(asked.threads)
    rows: list[dict[str, Any]] = []
    try:
        device = devices.chosen(asked.device)
        name, gpu = device_facts(device)
        for grid in asked.grid or ["pocket", "40x72"]:
            one = model(grid, device, getattr(torch, asked.dtype), asked.frames)
            if asked.compile:
                one.backbone.denoiser.compile()
            on_gpu = device.startswith("cuda")
            clock = CudaClock(one.backbone.denoiser, device) if on_gpu else Clock(one.backbone.denoiser)
            rows += measured(one, clock, asked.rounds, asked.batch, gpu and gpu.half * 1e12)
    except UserError as fault:
        parser.error(str(fault))
    frame = pd.DataFrame(rows).fillna("")
    on = name if device != "cpu" else platform.processor() or "CPU"
    head = f"{on}, {asked.threads} thread(s), {asked.dtype}, batch {asked.batch}{', compiled' * asked.compile}, "
    head += f"torch {torch.__version__}, medians of {asked.rounds}"
    asked.out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(asked.out / "speed.csv", index=False)
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    (asked.out / "speed.md").write_text(f"{head}\n\n{body}", encoding="utf-8")
    print(frame.to_string(index=False))
    print(head)
    return 0


if __name__ == "__main__":
    sys.exit(main())
