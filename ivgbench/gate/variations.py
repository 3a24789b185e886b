"""The same run with other rounding: what a regression must be told apart from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ivgbench.engines.local import LocalEngine
from ivgbench.errors import UserError
from ivgbench.runs import runner
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import RunSpec
from ivgbench.store.runs import Store


@dataclass(frozen=True)
class Variation:
    """How a run is made. `threads` of each worker; `environment` of the workers; `nudge`: 0, or a seed by which every
    weight of the backbone moves up or down by one rounding error, as another processor's arithmetic would have it."""

    name: str
    threads: int = 1
    batch_size: int = 1
    nudge: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


AS_IT_IS = Variation("as it is")
#: No vector instructions beyond SSE, in each of the libraries that have a choice.
SSE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
#: None beyond AVX2: what a processor without AVX-512 computes.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
VARIATIONS = (
    Variation("two threads", threads=2),
    Variation("batches of three", batch_size=3),
    Variation("no AVX instructions", environment=SSE),
    Variation("AVX2 instructions", environment=AVX2),
    Variation("weights one rounding error off", nudge=1),
    Variation("weights one rounding error off, again", nudge=2),
)


class VariedLab(Lab):
    """The real models, rounded as a variation says."""

    def __init__(self, variation: Variation):
        super().__init__("cpu")
        self.variation = variation

    def start_worker(self) -> dict[str, Any]:
        import torch

        about = super().start_worker()
        torch.set_num_threads(self.variation.threads)
        return {**about, "threads": torch.get_num_threads()}

    def backbone(self, name: str, dtype: str, lora: str = "") -> Any:
        import torch

        made = super().backbone(name, dtype, lora)
        if self.variation.nudge:
            generator = torch.Generator().manual_seed(self.variation.nudge)
            for weight in made.denoiser.parameters():
                signs = torch.randint(0, 2, weight.shape, generator=generator) * 2 - 1
                weight.mul_(1 + signs * torch.finfo(weight.dtype).eps)
        return made


@contextmanager
def made(spec: RunSpec, variation: Variation = AS_IT_IS, engine: Any = None) -> Iterator[Path]:
    """While open, a folder of runs in which nothing but this run was made, from nothing.

    Raises:
        UserError: some of its clips failed.
    """
    lab = VariedLab(variation)
    # Threads that wait for each other beside a busy process crawl: as many as there are cores in all.
    engine = LocalEngine(max(lab.default_workers() // variation.threads, 1)) if engine is None else engine
    with tempfile.TemporaryDirectory(prefix="ivgbench-snapshot-") as folder, _environment(variation.environment):
        outcome = runner.run(make_plan(spec, lab), Store(folder), lab, engine, batch_size=variation.batch_size)
        if outcome.failed or outcome.missing:
            raise UserError(f"snapshot: {outcome.failed} of {outcome.total} clips failed (see above)")
        yield Path(folder)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Workers started inside read these settings."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
