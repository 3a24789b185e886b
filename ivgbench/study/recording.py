"""Activations recorded while clips are made: what Figures 2 and 3, and the claims about variance, stand on.

A recording is cached beside the other model outputs, by the job's id. It comes from the clip's own generation: the
clip is stored as well, and a run over the same jobs does not make it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ivgbench.errors import UserError
from ivgbench.runs import generating
from ivgbench.runs.environment import environment
from ivgbench.runs.identity import Entry, Job
from ivgbench.runs.lab import Lab, Made
from ivgbench.runs.planning import Plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store
from ivgbench.study import variants
from ivgbench.study.variants import Variant

#: Where recordings are cached, with the block; the number is raised when they mean something else.
KIND = "activations-2"
#: The rows that are compared; Mask Normalization is the only difference between the second and the third.
BASELINE, MASKED, NORMALISED = "plain", "masks-alone", "mask-norm"
ROWS = (
    MethodSpec(BASELINE),
    MethodSpec("peekaboo", {"scope": "paper"}, MASKED, "paper"),
    MethodSpec(NORMALISED, settings="paper"),
)
#: What is recorded where nothing else is asked for.
DEFAULT = RunSpec("activations", ROWS, cases=8)
LABELS = frozenset(row.label or row.method for row in ROWS)
#: Options that rows with masks must share.
MASKS = ("scope", "without", "bind", "frozen_steps", "mask")
#: What a recording has the variance of, and the layers and their outputs whose quantiles it keeps at these levels, as
#: `Recorder` names them.
TENSORS = ("output", "attn1", "attn2")
LAYERS = ("attn1", "attn2")
OUTPUTS = ("masked", "unmasked", "matched")
LEVELS = np.linspace(0, 1, 201)


class RecordingLab(Lab):
    """A lab whose generated clips leave a recording in the store."""

    def __init__(self, store: Store, device: str, block: int | None):
        super().__init__(device)
        self.store, self.block = store, block

    def generate(self, backbone: Any, job: Job, callback: Callable[[int, int], None] | None = None) -> Made:
        from ivgbench.generator.recorder import recording

        with recording(backbone, self.block) as recorder:

            def told(done: int, of: int) -> None:
                recorder.step_done(done, of)
                if callback is not None:
                    callback(done, of)

            made = super().generate(backbone, job, told)
        arrays = {
            "variance": np.array([recorder.variance[name] for name in TENSORS]),
            "layer": np.array(recorder.layer),
        }
        if recorder.outputs:
            arrays["quantiles"] = np.full((len(LAYERS), len(OUTPUTS), len(LEVELS)), np.nan)
            for role, outputs in recorder.outputs.items():
                arrays["quantiles"][LAYERS.index(role)] = [
                    np.quantile(outputs[name].numpy(), LEVELS) for name in OUTPUTS
                ]
        self.store.save_arrays(_kind(self.block), job.id, arrays)
        return made


class Activations(NamedTuple):
    """Recordings of the cases that all rows have, in one order.

    variance: row -> [cases, tensors, steps], of the `TENSORS`; layer: the transformer's name; frozen_steps: how many
    steps the masks are on; cases: (split, suite, case, seed) of each; quantiles: [cases, 2, 3, levels] of Mask
    Normalization's row: the `OUTPUTS` of the `LAYERS` at `LEVELS`, at the last step with masks; NaN for a layer that is
    not normalised; settings: row -> what it was set to, as `settings_text` calls it.
    """

    variance: dict[str, np.ndarray]
    layer: str
    quantiles: np.ndarray
    frozen_steps: int
    cases: tuple[tuple[str, str, str, int], ...]
    settings: Mapping[str, str] = MappingProxyType({})

    def relative(self, row: str) -> np.ndarray:
        """A row's variance in units of the baseline's on the same case, tensor and step, [cases, tensors, steps]."""
        return self.variance[row] / self.variance[BASELINE]


def by_variant(plan: Plan) -> dict[Variant, Plan]:
    """A plan's rows that are compared, as each variant of theirs has them."""
    entries = tuple(entry for entry in plan.entries if entry.label.partition("@")[0] in LABELS)
    mine = plan._replace(entries=entries)
    return {one: variants.view(mine, one) for one in variants.of_labels(entry.label for entry in entries)}


def in_plan(plan: Plan) -> bool:
    """Whether a plan has all the rows that are recorded."""
    return {entry.label for entry in plan.entries} >= LABELS


def record(plan: Plan, store: Store, engine: Any, device: str, block: int | None = None) -> Activations:
    """Makes the recordings of a plan's rows that are not there yet, and reads them all.

    Args:
        block: which decoder block, see `generator.recorder.decoder_transformer`; None: the first with attention.
    Raises:
        UserError: the plan lacks one of the rows, two rows have different masks, or a clip could not be made.
    """
    if not in_plan(plan):
        rows = ", ".join(row.label or row.method for row in ROWS)
        raise UserError(f"run {plan.spec.name!r} lacks rows that activations are compared by: {rows}")
    entries = [entry for entry in plan.entries if entry.label in LABELS]
    if len({str([entry.job.options[name] for name in MASKS]) for entry in entries if entry.label != BASELINE}) > 1:
        raise UserError(
            f"run {plan.spec.name!r}: {MASKED} and {NORMALISED} are compared under the same masks; give both rows the "
            f"same {', '.join(MASKS)}"
        )
    jobs = list({entry.job.id: entry.job for entry in entries}.values())
    there = partial(_is_recorded, block)
    missing = [job for job in jobs if not there(store, job.id)]
    lab = RecordingLab(store, device, block)
    generating.generate(store, lab, engine, missing, len(jobs), environment(), there=there)
    return read(entries, store, block)


def _is_recorded(block: int | None, store: Store, job: str) -> bool:
    return store.arrays(_kind(block), job) is not None


def _kind(block: int | None) -> str:
    return KIND if block is None else f"{KIND}-block-{block}"


def read(entries: list[Entry], store: Store, block: int | None = None) -> Activations:
    """The recordings of a plan's compared rows; all are there."""
    found: dict[str, dict[tuple[str, str, str, int], dict[str, np.ndarray]]] = {}
    for entry in entries:
        arrays = store.arrays(_kind(block), entry.job.id)
        if arrays is None:
            raise UserError(f"no activations of {entry.describe()}: {store.failure(entry.job.id) or 'not recorded'}")
        found.setdefault(entry.label, {})[entry.split, entry.suite, entry.case.id, entry.seed] = arrays
    keys = tuple(sorted(found[BASELINE]))
    variance = {label: np.stack([mine[key]["variance"] for key in keys]) for label, mine in found.items()}
    quantiles = np.stack([found[NORMALISED][key]["quantiles"] for key in keys])
    frozen = next(entry.job.options["frozen_steps"] for entry in entries if entry.label == NORMALISED)
    layer = str(found[BASELINE][keys[0]]["layer"])
    settings = {entry.label: entry.settings for entry in entries}
    return Activations(variance, layer, quantiles, frozen, keys, settings)
