"""The files of runs. Every stage writes what the next one reads; nothing is ever half there.

    ROOT/jobs/<job>/video.mkv        the clip, lossless
    ROOT/jobs/<job>/sidecar.json     written last: what was asked, hashes, cost, environment
    ROOT/jobs/<job>/failed.json      why there is no clip; the next run tries again
    ROOT/cache/<model>/<key>.npz     detections and features, keyed by the model's id and the clip's pixels
    ROOT/scores/<score>.json         metrics of a job's pixels in a suite under a set of judges, or why it has none
    ROOT/sets/<run>.json             metrics of whole sets: a row per method and reference
    ROOT/manifests/<run>.json        which jobs a run is made of
    ROOT/index.json                  what was read of these files, see `ivgbench.store.index`

A job is done if and only if its files exist and their hashes agree. Every JSON file holds the hash of its own content.
"""

from __future__ import annotations

import io
import math
import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ivgbench.cases import ID_PATTERN
from ivgbench.errors import UserError
from ivgbench.files import digest, write_atomic
from ivgbench.metrics import catalogue
from ivgbench.store.clips import ClipStore
from ivgbench.store.index import stamps
from ivgbench.store.records import Damaged, read_record, write_record
from ivgbench.texts import short

#: Raised when the layout of a score file changes. A metric that changes raises its own version (`metrics.catalogue`).
SCORE_VERSION = 2
#: What of a score is a clip's cost, and not measured in its pixels.
COSTS = ("nfe", "backward", "seconds")
#: Raised when the layout of a row of set metrics changes.
SET_VERSION = 2


