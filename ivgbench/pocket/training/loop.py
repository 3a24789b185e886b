"""One resumable training loop for every model of the pocket lab.

The batch of step i is a pure function of (seed, i) and a checkpoint holds everything else, so a run that was killed
and resumed sees the same data in the same order as one that was not.
"""

from __future__ import annotations

import contextlib
import csv
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ivgbench.files import write_atomic
from ivgbench.generator.allocator import keep_freed_memory
from ivgbench.pocket.training.muon import Muon


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: AdamW with linear warm-up and a cosine fall to a twentieth of `learning_rate`.

    matrix_rate: when given, Muon trains the inner weight matrices at this rate, and AdamW the rest.
    """

    steps: int
    learning_rate: float
    matrix_rate: float | None = None
    warmup: int = 100
    weight_decay: float = 0.01
    ema: float = 0.998
    clip: float = 1.0

    def factor(self, step: int) -> float:
        """What the rates are multiplied by at a step."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(done * math.pi))

    def optimisers(self, module: torch.nn.Module) -> list[torch.optim.Optimizer]:
        matrices: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, weight in module.named_parameters():
            # Embeddings, and the maps from and to latents, are tables rather than maps between features.
            table = any(part in name for part in ("embedding", "conv_in", "conv_out"))
            inner = self.matrix_rate is not None and weight.ndim >= 2 and not table
            (matrices if inner else rest).append(weight)
        made: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=self.learning_rate, betas=(0.9, 0.99), weight_decay=self.weight_decay)
        ]
        if matrices and self.matrix_rate is not None:
            made.append(Muon(matrices, lr=self.matrix_rate, weight_decay=self.weight_decay))
        return made


class EMA:
    """Exponential moving average of a module's parameters; buffers are copied."""

    def __init__(self, module: torch.nn.Module, decay: float):
        self.decay = decay
        self.shadow = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))  # young averages forget faster
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.shadow[name].lerp_(value, 1 - decay)
            else:
                self.shadow[name].copy_(value)


def half_precision(device: str) -> contextlib.AbstractContextManager:
    """bfloat16 where the device multiplies it in hardware: a CPU without AVX-512 emulates it, ten times slower."""
    native = device != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(device, torch.bfloat16, enabled=native)


def save_checkpoint(path: Path, payload: dict) -> None:
    write_atomic(path, lambda handle: torch.save(payload, handle))


def forget_after(step: int, log: Path) -> None:
    """Drops the rows of a log that a killed run wrote after its last checkpoint: those steps are taken again."""
    if not log.exists():
        return
    header, *rows = [line for line in log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")] or [b""]
    kept = [row for row in rows if int(row.partition(b",")[0]) <= step]
    if header:
        write_atomic(log, lambda handle: handle.writelines([header, *kept]))
    else:  # killed in its very first line
        log.unlink()


def fit(
    name: str,
    module: torch.nn.Module,
    loss_of: Callable[[int], torch.Tensor],
    schedule: Schedule,
    work: Path,
    save_every_s: float = 120.0,
    log_every: int = 20,
    start_from: dict | None = None,
) -> dict:
    """Trains `module` in place and returns its averaged state dict.

    Args:
        loss_of: step -> scalar loss; draws its own batch from the step number.
        work: holds `NAME.pt` (checkpoint) and `NAME.csv` (step, mean loss since the row before, learning rate,
            seconds); both survive a kill, and then end as if there had been none, but for the seconds.
        start_from: state dict to begin with when there is no checkpoint yet (a later phase of the same model).
    """
    keep_freed_memory()
    work.mkdir(parents=True, exist_ok=True)
    checkpoint, log = work / f"{name}.pt", work / f"{name}.csv"
    if start_from is not None:
        module.load_state_dict(start_from)
    optimisers = schedule.optimisers(module)
    rates = [optimiser.param_groups[0]["lr"] for optimiser in optimisers]
    ema, first, spent = EMA(module, schedule.ema), 0, 0.0
    running: list[float] = []
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        module.load_state_dict(saved["module"])
        for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        ema.shadow, first, spent = saved["ema"], saved["step"], saved["seconds"]
        device = next(module.parameters()).device
        ema.shadow = {key: value.to(device) for key, value in ema.shadow.items()}
        running = saved.get("running", [])  # checkpoints of before have none
        print(f"{name}: resumed at step {first} of {schedule.steps}", flush=True)

    forget_after(first, log)

    def save(step: int) -> None:
        save_checkpoint(
            checkpoint,
            {
                "module": module.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in optimisers],
                "ema": ema.shadow,
                "step": step,
                "running": running,
                "seconds": spent + time.monotonic() - begun,
            },
        )

    begun = saved_at = time.monotonic()
    for step in range(first, schedule.steps):
        for optimiser, rate in zip(optimisers, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * schedule.factor(step)
        module.zero_grad(set_to_none=True)
        loss = loss_of(step)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"{name}: loss is {loss.item()} at step {step}; the last checkpoint is {checkpoint}"
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), schedule.clip)
        for optimiser in optimisers:
            optimiser.step()
        ema.update(module, step)
        running.append(loss.item())
        if (step + 1) % log_every == 0 or step + 1 == schedule.steps:
            seconds = spent + time.monotonic() - begun
            row = [
                step + 1,
                f"{sum(running) / len(running):.5f}",
                f"{schedule.learning_rate * schedule.factor(step):.2e}",
                f"{seconds:.0f}",
            ]
            new = not log.exists()
            with log.open("a", newline="") as handle:
                writer = csv.writer(handle)
                if new:
                    writer.writerow(["step", "loss", "learning_rate", "seconds"])
                writer.writerow(row)
            print(f"{name}: step {row[0]}/{schedule.steps} loss {row[1]} {row[3]} s", flush=True)
            running = []
        if time.monotonic() - saved_at > save_every_s:
            save(step + 1)
            saved_at = time.monotonic()
    if first < schedule.steps:
        save(schedule.steps)
    return ema.shadow


def default_work_dir() -> Path:
    return Path(os.environ.get("IVGBENCH_TRAINING", "results/pocket-training"))
