"""What the harness itself costs, in CPU time: on a lab without models, so that nothing else is measured.

    python benchmarks/overhead.py rerun [--jobs 192]            a finished run again: seconds, cache reads, hashes
    python benchmarks/overhead.py score                         one clip's score at 50, 200 and 800 captions
    python benchmarks/overhead.py jobs [--jobs 10000]           tiny jobs from nothing; memory after a tenth and all
    python benchmarks/overhead.py plan [--jobs 100000]          planning, and going on where all jobs are done
    python benchmarks/overhead.py start [--runs DIR --run NAME] --help and table, each in a fresh process

Prints a line per measurement. Seconds are of the processor (user and system), which a busy machine hardly changes; of
processes that were started they are the median of five. Nothing waits for the disk (no fsync).
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from ivgbench import load_suite
from ivgbench.cases import Case, Subject, Suite
from ivgbench.runs import measuring, runner, scoring
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store import clips
from ivgbench.store import runs as stored
from ivgbench.store.runs import Store

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "doubles"))
from fake_lab import FakeLab, InlineEngine


def suite_of(cases: int, name: str = "many") -> Suite:
    """Cases with different prompts and boxes, eight frames each."""
    first = load_suite("static").cases[0]
    boxes = first.subjects[0].boxes
    made = (
        Case(
            f"c{index:06}",
            f"{first.prompt}, number {index}",
            (Subject(first.subjects[0].phrase, boxes * (1 - index * 1e-7)),),
        )
        for index in range(cases)
    )
    return Suite(name, first.frames, tuple(made))


def spec_of(jobs: int, folder: Path) -> RunSpec:
    """A run of so many jobs: two methods, up to 500 cases, as many seeds as it takes."""
    cases = min(500, jobs // 2)
    suite_of(cases).save(folder / "many.jsonl")
    methods = (MethodSpec("plain"), MethodSpec("tid"))
    return RunSpec("r", methods, suites=(str(folder / "many.jsonl"),), seeds=tuple(range(jobs // 2 // cases)))


@contextmanager
def counted() -> Iterator[Counter]:
    """Counts what is read of caches, and which clips are hashed."""
    counts: Counter = Counter()

    def told(name: str, real: Callable) -> Callable:
        def called(*arguments: Any) -> Any:
            counts[name] += 1
            return real(*arguments)

        return called

    arrays = told("cache reads", Store.arrays)
    hashes = told("clips hashed", clips.file_sha256)
    with mock.patch.object(Store, "arrays", arrays), mock.patch.object(clips, "file_sha256", hashes):
        yield counts


@contextmanager
def seconds(what: str, per: int = 0) -> Iterator[Counter]:
    """Prints the CPU time, with `per` in milliseconds each, and what was read."""
    with counted() as counts:
        started = time.process_time()
        yield counts
        took = time.process_time() - started
    each = f" = {1000 * took / per:.2f} ms each" if per else ""
    print(
        f"{what}: {took:.2f} s{each}; {counts['cache reads']} cache reads, {counts['clips hashed']} clips hashed",
        flush=True,
    )


def memory() -> float:
    """MB that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def rerun(folder: Path, jobs: int) -> None:
    spec, lab = spec_of(jobs, folder), FakeLab(folder / "log")
    for what in ("first run", "again", "once more"):
        with seconds(f"{what}, {jobs} jobs"):
            runner.run(make_plan(spec, lab), Store(folder), lab, InlineEngine())


def score(folder: Path) -> None:
    for captions in (50, 200, 800):
        root, suite = folder / str(captions), suite_of(captions)
        root.mkdir()
        suite.save(root / "many.jsonl")
        lab, store = FakeLab(root / "log"), Store(root)
        spec = RunSpec("r", (MethodSpec("plain"),), suites=(str(root / "many.jsonl"),), cases=48)
        runner.run(make_plan(spec, lab), store, lab, InlineEngine())
        for file in (root / "scores").iterdir():
            file.unlink()
        took = []
        real = measuring._score

        def timed(*arguments: Any, real: Callable = real, took: list[float] = took) -> Any:
            started = time.process_time()
            try:
                return real(*arguments)
            finally:
                took.append(time.process_time() - started)

        with mock.patch.object(measuring, "_score", timed), seconds(f"48 clips scored, {captions} captions", 48):
            runner.run(make_plan(spec, lab), Store(root), lab, InlineEngine())
        print(f"one score at {captions} captions: {1000 * statistics.median(took):.2f} ms", flush=True)


