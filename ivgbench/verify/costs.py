"""What clips took, beside what `plan` says of them."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from ivgbench.generator.cost import Cost
from ivgbench.runs.estimates import GPUS, Gpu, rate
from ivgbench.verify.files import NOT_RUN, Check, check

#: The plan assumes a share of a GPU's speed: a clip may take so many times as long, or be so many times as fast.
SLOWER = 3.0
#: Bytes that a real GPU adds to those that are counted: a share of them, and work space of kernels.
MORE_MEMORY, WORK_SPACE = 1.15, 2e9


class Measured(NamedTuple):
    """A method's clip. seconds: of it all, text and frames too; evaluations: guided ones; layers: that were edited;
    peak: most bytes on the GPU, None on a CPU; planned: what `plan` says of it."""

    method: str
    seconds: float
    evaluations: int | float
    layers: int
    peak: int | None
    planned: Cost

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.planned.flops / self.seconds


def known_gpu(name: str, memory: float) -> Gpu | None:
    """The GPU of `plan`'s table that torch calls so. memory: its bytes."""
    fits = [
        gpu
        for key, gpu in GPUS.items()
        if re.search(rf"\b{key.partition('-')[0].removeprefix('rtx')}\b", name, re.IGNORECASE)
    ]
    return min(fits, key=lambda gpu: abs(gpu.memory - memory / 1e9), default=None)


def device_facts(device: str) -> tuple[str, Gpu | None]:
    """What torch calls a device, and the GPU that `plan` knows of it."""
    import torch

    if not device.startswith("cuda"):
        return device, None
    about = torch.cuda.get_device_properties(device)
    return about.name, known_gpu(about.name, about.total_memory)


def against_plan(rows: Sequence[Measured], name: str, gpu: Gpu | None, dtype: str, offload: bool) -> list[Check]:
    """The verdicts on time and memory.

    Args:
        name: of the device, "cpu" for none. gpu: as `plan` knows it.
    """
    if not rows:
        return [Check(what, NOT_RUN, "there is no clip") for what in ("time", "memory")]
    return [_time(rows, name, gpu, dtype), _memory(rows, offload)]


def _time(rows: Sequence[Measured], name: str, gpu: Gpu | None, dtype: str) -> Check:
    # The first clip warms up: kernels are chosen, and loaded.
    later = rows[1:] or rows
    speed = statistics.median(row.rate for row in later)
    told = f"{speed / 1e12:.2g} TFLOP/s on {name}"
    if gpu is None:
        return Check("time", NOT_RUN, f"plan knows no speed of {name}; measured: {told}")
    ratio = rate(gpu, dtype) / speed
    told += f", {ratio:.2g} times the time that plan says for one {gpu.name} in {dtype}"
    return check("time", [] if 1 / SLOWER <= ratio <= SLOWER else [told], told)


def _memory(rows: Sequence[Measured], offload: bool) -> Check:
    plans = [row.planned.peak_offloaded if offload else row.planned.peak for row in rows]
    seen = [(row.peak, plan, row.method) for row, plan in zip(rows, plans, strict=True) if row.peak is not None]
    if len(seen) < len(rows):
        planned = max(plans)
        return Check("memory", NOT_RUN, f"torch counts no memory on a CPU; plan says {planned / 1e9:.1f} GB")
    faults = [
        f"{method}: {peak / 1e9:.1f} GB, plan says {planned / 1e9:.1f}"
        for peak, planned, method in seen
        if peak > MORE_MEMORY * planned + WORK_SPACE
    ]
    peak, planned, method = max(seen)
    return check("memory", faults, f"at most {peak / 1e9:.1f} GB ({method}), plan says {planned / 1e9:.1f}")


def cells(row: Measured) -> list[Any]:
    """A row of the report's table."""
    peak = "–" if row.peak is None else f"{row.peak / 1e9:.2f}"
    return [
        row.method, row.evaluations, f"{row.seconds:.2f}", f"{row.seconds / row.evaluations:.2f}",
        f"{row.planned.flops / 1e12:.3g}", f"{row.rate / 1e12:.3g}", peak, f"{row.planned.peak / 1e9:.2f}", row.layers,
    ]  # fmt: skip


HEADER = ("Method", "NFE", "Seconds", "Seconds / NFE", "TFLOP (plan)", "TFLOP/s", "GB", "GB (plan)", "Edited layers")