class Store(ClipStore):
    """The folder of runs, by default results/runs. Reading needs no model and no torch."""

    # ---- caches of model outputs

    def _cache_path(self, model: str, key: str) -> Path:
        return self.root / "cache" / _cache_folder(model) / f"{key}.npz"

    def save_arrays(self, model: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Caches arrays that a model computed. `key`: hash of the pixels or text they came from."""
        named: dict[str, Any] = dict(arrays)
        path, data = self._cache_path(model, key), io.BytesIO()
        np.savez(data, **named)
        with zipfile.ZipFile(data, "a") as archive:
            archive.comment = _whose(path)
        write_atomic(path, lambda handle: handle.write(data.getbuffer()))

    def arrays(self, model: str, key: str) -> dict[str, np.ndarray] | None:
        """Cached arrays, or None when there are none, or none that can be read.

        A file that cannot be read is removed: it is computed again by the next run.
        """
        return self.arrays_of(self._cache_path(model, key))

    def kept_arrays(self, model: str, key: str) -> dict[str, np.ndarray]:
        """The same of what was cached before. UserError where it is gone since."""
        arrays = self.arrays(model, key)
        if arrays is None:
            raise UserError(f"what was cached of {key} is gone; run the same again")
        return arrays

    def arrays_of(self, path: Path) -> dict[str, np.ndarray] | None:
        """The same by the file. One that says it is another's is none; of before, none says whose it is."""
        try:
            data = io.BytesIO(path.read_bytes())
        except OSError:
            return None
        try:
            with zipfile.ZipFile(data) as archive:
                # An array that is read only in part is not checked by its reader.
                whole = archive.testzip() is None and archive.comment in (b"", _whose(path))
            if whole:
                data.seek(0)
                with np.load(data, allow_pickle=False) as arrays:
                    return {name: arrays[name] for name in arrays.files}
        except Exception:  # a damaged archive fails in as many ways as it has fields
            pass
        with suppress(OSError):
            path.unlink()
        return None

    def cached(self, model: str) -> set[str]:
        """The keys under which a model has cached arrays, in one look at its folder; they are not read."""
        try:
            names = os.listdir(self._cache_path(model, "").parent)
        except OSError:
            return set()
        return {name.removesuffix(".npz") for name in names if name.endswith(".npz")}

    # ---- scores

    def save_score(self, score: str, pixels: str, values: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Stores the metrics of a clip whose pixels have the hash `pixels`: they are no other clip's.

        Values that are not finite become null: undefined, never 0.
        """
        record = {**facts, **_made_from(pixels), "score": score, "metrics": _finite(values)}
        write_record(self._score_path(score), record)

    def fail_score(self, score: str, pixels: str, reason: str, facts: Mapping[str, Any]) -> None:
        """Records why a clip has no metrics. The next run with these judges tries again."""
        write_record(self._score_path(score), {**facts, **_made_from(pixels), "score": score, "reason": reason})

    def score(self, score: str, pixels: str) -> dict[str, float | None] | None:
        """Metrics of a clip by their names, or None when these pixels are not scored (or the file is damaged)."""
        return self._score_record(score, pixels).get("metrics")

    def is_scored(self, score: str, facts: Mapping[str, Any], metrics: Iterable[str]) -> bool:
        """Whether a clip with these `facts` has a score of these metrics, none of it failed, and none is out of date.

        What the clip cost stands in both: a clip that was made again took another time. The file is not read if it has
        the size and time that it had before.
        """
        found = stamps(f"{self.root}/scores/{score}.json")
        if found is None:
            return False
        made = _scored_of(facts, metrics)
        if self.index.get(f"score {score}", found) == made:
            return True
        record = self._score_record(score, facts["pixel_sha256"])
        values = record.get("metrics")
        if values is None or record.get("faults") or not values.keys() >= set(metrics):
            return False
        if any(values[name] != facts.get(name) for name in COSTS):
            return False
        self.index.put(f"score {score}", found, made)
        return True

    def score_failure(self, score: str, pixels: str) -> str | None:
        """Why the last attempt at scoring these pixels failed, on one line; None when there was no failure."""
        return _reason(self._score_record(score, pixels))

    def _score_path(self, score: str) -> Path:
        return self.root / "scores" / f"{score}.json"

    def _score_record(self, score: str, pixels: str) -> dict[str, Any]:
        try:
            record = read_record(self._score_path(score))
        except (FileNotFoundError, Damaged):
            return {}
        # Of before, a score does not say what it is called.
        return record if {"score": score, **record}.items() >= {"score": score, **_made_from(pixels)}.items() else {}

    def save_set_rows(self, run: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Stores a run's metrics of whole sets. As in scores, values that are not finite become null."""
        self._write_new(self._run_path("sets", run), {"rows": _finite(rows), "set_version": SET_VERSION})

    def set_rows(self, run: str) -> list[dict[str, Any]]:
        """A run's metrics of whole sets; empty when there are none yet (or the file is damaged)."""
        try:
            record = read_record(self._run_path("sets", run))
        except (FileNotFoundError, Damaged):
            return []
        return list(record["rows"]) if record["set_version"] == SET_VERSION else []

    # ---- runs

    def save_manifest(self, run: str, manifest: Mapping[str, Any], kept: Mapping[str, Any] | None = None) -> Path:
        """Writes what a run is made of; where that stands already only the file's time is new: when it went on.

        kept: what stands there, where it has been read already (`kept_manifest`).
        """
        path, new = self.manifest_path(run), {**manifest, "run": run}
        if kept == new or not self._write_new(path, new):
            with suppress(OSError):  # a finished run may lie where nothing can be written
                os.utime(path)
        return path

    def _write_new(self, path: Path, record: Mapping[str, Any]) -> bool:
        """Writes a record unless it stands there already; whether it was written."""
        with suppress(FileNotFoundError, Damaged):
            if read_record(path) == record:
                return False
        write_record(path, record)
        return True

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
            # A file that was renamed is the run that it is called now.
            return {**_within(read_record(path), path), "run": run}
        except FileNotFoundError:
            known = ", ".join(self.runs()) or "none yet; `ivgbench run` makes one"
            raise UserError(f"there is no run {run!r} in {self.root} (runs: {known})") from None
        except Damaged as fault:
            raise UserError(f"damaged manifest: {fault}; run {run!r} again") from None

    def kept_manifest(self, run: str) -> dict[str, Any] | None:
        """The same; None where there is none, or none that can be read."""
        try:
            return self.manifest(run)
        except UserError:
            return None

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
            if lacks := [name for name in _READ if name not in entry and name != "options"]:
                raise UserError(f"{self.manifest_path(run)}: job {entry['job']} has no {lacks[0]}; run {run!r} again")
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
            record = self._score_record(entry.get("score", "none"), facts["pixel_sha256"])
            values, reason = record.get("metrics"), _reason(record)
        if reason:
            return [("failed", None, f"failed: {reason}")]
        if values is None:
            return [("missing", None, "missing")]
        return [(name, value, "undefined" if value is None else "ok") for name, value in values.items()]


@lru_cache(maxsize=64)
def _cache_folder(model: str) -> str:
    # Model ids are free text (versions, paths, thresholds): the hash keeps apart what the clean name confuses.
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", model).strip("._")[:48] or "model"
    return f"{clean}-{digest(model)[:8]}"


def _whose(path: Path) -> bytes:
    """What a cached file says of itself: its model and key, so that it is taken for no other's."""
    return f"{path.parent.name}/{path.stem}".encode()


#: What is read of every job of a manifest, besides its name.
_READ = {"method": str, "label": str, "options": dict, "suite": str, "split": str, "case": str, "seed": int}


def _within(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    """A manifest whose fields are of their kinds, and whose jobs are names of files, no paths out of the folder of
    runs: others may have sent it.

    Raises:
        Damaged: it is not so.
    """
    jobs = manifest.get("jobs")
    if not isinstance(jobs, list) or not all(isinstance(entry, dict) for entry in jobs):
        raise Damaged(f"{path} has no list of jobs")
    for entry in jobs:
        for name in (entry.get("job"), entry.get("score", "none")):
            if not isinstance(name, str) or not _is_name(name):
                raise Damaged(f"{path}: {short(name)} is no job's name")
        for field, kind in _READ.items():
            if not isinstance(entry.get(field, kind()), kind):
                raise Damaged(f"{path}: {field} of job {entry['job']} is {short(entry[field])}")
    try:
        for row in manifest.get("own_metrics", ()):
            catalogue.from_record(row)
    except (TypeError, ValueError, AttributeError):
        raise Damaged(f"{path}: {short(manifest['own_metrics'])} are no metrics") from None
    return manifest


def _reason(record: Mapping[str, Any]) -> str | None:
    """Why a record has no metrics, on one line."""
    reason = record.get("reason")
    return None if reason is None else " ".join(str(reason).split())


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


def _scored_of(facts: Mapping[str, Any], metrics: Iterable[str]) -> list[Any]:
    """What a score is of, for the index."""
    return [facts["pixel_sha256"], metrics_version(), len(set(metrics)), *(facts.get(name) for name in COSTS)]


def _finite(value: Any) -> Any:
    """The same plain data with None for every number that is not finite: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
