"""What a plan will take on a named GPU: an estimate from counted operations and bytes, not a measurement."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ivgbench.errors import UserError
from ivgbench.plugins import PluginFault
from ivgbench.runs.identity import GROUND_TRUTH, Job
from ivgbench.runs.planning import Plan

if TYPE_CHECKING:
    from ivgbench.generator.cost import Cost

#: Assumed share of a GPU's published peak that a whole denoising step reaches. Not measured here.
UTILISATION = 0.35


class Gpu(NamedTuple):
    """Published figures of one GPU.

    memory: GB. half: dense TFLOP/s of the tensor cores in float16 with float32 sums; single: TFLOP/s in float32
    outside of them; bfloat16: whether the tensor cores take it (else it is as slow as float32).
    """

    name: str
    memory: float
    half: float
    single: float
    bfloat16: bool = True


GPUS = {
    "t4": Gpu("NVIDIA T4", 16, 65, 8.1, bfloat16=False),
    "v100": Gpu("NVIDIA V100 SXM2 32GB", 32, 125, 15.7, bfloat16=False),
    "rtx3090": Gpu("NVIDIA RTX 3090", 24, 71, 35.6),
    "rtx4090": Gpu("NVIDIA RTX 4090", 24, 165.2, 82.6),
    "a6000": Gpu("NVIDIA RTX A6000", 48, 154.8, 38.7),
    "l4": Gpu("NVIDIA L4", 24, 121, 30.3),
    "l40s": Gpu("NVIDIA L40S", 48, 362, 91.6),
    "a100-40gb": Gpu("NVIDIA A100 40GB", 40, 312, 19.5),
    "a100-80gb": Gpu("NVIDIA A100 80GB", 80, 312, 19.5),
    "h100": Gpu("NVIDIA H100 SXM", 80, 989, 67),
    "h200": Gpu("NVIDIA H200", 141, 989, 67),
}


def gpu(name: str) -> Gpu:
    """A GPU of the table; UserError with all names for another."""
    if name.lower() not in GPUS:
        raise UserError(f"unknown GPU {name!r}; known: {', '.join(GPUS)}")
    return GPUS[name.lower()]


def rate(one: Gpu, dtype: str) -> float:
    """Operations per second that are assumed: the share of the peak in this precision."""
    fast = dtype == "float16" or (dtype == "bfloat16" and one.bfloat16)
    return UTILISATION * 1e12 * (one.half if fast else one.single)


class Row(NamedTuple):
    """A method's part of a plan. evaluations, backward: of all its jobs; hours: of those still to do (0 without a GPU).

    peak, offloaded: most bytes on the device in any of its jobs, without and with --offload.
    uncounted: why the jobs of a plug-in cannot be counted; all that is counted of them is then 0.
    """

    label: str
    jobs: int
    done: int
    evaluations: int | float
    backward: int
    hours: float
    peak: int
    offloaded: int
    uncounted: str = ""


def labels(plan: Plan) -> list[str]:
    """Of the rows that a plan is counted in."""
    return list(dict.fromkeys(entry.label for entry in plan.entries))


def rows(
    plan: Plan,
    done: set[str],
    cost_of: Callable[[Job], Cost],
    device: Gpu | None,
    advance: Callable[[], None] = lambda: None,
) -> list[Row]:
    """A row per method, in the plan's order. Jobs of equal length and number of subjects cost the same.

    advance: called after each row.
    """
    found: list[Row] = []
    counted: set[str] = set()
    for label in labels(plan):
        # A clip that several rows show is made, and counted, once.
        shown = {entry.job.id: entry.job for entry in plan.entries if entry.label == label}
        mine = [job for job in shown.values() if job.id not in counted]
        counted |= {job.id for job in mine}
        costs: dict[tuple[int | None, int], Cost] = {}
        row = Row(label, len(mine), sum(job.id in done for job in mine), 0, 0, 0.0, 0, 0)
        for job in mine:
            if job.method == GROUND_TRUTH:
                continue
            kind = (job.case.frames, len(job.case.subjects))
            try:
                cost = costs[kind] if kind in costs else costs.setdefault(kind, cost_of(job))
            except PluginFault as fault:
                row = Row(label, row.jobs, row.done, 0, 0, 0.0, 0, 0, str(fault))
                break
            row = row._replace(
                evaluations=row.evaluations + cost.evaluations,
                backward=row.backward + cost.backward,
                hours=row.hours
                + (cost.flops / rate(device, job.sampling.dtype) / 3600 if device and job.id not in done else 0),
                peak=max(row.peak, cost.peak),
                offloaded=max(row.offloaded, cost.peak_offloaded),
            )
        found.append(row)
        advance()
    return found


def remarks(every: list[Row]) -> list[str]:
    """What stands beside each row and the total: why one is not estimated; all empty where every row is."""
    unknown = [row.label for row in every if row.uncounted]
    beside = [f"cannot be estimated: {row.uncounted}" if row.uncounted else "" for row in every]
    return [*beside, f"leaves out {', '.join(unknown)}" if unknown else ""]


def total(every: list[Row]) -> Row:
    """The sum of all rows; of memory the largest."""
    return Row(
        "total",
        sum(row.jobs for row in every),
        sum(row.done for row in every),
        sum(row.evaluations for row in every),
        sum(row.backward for row in every),
        sum(row.hours for row in every),
        max(row.peak for row in every),
        max(row.offloaded for row in every),
    )


def counts(row: Row) -> list[str]:
    """Jobs, done, evaluations and backward passes as text."""
    # Of the conditional half alone there are halves.
    evaluations = f"{row.evaluations:.1f}".removesuffix(".0")
    return [str(row.jobs), str(row.done), *(["?", "?"] if row.uncounted else [evaluations, str(row.backward)])]


def spelled(row: Row, device: Gpu) -> list[str]:
    """Hours, and GB without and with --offload, as text; "!" marks what does not fit."""
    if row.uncounted:
        return ["?", "?", "?"]
    sizes = [size / 1e9 for size in (row.peak, row.offloaded)]
    fits = [f"{size:.1f}{'' if size < device.memory else ' !'}" for size in sizes]
    return [f"{row.hours:.2f}", *fits]


def caveat(device: Gpu, dtypes: set[str]) -> str:
    """One paragraph: what of an estimate is counted, published, or assumed."""
    speeds = " and ".join(f"{rate(device, one) / UTILISATION / 1e12:g} TFLOP/s in {one}" for one in sorted(dtypes))
    return (
        f"An estimate for one {device.name}, generation only (no detector, no features). Counted: matrix products, "
        f"convolutions and living tensors of the full-size model, on the meta device. Published: {speeds}, "
        f"{device.memory:g} GB. Assumed: {UTILISATION:.0%} of that speed is reached, and no memory for work space of "
        "kernels, fragmentation or the driver; leave 2 to 4 GB for them. ! means it does not fit."
    )
