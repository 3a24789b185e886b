"""Files of a finished run that are damaged afterwards, in every way and every kind of file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

from scene import HERE, Scene

#: Kinds of files, by how they are found below the folder of runs.
KINDS = {
    "clip": "jobs/*/video.mkv", "sidecar": "jobs/*/sidecar.json", "score": "scores/*.json", "cached": "cache/*/*.npz",
    "sets": "sets/*.json", "manifest": "manifests/*.json", "index": "index.json",
}  # fmt: skip


def truncated(file: Path, rng: Random, others: list[Path]) -> None:
    os.truncate(file, rng.randrange(file.stat().st_size))


def turned(file: Path, rng: Random, others: list[Path]) -> None:
    """One bit."""
    data, at = bytearray(file.read_bytes()), rng.randrange(file.stat().st_size)
    data[at] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def noise(file: Path, rng: Random, others: list[Path]) -> None:
    file.write_bytes(rng.randbytes(file.stat().st_size))


def deleted(file: Path, rng: Random, others: list[Path]) -> None:
    file.unlink()


def swapped(file: Path, rng: Random, others: list[Path]) -> None:
    """With another of its kind."""
    other = rng.choice(others)
    mine, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    other.write_bytes(mine)


def swapped_whole(file: Path, rng: Random, others: list[Path]) -> None:
    """Its folder with another one's, both with all that is in them."""
    one, other = file.parent, rng.choice(others).parent
    if one == other or one.parent.name != "jobs":
        return
    one.rename(one.with_name("between"))
    other.rename(one)
    one.with_name("between").rename(other)


def folder_deleted(file: Path, rng: Random, others: list[Path]) -> None:
    """All beside it."""
    if file.name != "index.json":
        shutil.rmtree(file.parent)


WAYS = (truncated, turned, noise, deleted, swapped, swapped_whole, folder_deleted)


def damaged(scene: Scene, rng: Random, times: int) -> None:
    """One to three files at a time: found by the next run, which makes again what it must, and nothing else."""
    scene.run()
    every = [(kind, way) for kind in KINDS for way in WAYS]
    rng.shuffle(every)
    for number in range(times):
        scene.look()
        hurt, what = set(), []
        for kind, way in (every[number % len(every)], *rng.sample(every, rng.randint(0, 2))):
            files = sorted(path for path in scene.root.glob(KINDS[kind]) if path.is_file() and path.stat().st_size)
            if files:
                before = scene.whole()
                way(rng.choice(files), rng, files)
                hurt |= before - scene.whole()
                what.append(f"{kind} {way.__name__}")
        scene.times += 1
        scene.look(hurt)
        ended = scene.run()
        scene.expect(ended.code == 0, f"{', '.join(what)}: exit code {ended.code}: {ended.line()}")
        scene.same(", ".join(what))


def unseen(scene: Scene, rng: Random, times: int) -> None:
    """Damage under the same size and time: the next run does not see it, and `doctor --deep` does."""
    scene.run()
    for _ in range(times):
        scene.look()
        kind = rng.choice(["clip", "sidecar", "score", "cached"])
        file, before = rng.choice(sorted(scene.root.glob(KINDS[kind]))), scene.whole()
        about = file.stat()
        turned(file, rng, [])
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
        scene.times += 1
        hurt = before - scene.whole()
        command = [sys.executable, str(HERE / "child.py"), "doctor", "--deep", "--runs", str(scene.root)]
        told = subprocess.run(command, capture_output=True, text=True)
        scene.expect(str(file) in told.stdout + told.stderr or file.parent.name in told.stdout + told.stderr,
                     f"doctor --deep does not tell of a damaged {kind}")  # fmt: skip
        scene.look(hurt)
        scene.run()
        scene.same(f"{kind} unseen")


FAULTS = {"damaged": (damaged, 56), "damaged unseen": (unseen, 8)}
