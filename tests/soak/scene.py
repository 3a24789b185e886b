"""A folder of runs that faults are brought upon, and the books that are kept of it: what was done stays done, is not
made again, and the tables at the end are those of a run that nothing happened to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from quick_lab import LOG

from ivgbench.errors import UserError
from ivgbench.report import render, tables
from ivgbench.store.records import Damaged
from ivgbench.store.runs import Store

HERE = Path(__file__).parent
SPEC = """
name = "{name}"
suites = ["static", "dynamic"]
cases = {cases}
ground_truth = true
references = {references}
reference_videos = 4
[[methods]]
method = "plain"
options = {{ shift = 0.3 }}
[[methods]]
method = "tid"
"""
#: Seconds after which a command that has not ended is one that hangs.
PATIENCE = 300


class Ended(NamedTuple):
    """How a command ended: its exit code (negative: the signal that killed it) and the lines that it told."""

    code: int
    told: str

    def line(self) -> str:
        """The one line of an error: the last one that is no progress."""
        lines = [line for line in self.told.splitlines() if line.startswith("ivgbench: ")]
        return lines[-1] if lines else ""


class Scene:
    """`root`: the folder of runs. `times`: how often the fault struck. `lost`, `doubled`: jobs whose clips were whole
    and are not there any more, or were made again. `faults`: what else went wrong, in words."""

    def __init__(self, folder: Path, expected: dict[str, bytes] | None = None, small: bool = False):
        """small: a case of each suite, and no reference: a third of the time."""
        self.folder, self.root, self.small = folder, folder / "runs", small
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "made.log"
        self.expected = expected
        self.times = 0
        self.lost: set[str] = set()
        self.doubled: set[str] = set()
        self.faults: list[str] = []
        self._whole: set[str] = set()
        self._read = 0

    # ---- commands

    def spec(self, name: str = "r", cases: int | None = None) -> Path:
        path = self.folder / f"{name}.toml"
        references = "[]" if self.small else '["world"]'
        path.write_text(SPEC.format(name=name, cases=cases or (1 if self.small else 2), references=references))
        return path

    def start(
        self, *more: str, name: str = "r", cases: int | None = None, workers: int = 1, told: object = None, **env: str
    ) -> subprocess.Popen:
        """`ivgbench run`, in a process group of its own."""
        command = [sys.executable, str(HERE / "child.py"), "run", "--spec", str(self.spec(name, cases))]
        command += ["--runs", str(self.root), "--workers", str(workers), *more]
        environment = {**os.environ, LOG: str(self.log), "PYTHONWARNINGS": "ignore", **env}
        return subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=told or subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip

    def run(self, *more: str, strike: Callable[[subprocess.Popen], None] | None = None, **asked: object) -> Ended:
        """The same to its end. strike: what is done to it meanwhile. A traceback is a fault, whatever happened."""
        with tempfile.TemporaryFile() as told:
            process = self.start(*more, told=told, **asked)
            try:
                if strike is not None:
                    strike(process)
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.faults.append("a command hangs")
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            told.seek(0)
            ended = Ended(process.returncode, told.read().decode(errors="replace"))
        # A signal that comes while Python cleans an object up is told and forgotten by Python itself.
        if "Traceback" in ended.told and "Exception ignored in" not in ended.told:
            self.faults.append(f"a traceback: {ended.told[ended.told.index('Traceback') :][:3000]}")
        return ended

    # ---- books

    def whole(self) -> set[str]:
        """The jobs whose clips are there as they were written: all read, no index believed."""
        store, found = Store(self.root), set()
        for path in (self.root / "jobs").glob("*"):
            with suppress(Damaged, OSError):
                if store.sidecar(path.name) is not None:
                    found.add(path.name)
        return found

    def look(self, hurt: set[str] = frozenset()) -> None:
        """Notes what is whole now, but for the jobs that were `hurt` on purpose; what was before and is not any more is
        lost, and what has been made since though it was whole is doubled."""
        made = self.log.read_text().split() if self.log.exists() else []
        self.doubled |= set(made[self._read :]) & self._whole
        self._read = len(made)
        now = self.whole()
        self.lost |= self._whole - now - set(hurt)
        self._whole = now - set(hurt)

    def expect(self, right: bool, otherwise: str) -> None:
        if not right:
            self.faults.append(otherwise)

    # ---- the end

    def finish(self) -> None:
        """Runs to the end, undisturbed, and compares the tables."""
        self.look()
        ended = self.run()
        self.expect(ended.code == 0, f"the run does not end: exit code {ended.code}: {ended.line()}")
        self.look()
        if ended.code == 0:
            self.same("at the end")

    def same(self, when: str) -> None:
        """Compares the tables with those of an undisturbed run."""
        if self.expected is None:
            return
        try:
            found = tables_of(self.root)
        except UserError as fault:
            self.faults.append(f"{when}: no table: {fault}")
            return
        differing = [name for name in self.expected if found.get(name) != self.expected[name]]
        self.expect(not differing, f"{when}: {', '.join(differing)} differ")

    def begin_again(self, finish: bool = True) -> None:
        """Finishes, and empties the folder."""
        if finish:
            self.finish()
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.forget()

    def forget(self) -> None:
        """The folder was emptied on purpose."""
        self._whole = set()

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.faults)


def tables_of(root: Path, run: str = "r") -> dict[str, bytes]:
    """Tables 1 and 2 as files, by their names; and what was noted of every row."""
    found = {}
    for number in (1, 2) if Store(root).set_rows(run) else (1,):
        table = tables.build(number, root, run)
        found[f"table{number}.csv"] = render.csv(table).encode()
        found[f"table{number}.md"] = render.markdown(table).encode()
    rows = Store(root).load_rows(run)[0]
    found["rows"] = "\n".join(map(repr, rows)).encode()
    return found


def undisturbed(folder: Path, small: bool = False) -> dict[str, bytes]:
    """The tables of a run that nothing happens to."""
    scene = Scene(folder, small=small)
    ended = scene.run()
    if ended.code:
        raise AssertionError(ended.told[-2000:])
    return tables_of(scene.root)
