"""The clips of a ticket: made, kept and measured as `ivgbench compare` does it, with the models kept loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ivgbench import boxes
from ivgbench.engines.base import StartFailed
from ivgbench.engines.here import HereEngine
from ivgbench.errors import UserError
from ivgbench.metrics.catalogue import COLUMN
from ivgbench.report.layout import evaluations, number
from ivgbench.report.paper import print_name
from ivgbench.runs import one_case
from ivgbench.runs.progress import log
from ivgbench.runs.spec import RunSpec
from ivgbench.store.runs import Store
from ivgbench.studio.requests import without_case
from ivgbench.studio.tickets import Take, Ticket


class Warm:
    """A lab whose models stay loaded, and that a ticket can look into while it works.

    told: called with (steps done, steps) after each step; look: before each network evaluation, and may raise.
    """

    def __init__(self, lab: Any):
        self._lab = lab
        self._backbones: dict[tuple[str, str, str], Any] = {}
        self._judges: dict[tuple[str, str], Any] = {}
        self.told: Callable[[int, int], None] | None = None
        self.look: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lab, name)

    def backbone(self, name: str, dtype: str, lora: str = "") -> Any:
        """The backbone, loaded once; one at a time, for they are large."""
        key = (name, dtype, lora)
        if key not in self._backbones:
            self._backbones.clear()
            loaded = self._lab.backbone(*key)
            if hasattr(loaded, "denoiser"):
                loaded.denoiser.register_forward_pre_hook(lambda *_: self.look())
            self._backbones[key] = loaded
        return self._backbones[key]

    def generate(self, backbone: Any, job: Any, told: Callable[[int, int], None]) -> Any:
        def step(done: int, steps: int) -> None:
            told(done, steps)
            if self.told is not None:
                self.told(done, steps)
            self.look()

        return self._lab.generate(backbone, job, step)

    def detector(self, name: str) -> Any:
        return self._judge("detector", name)

    def clip(self, name: str) -> Any:
        return self._judge("clip", name)

    def _judge(self, kind: str, name: str) -> Any:
        if (kind, name) not in self._judges:
            self._judges[kind, name] = getattr(self._lab, kind)(name)
        return self._judges[kind, name]


class Maker:
    """What the studio's thread works with: the lab, and the store of runs in which everything is kept."""

    def __init__(self, lab: Any, store: Store):
        self.lab, self.store = Warm(lab), store

    def ready(self, backbone: str, dtype: str) -> None:
        """Loads what the first clip would wait for. What fails here is told with that clip."""
        try:
            self.lab.start_worker()
            self.lab.backbone(backbone, dtype)
        except Exception as fault:
            log(f"{backbone} is not loaded yet: {' '.join(str(fault).split())}")

    def work(self, ticket: Ticket) -> None:
        """All takes of a ticket, one after another, each scored at once."""
        self.lab.look = ticket.check
        for take in ticket.takes:
            ticket.check()
            self._make(ticket, take)

    def _make(self, ticket: Ticket, take: Take) -> None:
        asked = ticket.asked

        def told(done: int, steps: int) -> None:
            take.done, take.steps = done, steps
            if done == steps:
                take.state = "scoring"

        take.state, self.lab.told = "making", told
        spec = RunSpec("studio", (take.method,), asked.backbone, seeds=(take.seed,), sampling=asked.sampling)
        try:
            (result,) = one_case.compare(spec, asked.case, self.lab, HereEngine(), self.store)
        except (UserError, StartFailed) as fault:  # nothing but this method, or all for one reason
            result = one_case.Result(take.method.row, None, {}, str(fault).splitlines()[0])
        if result.clip is None:
            take.state, take.failed = "failed", result.failed
            return
        take.result = shown(result, result.clip, np.stack([one.track for one in asked.case.subjects]))
        take.state = "done"


def shown(result: one_case.Result, clip: np.ndarray, asked: np.ndarray) -> dict[str, Any]:
    """What the page is told of a clip.

    Args:
        clip: the result's. asked: float64 [K,F,4].
    """
    frames, height, width = clip.shape[:3]
    told = {
        "job": result.job, "name": print_name(result.label), "settings": result.settings, "frames": frames,
        "height": height, "width": width, "asked": _rounded(asked), "detected": None, "iou": None,
        "scores": _scores(result.values, len(asked)), "unscored": without_case(result.unscored),
    }  # fmt: skip
    if result.detected is not None:
        told["detected"] = _rounded(result.detected)
        told["iou"] = _rounded(np.nan_to_num(boxes.iou(asked, np.nan_to_num(result.detected))), 3)
    return told


def _scores(values: dict[str, float | None], subjects: int) -> list[dict[str, str]]:
    """The numbers in print, as `ivgbench compare` has them."""
    known = {name: value for name, value in values.items() if value is not None}
    found = []
    for column, name in (("clip_sim", "clip_sim"), ("miou_all", "miou")):
        if name in known:
            row = COLUMN[column]
            found.append({"name": row.head, "value": number(row.scale * known[name], row.decimals), "what": row.what})
    if "covered" in known:
        covered = f"{round(known['covered'] * subjects)} of {subjects}"
        found.insert(1, {"name": "covered", "value": covered, "what": "subjects found in more than half of the frames"})
    found.append({"name": COLUMN["nfe"].head, "value": evaluations(known["nfe"]), "what": COLUMN["nfe"].what})
    found.append({"name": "seconds", "value": number(known["seconds"], 1), "what": "that making it took"})
    return found


def _rounded(values: np.ndarray, decimals: int = 4) -> list[Any]:
    """Nested lists of numbers, None for what is not finite: JSON has no NaN."""
    if values.ndim > 1:
        return [_rounded(one, decimals) for one in values]
    return [round(float(one), decimals) if np.isfinite(one) else None for one in values]
