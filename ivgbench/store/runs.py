"""The files of runs. Every stage writes what the next one reads; nothing is ever half there.

    ROOT/jobs/<job>/video.mkv        the clip, lossless
    ROOT/jobs/<job>/sidecar.json     written last: what was asked, hashes, cost, environment
    ROOT/jobs/<job>/failed.json      why there is no clip; the next run tries again
    ROOT/cache/<model>/<key>.npz     detections and features, keyed by the model's id and the clip's pixels
    ROOT/scores/<score>.json         metrics of a job's pixels in a suite under a set of judges, or why it has none
    ROOT/sets/<run>.json             metrics of whole sets: a row per method and reference
    ROOT/manifests/<run>.json        which jobs a run is made of

A job is done if and only if its files exist and their hashes agree. Every JSON file holds the hash of its own content.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ivgbench.cases import ID_PATTERN
from ivgbench.errors import UserError
from ivgbench.files import digest, write_atomic
from ivgbench.metrics import catalogue
from ivgbench.store.clips import ClipStore
from ivgbench.store.records import Damaged, read_record, write_record

#: Raised when the layout of a score file changes. A metric that changes raises its own version (`metrics.catalogue`).
SCORE_VERSION = 2
#: Raised when the layout of a row of set metrics changes.
SET_VERSION = 2


class Store(ClipStore):
    """The folder of runs, by default results/runs. Reading needs no model and no torch."""

    # ---- caches of model outputs

    def _cache_path(self, model: str, key: str) -> Path:
        # Model ids are free text (versions, paths, thresholds): the hash keeps apart what the clean name confuses.
        clean = re.sub(r"[^A-Za-z0-9._-]+", "_", model).strip("._")[:48] or "model"
        return self.root / "cache" / f"{clean}-{digest(model)[:8]}" / f"{key}.npz"

    def save_arrays(self, model: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Caches arrays that a model computed. `key`: hash of the pixels or text they came from."""
        write_atomic(self._cache_path(model, key), lambda handle: np.savez(handle, **arrays))

    def arrays(self, model: str, key: str) -> dict[str, np.ndarray] | None:
        """Cached arrays, or None when there are none, or none that can be read (they are then computed again)."""
        try:
            with zipfile.ZipFile(self._cache_path(model, key)) as archive:
                if archive.testzip() is not None:  # an array that is read only in part is not checked by its reader
                    return None
            with np.load(self._cache_path(model, key), allow_pickle=False) as data:
                return {name: data[name] for name in data.files}
        except FileNotFoundError:
            return None
        except Exception:  # a damaged archive fails in as many ways as it has fields
            return None

    # ---- scores

    def save_score(self, score: str, pixels: str, values: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Stores the metrics of a clip whose pixels have the hash `pixels`: they are no other clip's.

        Values that are not finite become null: undefined, never 0.
        """
        write_record(self._score_path(score), {**facts, **_made_from(pixels), "metrics": _finite(values)})

    def fail_score(self, score: str, pixels: str, reason: str, facts: Mapping[str, Any]) -> None:
        """Records why a clip has no metrics. The next run with these judges tries again."""
        write_record(self._score_path(score), {**facts, **_made_from(pixels), "reason": reason})

    def score(self, score: str, pixels: str) -> dict[str, float | None] | None:
        """Metrics of a clip by their names, or None when these pixels are not scored (or the file is damaged)."""
        return self._score_record(score, pixels).get("metrics")

    def score_failure(self, score: str, pixels: str) -> str | None:
        """Why the last attempt at scoring these pixels failed, on one line; None when there was no failure."""
        reason = self._score_record(score, pixels).get("reason")
        return None if reason is None else " ".join(str(reason).split())

    def _score_path(self, score: str) -> Path:
        return self.root / "scores" / f"{score}.json"

    def _score_record(self, score: str, pixels: str) -> dict[str, Any]:
        try:
            record = read_record(self._score_path(score))
        except (FileNotFoundError, Damaged):
            return {}
        return record if record.items() >= _made_from(pixels).items() else {}

    def save_set_rows(self, run: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Stores a run's metrics of whole sets. As in scores, values that are not finite become null."""
        write_record(self._run_path("sets", run), {"rows": _finite(rows), "set_version": SET_VERSION})

    def set_rows(self, run: str) -> list[dict[str, Any]]:
        """A run's metrics of whole sets; empty when there are none yet (or the file is damaged)."""
        try:
            record = read_record(self._run_path("sets", run))
        except (FileNotFoundError, Damaged):
            return []
        return list(record["rows"]) if record["set_version"] == SET_VERSION else []

    # ---- runs

    def save_manifest(self, run: str, manifest: Mapping[str, Any]) -> Path:
        path = self.manifest_path(run)
        write_record(path, {**manifest, "run": run})
        return path

    def manifest_path(self, run: str) -> Path:
        return self._run_path("manifests", run)

    def _run_path(self, kind: str, run: str) -> Path:
        if not _is_name(run):
            raise UserError(f"run name {run!r} is not allowed; use letters, digits, '.', '_', '-' (a file name)")
        return self.root / kind / f"{run}.json"

    def runs(self) -> list[str]:
        """Names of the runs that have a manifest."""
        return sorted(path.stem for path in (self.root / "manifests").glob("*.json") if _is_name(path.stem))

    def choose(self, run: str | None, default: str) -> str:
        """The run that is meant: the one that is named, else the default, else the only one there is.

        Raises:
            UserError: none is named, the default is not there, and there is none or more than one.
        """
        known = self.runs()
        if run is not None or default in known:
            return default if run is None else run
        if not known:
            raise UserError(f"there is no run in {self.root}; make one: ivgbench run --spec pocket")
        if len(known) > 1:
            raise UserError(
                f"which run? --run NAME with one of: {', '.join(known)} (`ivgbench list runs` tells them apart)"
            )
        return known[0]

    def manifest(self, run: str) -> dict[str, Any]:
        """What a run is made of. UserError when there is no such run, naming those there are."""
        path = self.manifest_path(run)
        try:
            return read_record(path)
        except FileNotFoundError:
            known = ", ".join(self.runs()) or "none yet; `ivgbench run` makes one"
            raise UserError(f"there is no run {run!r} in {self.root} (runs: {known})") from None
        except Damaged as fault:
            raise UserError(f"damaged manifest: {fault}; run {run!r} again") from None

    def load_rows(self, run: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """A run's results in long form, and its manifest.

        One row per entry and metric: job, method, label, suite, split, case, seed, metric, value, status. The status is
        "ok"; "undefined" (value None: the metric has no value here, e.g. a distance without a detection); one row with
        metric "failed" and status "failed: why"; or one row with metric "missing" and status "missing" (not made, or
        these pixels are not scored yet).
        """
        manifest = self.manifest(run)
        rows = []
        for entry in manifest["jobs"]:
            about = {name: entry[name] for name in ("job", "method", "label", "suite", "split", "case", "seed")}
            for metric, value, status in self.outcome(entry):
                rows.append({**about, "metric": metric, "value": value, "status": status})
        return rows, manifest

    def outcome(self, entry: Mapping[str, Any]) -> list[tuple[str, float | None, str]]:
        """What came of an entry of a manifest: (metric, value, status), see `load_rows`."""
        facts, values = self.intact(entry["job"]), None
        if facts is None:
            reason = self.failure(entry["job"])
        else:
            values = self.score(entry["score"], facts["pixel_sha256"])
            reason = self.score_failure(entry["score"], facts["pixel_sha256"])
        if reason:
            return [("failed", None, f"failed: {reason}")]
        if values is None:
            return [("missing", None, "missing")]
        return [(name, value, "undefined" if value is None else "ok") for name, value in values.items()]


def _is_name(run: str) -> bool:
    """Whether a run can be called so. Other systems put files of their own beside ours ("._score.json")."""
    return ID_PATTERN.fullmatch(run) is not None and ".." not in run


def _made_from(pixels: str) -> dict[str, Any]:
    """What a score is valid for, and for nothing else."""
    versions = catalogue.raised()
    return {"pixel_sha256": pixels, "score_version": SCORE_VERSION} | ({"versions": versions} if versions else {})


def metrics_version() -> int | list[Any]:
    """What runs must have in common for their scores to be compared, as a manifest keeps it."""
    versions = catalogue.raised()
    return [SCORE_VERSION, versions] if versions else SCORE_VERSION


def _finite(value: Any) -> Any:
    """The same plain data with None for every number that is not finite: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
