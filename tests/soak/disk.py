"""Disks that are full, read-only, or gone. They are small file systems in memory, which need the right to mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from scene import Scene

PAGE = 4096
#: A size in which every run fits.
ROOMY = "size=16m"


class Impossible(Exception):
    """This machine does not let the fault happen; the reason."""


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A file system in memory at a folder, of one megabyte at first."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        raise Impossible(f"no right to mount a small file system: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def set_to(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


def full(scene: Scene, rng: Random, times: int) -> None:
    """Full after so many pages, then a few more, until the run fits: one line, exit code 1, and all that was whole
    stays."""
    with mounted(scene.root):
        set_to(scene.root, ROOMY)
        scene.run()
        taken = os.statvfs(scene.root)
        needed = (taken.f_blocks - taken.f_bfree) * taken.f_frsize // PAGE
        scene.begin_again(finish=False)
        while scene.times < times:
            for pages in sorted(rng.sample(range(1, needed - 2), min(8, times - scene.times))):
                set_to(scene.root, f"size={pages * PAGE}")
                ended = scene.run()
                scene.look()
                if ended.code == 0:
                    break
                scene.times += 1
                scene.expect(ended.code == 1, f"exit code {ended.code}: {ended.line()}")
                told = ended.line()
                scene.expect(f"the disk is full ({scene.root}" in told and " free" in told, f"told: {told}")
            set_to(scene.root, ROOMY)
            scene.begin_again()


def read_only(scene: Scene, rng: Random, times: int) -> None:
    """Read-only, begun or finished: one line that says so, tables still to be read."""
    with mounted(scene.root):
        set_to(scene.root, ROOMY)
        while scene.times < times:
            for begun in (True, False):
                set_to(scene.root, "rw")
                scene.run("--shard", "0/2") if begun else scene.run()
                set_to(scene.root, "ro")
                scene.look()
                ended = scene.run()
                scene.times += 1
                told = f"exit code {ended.code}: {ended.line()}"
                scene.expect((ended.code == 2) == begun, told)
                if ended.code:
                    scene.expect("Read-only file system" in told and str(scene.root) in told, told)
                scene.look()
            scene.finish()
            set_to(scene.root, "rw")
            scene.begin_again(finish=False)


def removed(scene: Scene, rng: Random, times: int) -> None:
    """The folder is removed while the run is at work: no harm but the work that was in it."""

    def strike(process: subprocess.Popen) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(1.5, 6))
        shutil.rmtree(scene.root, ignore_errors=True)
        scene.times += 1

    while scene.times < times:
        ended = scene.run(strike=strike)
        scene.expect(ended.code in (0, 1, 2), f"exit code {ended.code}: {ended.line()}")
        scene.forget()


FAULTS = {"disk full": (full, 30), "read-only": (read_only, 4), "folder removed": (removed, 10)}
