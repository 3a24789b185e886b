"""A finished run as one file: what tables are made from, and what people send around.

A record holds no video and no path: what was asked, by what it was judged, every clip's numbers, and those of whole
sets. It is sealed (`store.records`): a number that was changed afterwards makes it none.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ivgbench import __version__
from ivgbench.errors import UserError
from ivgbench.files import canonical_json, write_text
from ivgbench.reading import RULE, is_required, table
from ivgbench.report import record_rules as rules
from ivgbench.report.estimates import stated
from ivgbench.runs.identity import EXTERNAL, GROUND_TRUTH, clips_digest
from ivgbench.store.records import SEAL, Damaged, read_record, seal
from ivgbench.store.runs import Store
from ivgbench.texts import short

#: Raised when the meaning of a field changes, or there is one that others rely on. Older ones are read: what they lack
#: is at its default.
RECORD_VERSION = 2
READ = (1, RECORD_VERSION)
SUFFIX = ".record.json"
AGAIN = "make it again: ivgbench record"
_TEXT = "text"


def told(text: str, rule: Any = None, **default: Any) -> Any:
    """A field with what it means, and what it must be (`record_rules`)."""
    return field(metadata={_TEXT: text, **({RULE: rule} if rule else {})}, **default)


@dataclass(frozen=True)
class Clip:
    """One clip of a run, and what was measured on it."""

    label: str = told("the row that it belongs to")
    method: str = told("canonical name; external: another system's clip, ground-truth: the asked scene itself")
    options: dict[str, Any] = told("the method's options, all of them")
    suite: str = told("the suite's name")
    split: str = told("the block of a table")
    case: str = told("the case's id in its suite")
    seed: int = told("of the noise")
    job: str = told("hash of all that changes the clip's pixels")
    status: str = told("ok; missing; or failed: why", rules.STATUS)
    values: dict[str, Any] = told("metric -> number, or null where it is undefined on this clip", rules.VALUES)
    settings: str | None = told("the name of the settings that the options are; null: not recorded", default=None)
    about: str | None = told("the settings in one line", default=None)
    score: str | None = told("hash of what the values depend on besides the pixels", default=None)


@dataclass(frozen=True)
class Record:
    """A run. Read one with `load`, or make it of a stored run with `of`."""

    record_version: int = told("of this layout")
    ivgbench: str = told("version of the package that wrote the record")
    run: str = told("the run's name", rules.NAME)
    clips: tuple[Clip, ...] = told("every clip that the run is made of, failed ones included")
    backbone: dict[str, Any] | str | None = told("name, hash and revision of the weights", default=None)
    detector: str = told("id of the detector", default="")
    clip: str = told("id of the CLIP model", default="")
    metrics: Any = told("versions of the clips' metrics: equal where numbers can be compared", default=None)
    own_metrics: tuple[dict, ...] = told("rows of the metrics that other packages brought", rules.METRICS, default=())
    measured: dict[str, Any] = told("what the run was asked to be measured with", default_factory=dict)
    suites: dict[str, str] = told("suite -> its checksum", default_factory=dict)
    environment: dict[str, Any] = told("packages and machine of the last run", default_factory=dict)
    sets: tuple[dict, ...] = told("FID, KID and JEDi: one entry per row and reference", rules.SETS, default=())
    sets_missing: str = told("why there are no metrics of whole sets", default="")
    by: str = told("who sends it, in their own words", default="")
    sampling: tuple[dict, ...] = told("how the clips were sampled, each way once; none: not by ivgbench", default=())
    table: tuple[dict, ...] = told("Table 1 of the run, a row per split and label: what the clips come to", default=())

    def rows(self) -> list[dict[str, Any]]:
        """Every number in long form, as `Store.load_rows` gives them."""
        found = []
        for clip in self.clips:
            about = {name: getattr(clip, name) for name in ("job", "method", "label", "suite", "split", "case", "seed")}
            if clip.status != "ok":
                metric = clip.status.partition(":")[0]
                found.append({**about, "metric": metric, "value": None, "status": clip.status})
            for name, value in clip.values.items():
                found.append(
                    {**about, "metric": name, "value": value, "status": "undefined" if value is None else "ok"}
                )
        return found

    def manifest(self) -> dict[str, Any]:
        """What the run is made of, as `Store.manifest` gives it."""
        kept = {
            name: _plain(getattr(self, name)) for name in _MANIFEST if getattr(self, name) not in ("", None, {}, ())
        }
        jobs = [{name: value for name in _ENTRY if (value := getattr(clip, name)) is not None} for clip in self.clips]
        return {**kept, "jobs": jobs}

    def save(self, path: Path) -> None:
        """A line for each clip, so that two records can be compared as texts."""
        data = asdict(self)
        data[SEAL] = seal(data)
        parts = [f'"{name}": {_lines(value)}' for name, value in sorted(data.items())]
        write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _lines(value: Any) -> str:
    """A value as JSON; a list of tables with a line for each."""

    def one(value: Any) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return "[\n" + ",\n".join(map(one, value)) + "\n]"
    return one(value)


_MANIFEST = ("run", "backbone", "detector", "clip", "metrics", "own_metrics", "measured", "suites", "environment")
_ENTRY = ("job", "method", "label", "options", "settings", "about", "suite", "split", "case", "seed", "score")


#: What a job says of how its clip was sampled; an adapter only where there was one.
SAMPLED = ("steps", "guidance_scale", "scheduler", "negative_prompt", "prompt_suffix", "dtype", "size", "lora")


def of(store: Store, run: str, by: str = "") -> Record:
    """The record of a stored run, whole or not: what is missing says so. by: who sends it."""
    manifest = store.manifest(run)
    clips = tuple(_clip(entry, store.outcome(entry)) for entry in manifest["jobs"])
    sets, missing = sets_of(store, manifest)
    kept = {name: _frozen(manifest[name]) for name in _MANIFEST if name in manifest}
    made = Record(RECORD_VERSION, __version__, clips=clips, sets=sets, sets_missing=missing, **kept)
    ways = _ways(store, manifest["jobs"])
    return dataclasses.replace(made, by=by, sampling=ways, table=tuple(stated(made.rows(), made.manifest())))


def _ways(store: Store, jobs: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Each way in which clips were sampled, once. What was drawn, or made elsewhere, was not sampled here."""
    found: dict[str, dict[str, Any]] = {}
    for job in dict.fromkeys(job["job"] for job in jobs if job["method"] not in (GROUND_TRUTH, EXTERNAL)):
        asked = (store.intact_sidecar(job) or {}).get("spec", {})
        if way := {name: asked[name] for name in SAMPLED if name in asked}:
            found.setdefault(canonical_json(way), way)
    return tuple(found.values())


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _clip(entry: Mapping[str, Any], outcome: list[tuple[str, float | None, str]]) -> Clip:
    """outcome: as `Store.outcome` gives it: numbers, or one line that says why there are none."""
    there = [(name, value) for name, value, status in outcome if status in ("ok", "undefined")]
    status = "ok" if len(there) == len(outcome) else outcome[0][2]
    return Clip(**{name: entry[name] for name in _ENTRY if name in entry}, status=status, values=dict(there))