class Tiny(FakeLab):
    """Frames of 16 x 16 pixels, and no note of each clip: what is left is the harness."""

    def generate(self, backbone: str, job: Any, callback: object = None) -> Any:
        return self.draw(job.case, 0.0, 1)

    def draw(self, case: Any, shift: float, nfe: int) -> Any:
        made = super().draw(case, shift, nfe)
        return made._replace(video=np.ascontiguousarray(made.video[:, ::3, ::5]))


def jobs(folder: Path, count: int) -> None:
    for part in (count // 10, count):
        root = folder / str(part)
        root.mkdir()
        spec, lab = spec_of(part, root), Tiny(root / "log")
        with seconds(f"{part} tiny jobs", part):
            runner.run(make_plan(spec, lab), Store(root), lab, InlineEngine())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"memory after them: {memory():.0f} MB, peak {peak:.0f} MB", flush=True)


def plan(folder: Path, count: int) -> None:
    spec, lab = spec_of(count, folder), Tiny(folder / "log")
    with seconds(f"planning {count} jobs"):
        made = make_plan(spec, lab)
        assert len(made.jobs) == count
    # What a finished run leaves, without its bytes: only the names, sizes and times of files are looked at.
    store, keys, entries = Store(folder), itertools.count(), {one.job.id: one for one in made.entries}
    judges = scoring.Judges("white-box-1", "hash-clip-1", "hash-clip-1-squash")
    small = replace(spec, seeds=(0,), cases=1)
    runner.run(make_plan(small, lab), store, lab, InlineEngine())
    kept = store.facts(next(iter(make_plan(small, lab).jobs)).id)
    folders = [store._cache_path(model, "").parent for model in judges.models]
    for job, entry in entries.items():
        facts = {**kept, "pixel_sha256": f"{next(keys):064}"}
        store.video_path(job).parent.mkdir(exist_ok=True)
        score_file = store._score_path(scoring.score_id(job, judges, made.suites[entry.suite]))
        for file in (store.video_path(job), store._sidecar_path(job), score_file):
            file.write_bytes(b"")
        for place in folders:
            key = facts["pixel_sha256"]
            name = scoring.detection_key(key, entry.case.subjects[0].phrase) if place == folders[0] else key
            (place / f"{name}.npz").write_bytes(b"")
        store.index.put(f"clip {job}", clips.stamps(store._sidecar_path(job), store.video_path(job)), facts)
        scored = stored._scored_of(facts, judges.metrics())
        store.index.put(f"score {score_file.stem}", clips.stamps(score_file), scored)
    store.index.save()
    runner.run(made, Store(folder), lab, InlineEngine())  # writes the manifest
    with seconds(f"planning and going on with {count} finished jobs"):
        outcome = runner.run(make_plan(spec, lab), Store(folder), lab, InlineEngine())
    assert outcome == ("r", count, 0, 0, 0), outcome


def start(runs: Path | None, run: str | None) -> None:
    commands = [["--help"], ["table", "--help"]]
    if runs is not None:
        commands.append(["table", "1", "--runs", str(runs), *(["--run", run] if run else [])])
    with tempfile.TemporaryDirectory() as folder:
        for command in commands:
            took = []
            for _ in range(5):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                out = ["--out", folder] if "1" in command else []
                subprocess.run(
                    [sys.executable, "-m", "ivgbench", *command, *out],
                    stdout=subprocess.DEVNULL,
                    check=True,
                    stderr=subprocess.DEVNULL,
                )
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            print(f"ivgbench {' '.join(command[:2])}: {statistics.median(took):.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rerun", "score", "jobs", "plan", "start"])
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--run")
    asked = parser.parse_args()
    if asked.what == "start":
        start(asked.runs, asked.run)
        return
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(os, "fsync", lambda _: None):
        place = Path(folder)
        if asked.what == "score":
            score(place)
        else:
            work, usual = {"rerun": (rerun, 192), "jobs": (jobs, 10_000), "plan": (plan, 100_000)}[asked.what]
            work(place, asked.jobs or usual)


if __name__ == "__main__":
    main()
