"""A store with damaged files: every row that is intact is still read, and running again makes the rest good."""

import json
import shutil

import numpy as np
import pytest
from damage import broken_json, damaged
from fake_lab import FakeLab, InlineEngine
from generated import answer, holds_for
from hypothesis import strategies as st

from ivgbench.report import table
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.clips import Damaged
from ivgbench.store.runs import Store

SPEC = RunSpec(
    "r", (MethodSpec("plain", {"shift": 0.3}), MethodSpec("tid")), suites=("static",), cases=2,
    references=("suite",), reference_videos=3, frame_encoders=("clip",),
)  # fmt: skip
#: What a run leaves, by what a file is.
KINDS = ["sidecar", "video", "score", "set", "manifest", "cache"]
PATTERNS = {
    "sidecar": "jobs/*/sidecar.json", "video": "jobs/*/video.mkv", "score": "scores/*.json", "set": "sets/*.json",
    "manifest": "manifests/r.json", "cache": "cache/*/*.npz",
}  # fmt: skip


class World:
    """A finished run; every trial of damage has a copy of its own."""

    def __init__(self, root):
        self.root, self.copy, self.hurt = root / "whole", root / "copy", []
        self.lab = FakeLab(root / "log")
        self.plan = make_plan(SPEC, self.lab)
        assert runner.run(self.plan, Store(self.root), self.lab, InlineEngine())[2:] == (4, 0, 0)
        store = Store(self.root)
        store.save_manifest("other", {**store.manifest("r")})
        self.rows, self.set_rows = self.by_job(store.load_rows("r")[0]), store.set_rows("r")
        self.files = {
            kind: sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))
            for kind, pattern in PATTERNS.items()
        }

    @staticmethod
    def by_job(rows):
        """job -> its rows; how long it took is a measurement."""
        found = {}
        for row in rows:
            if row["metric"] != "seconds":
                found.setdefault(row["job"], []).append(row)
        return found

    def damage(self, file: str, data: bytes | None, *more: tuple[str, bytes]) -> Store:
        """A copy of the store in which a file has other bytes, or is gone; `more` files are new."""
        if not self.copy.exists():
            shutil.copytree(self.root, self.copy)
        for name in self.hurt:
            (self.copy / name).unlink(missing_ok=True)
            if (self.root / name).exists():
                shutil.copyfile(self.root / name, self.copy / name)
        self.hurt = [file, *(name for name, _ in more)]
        (self.copy / file).unlink()
        for name, content in [(file, data), *more]:
            if content is not None:
                (self.copy / name).write_bytes(content)
        return Store(self.copy)

    def run_again(self, store):
        self.hurt = [str(path.relative_to(self.root)) for path in self.root.rglob("*.*") if path.is_file()]
        return runner.run(self.plan, store, self.lab, InlineEngine())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("store"))


def other_bytes(draw, world, kind) -> tuple[str, bytes | None]:
    """A file of a kind and what became of it."""
    file = draw(st.sampled_from(world.files[kind]))
    whole = (world.root / file).read_bytes()
    if draw(st.integers(0, 9)) == 0:
        return file, None
    return file, draw(broken_json(json.loads(whole)) if file.endswith(".json") else damaged(whole))


def job_of(file: str) -> str:
    """The job that a file is about."""
    kind, name, *_ = file.split("/")
    return name if kind == "jobs" else name[:20]


@holds_for(st.sampled_from(["sidecar", "video", "score", "failed"]), st.data(), dear=4)
def test_intact_rows_are_read_beside_damaged_ones(world, kind, data):
    if kind == "failed":
        job = job_of(data.draw(st.sampled_from(world.files["video"])))
        file, record = f"jobs/{job}/failed.json", {"reason": "it broke", "job": job}
        store = world.damage(f"jobs/{job}/sidecar.json", None, (file, data.draw(broken_json(record))))
    else:
        file, content = other_bytes(data.draw, world, kind)
        store = world.damage(file, content)
    rows, manifest = store.load_rows("r")
    assert len(manifest["jobs"]) == len(world.rows)
    found, hit = world.by_job(rows), job_of(file)
    assert found.keys() == world.rows.keys()
    assert all(found[job] == world.rows[job] for job in found if job != hit)
    if found[hit] != world.rows[hit]:  # no number is another one
        (row,) = found[hit]
        assert row["value"] is None and row["status"].startswith(("missing", "failed: "))
        assert len(row["status"].splitlines()) == 1
    frame = table(1, world.copy, "r", allow_partial=True)
    assert frame["n_scored"].sum() >= len(world.rows) - 1 and (frame["n_expected"] == 2).all()
    job = hit if (world.copy / "jobs" / hit).exists() else next(iter(world.rows))
    facts = store.intact(job)
    assert facts is None or (facts["pixel_sha256"] and len(facts["shape"]) == 4)
    try:
        assert store.clip(job).dtype == np.uint8
    except Damaged as fault:
        assert str(fault)


@holds_for(st.sampled_from(KINDS), st.data(), dear=7)
def test_running_again_makes_everything_good(world, kind, data):
    file, content = other_bytes(data.draw, world, kind)
    store = world.damage(file, content)
    before = len(world.lab.made())
    outcome = answer(world.run_again, store)
    assert outcome is not None and outcome[3:] == (0, 0), outcome
    made = [one for one in world.lab.made()[before:] if not one.startswith("batch")]
    assert len(made) <= (1 if kind in ("sidecar", "video") else 0)  # nothing is made that was there
    assert world.by_job(store.load_rows("r")[0]) == world.rows
    assert store.set_rows("r") == world.set_rows
    for video in world.files["video"]:
        assert np.array_equal(store.clip(job_of(video)), Store(world.root).clip(job_of(video)))


@holds_for(st.data(), dear=4)
def test_a_damaged_manifest_costs_its_own_run_alone(world, data):
    file, content = other_bytes(data.draw, world, "manifest")
    store = world.damage(file, content)
    told = answer(store.load_rows, "r")
    if told is not None:
        for row in told[0]:
            assert {
                "job",
                "method",
                "label",
                "suite",
                "split",
                "case",
                "seed",
                "metric",
                "value",
                "status",
            } == row.keys()
    for number in (1, 2):
        answer(table, number, world.copy, "r", True)
    assert store.runs() in (["other", "r"], ["other"])
    assert world.by_job(store.load_rows("other")[0]) == world.rows


@holds_for(st.data(), dear=2)
def test_damaged_set_metrics(world, data):
    file, content = other_bytes(data.draw, world, "set")
    store = world.damage(file, content)
    assert isinstance(store.set_rows("r"), list)
    frame = answer(table, 2, world.copy, "r", True)
    assert frame is None or len(frame)
    assert world.by_job(store.load_rows("r")[0]) == world.rows


@holds_for(st.data())
def test_a_damaged_cache_is_no_cache(world, data):
    file, content = other_bytes(data.draw, world, "cache")
    store = world.damage(file, content)
    (path,) = [world.copy / file]
    store._cache_path = lambda model, key: path  # the ids of the models are not told by the folder's name
    arrays = store.arrays("any", "key")
    if arrays is not None:
        with np.load(world.root / file) as whole:
            assert arrays.keys() == set(whole.files)
            assert all(np.array_equal(arrays[name], whole[name], equal_nan=True) for name in whole.files)
