"""Records as people send them, made up: whole, of one protocol, and with the table that their clips come to."""

from dataclasses import replace

from made_runs import complete_run

from ivgbench import __version__
from ivgbench.report.estimates import stated
from ivgbench.report.record import RECORD_VERSION, Clip, Record

SAMPLING = {"steps": 20, "guidance_scale": 4.5, "scheduler": "ddim", "dtype": "float32", "size": [48, 80]}


def make_record(methods=("plain", "mask-norm"), run="mine", cases=4, seeds=(0,), truth=True, change=None, **fields):
    """A Record. change: a function of each clip; fields: of the record."""
    rows, manifest = complete_run(list(methods), cases=cases, seeds=seeds, truth=truth)
    values = {}
    for row in rows:
        values.setdefault(row["job"], {})[row["metric"]] = row["value"]
    clips = tuple(Clip(**entry, status="ok", values=values[entry["job"]]) for entry in manifest["jobs"])
    suites = {clip.suite: f"{len(clip.suite):064d}" for clip in clips}
    backbone = {"name": "pocket", "revision": None, "weights": "ab" * 32}
    asked = {"backbone": backbone, "suites": suites, "sampling": (SAMPLING,), "metrics": 2, "by": "me"} | fields
    made = Record(RECORD_VERSION, __version__, run, clips, detector="yolo-1", clip="clip-1", **asked)
    return with_table(made if change is None else replace(made, clips=tuple(map(change, clips))))


def with_table(record):
    """The record with the table of its clips."""
    return replace(record, table=tuple(stated(record.rows(), record.manifest())))


def changed(**fields):
    """A function of a clip that gives it other fields; values are put on top of its own."""

    def change(clip):
        told = {"values": {**clip.values, **fields["values"]}} if "values" in fields else {}
        return replace(clip, **{**fields, **told})

    return change


def of_row(label, change):
    """A function of a clip that changes those of one row."""
    return lambda clip: change(clip) if clip.label == label else clip