def sets_of(store: Store, manifest: Mapping[str, Any]) -> tuple[tuple[dict[str, Any], ...], str]:
    """A stored run's metrics of whole sets, and why there are none."""
    rows = store.set_rows(manifest["run"])
    if not rows:
        return (), "has no FID, KID and JEDi: run it again with --reference, or with references in its spec"
    now = clips_digest({job["job"]: store.intact(job["job"]) for job in manifest["jobs"]})
    if any(row["clips"] != now for row in rows):
        return (), "has FID, KID and JEDi that are of other clips than it has now; run it again"
    return tuple(rows), ""


def load(path: Path) -> Record:
    """Reads a record.

    Raises:
        UserError: there is none, it was changed or cut, or it is of another version.
    """
    try:
        data = read_record(path)
    except FileNotFoundError:
        raise UserError(f"there is no record {path}") from None
    except Damaged:
        raise UserError(f"{path}: not a record of a run as it was written; {AGAIN}") from None
    return from_data(data, str(path))


def from_data(data: Mapping[str, Any], where: str) -> Record:
    """A record from its fields, without the seal.

    Raises:
        UserError: they are none, or of another version; `where` begins the message.
    """
    version = data.get("record_version")
    if version not in READ or isinstance(version, bool):
        known = " and ".join(map(str, READ))
        newer = isinstance(version, int) and version > max(READ)
        what = "it was written by a newer ivgbench: update this one" if newer else AGAIN
        raise UserError(f"{where}: a record of version {short(version)}, and this reads {known}; {what}")
    listed = data.get("clips")
    if not isinstance(listed, list):
        raise UserError(f"{where}: clips must be a list, got {type(listed).__name__}; {AGAIN}")
    clips = tuple(table(Clip, one, f"{where}, clip {at}") for at, one in enumerate(listed, 1))
    return table(Record, {**data, "clips": clips}, where)


def is_record(run: str | None) -> bool:
    """Whether a run is named by the file of its record."""
    return run is not None and run.endswith(".json") and Path(run).is_file()


def schema() -> dict[str, Any]:
    """The layout as JSON Schema (draft 2020-12)."""
    made = _object(Record)
    made["properties"]["record_sha256"] = {"type": "string", "description": "the seal: hash of all other fields"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ivgbench record", **made}


def _object(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    required = [one.name for one in fields(cls) if is_required(one)]
    properties = {one.name: {"description": one.metadata[_TEXT], **_kind(hints[one.name])} for one in fields(cls)}
    return {"type": "object", "description": cls.__doc__, "properties": properties, "required": required}


_KINDS = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", type(None): "null"}


def _kind(hint: Any) -> dict[str, Any]:
    if hint is Any:
        return {}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _kind(typing.get_args(hint)[0])}
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return {"anyOf": [_kind(one) for one in typing.get_args(hint)]}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _object(hint)
    return {"type": _KINDS[typing.get_origin(hint) or hint]}
