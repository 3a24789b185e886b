"""The clips of jobs on disk: lossless, hashed, never half there; and why a job has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ivgbench.errors import UserError
from ivgbench.files import file_sha256, write_atomic
from ivgbench.store import video as videos
from ivgbench.store.index import Index, stamps
from ivgbench.store.records import Damaged, read_record, write_record

#: What of a sidecar the later stages of a run read. The rest, what was asked and with what, is for people.
FACTS = ("pixel_sha256", "shape", "nfe", "backward", "seconds")


class ClipStore:
    """ROOT/jobs of `ivgbench.store.runs`."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.index = Index(self.root / "index.json")

    def video_path(self, job: str) -> Path:
        return self.root / "jobs" / job / "video.mkv"

    def _sidecar_path(self, job: str) -> Path:
        return self.root / "jobs" / job / "sidecar.json"

    def _failed_path(self, job: str) -> Path:
        return self.root / "jobs" / job / "failed.json"

    def save_clip(self, job: str, video: np.ndarray, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Stores a clip uint8 [F,H,W,3] and its sidecar (returned): `facts` plus the hashes. Clears an old failure."""
        data = videos.encode(video)
        path = self.video_path(job)
        write_atomic(path, lambda handle: handle.write(data))
        sidecar = {
            **facts,
            "job": job,
            "video_sha256": file_sha256(path),
            "pixel_sha256": videos.pixel_sha256(video),
            "shape": list(video.shape),
        }
        write_record(self._sidecar_path(job), sidecar)
        self.clear_failure(job)
        return sidecar

    def sidecar(self, job: str) -> dict[str, Any] | None:
        """The sidecar of a job that is done; None when there is no clip.

        Raises:
            Damaged: the files are there, but not as they were written, or they are another job's.
        """
        try:
            facts = read_record(self._sidecar_path(job))
        except FileNotFoundError:
            return None
        video = self.video_path(job)
        if facts.get("job") != job:
            raise Damaged(f"{video} is the clip of another job")
        if not video.exists():
            raise Damaged(f"{video} is gone")
        if file_sha256(video) != facts.get("video_sha256"):
            raise Damaged(f"{video} does not have the hash it was written with")
        return facts

    def noted(self, job: str) -> dict[str, Any] | None:
        """The sidecar of a job whose clip is there, taken at its word: the clip is not read. None without either."""
        try:
            return read_record(self._sidecar_path(job)) if self.video_path(job).exists() else None
        except (FileNotFoundError, Damaged):
            return None

    def facts(self, job: str) -> dict[str, Any] | None:
        """The `FACTS` of a job that is done, as far as its sidecar has them; None when there is no clip.

        The clip is hashed unless it has the size and time that it had when it was hashed before.

        Raises:
            Damaged: as `sidecar`.
        """
        folder = f"{self.root}/jobs/{job}"  # a Path takes longer to make than its file to be looked at
        found = stamps(f"{folder}/sidecar.json", f"{folder}/video.mkv")
        if found is not None and (known := self.index.get(f"clip {job}", found)) is not None:
            return known
        sidecar = self.sidecar(job)
        if sidecar is None:
            return None
        facts = {name: sidecar[name] for name in FACTS if name in sidecar}
        self.index.put(f"clip {job}", found, facts)
        return facts

    def intact(self, job: str) -> dict[str, Any] | None:
        """The `facts` of a job whose clip is there as it was written; None when it is damaged or there is none."""
        try:
            return self.facts(job)
        except Damaged:
            return None

    def intact_sidecar(self, job: str) -> dict[str, Any] | None:
        """The whole sidecar of such a job, what was asked for among it; None where `intact` is None."""
        try:
            return self.sidecar(job)
        except Damaged:
            return None

    def clip(self, job: str) -> np.ndarray:
        """The pixels of a job that is done, uint8 [F,H,W,3]; Damaged when they are not what was stored."""
        facts = self.sidecar(job)
        if facts is None:
            raise Damaged(f"{self.video_path(job)} does not exist")
        video = videos.decode_own(self.video_path(job))
        if videos.pixel_sha256(video) != facts["pixel_sha256"]:
            raise Damaged(f"{self.video_path(job)} decodes to other pixels than were stored")
        return video

    def discard(self, job: str) -> None:
        """Removes a damaged clip, the sidecar first: without it there is no clip."""
        self._sidecar_path(job).unlink(missing_ok=True)
        self.video_path(job).unlink(missing_ok=True)

    def pixels(self, job: str) -> str:
        """Hash of the pixels of a job that is done. UserError where there is no clip."""
        facts = self.sidecar(job)
        if facts is None:
            raise UserError(f"the clip of job {job} is gone; run the same again")
        return facts["pixel_sha256"]

    def fail(self, job: str, reason: str, facts: Mapping[str, Any]) -> None:
        """Records why a job has no clip. The next run tries it again."""
        write_record(self._failed_path(job), {**facts, "job": job, "reason": reason})

    def clear_failure(self, job: str) -> None:
        self._failed_path(job).unlink(missing_ok=True)

    def failure(self, job: str) -> str | None:
        """Why the last attempt at a job failed, on one line; None when there was no failure."""
        try:
            return " ".join(str(read_record(self._failed_path(job))["reason"]).split())
        except FileNotFoundError:
            return None
        except Damaged as fault:
            return str(fault)

    def attempted(self, job: str) -> dict[str, Any]:
        """The spec of a job, as its sidecar or the record of its failure has it, taken at its word; {} without either.

        It is what was asked for, also where no clip came of it or the clip is damaged.
        """
        for path in (self._sidecar_path(job), self._failed_path(job)):
            try:
                return dict(read_record(path).get("spec") or {})
            except (FileNotFoundError, Damaged):
                continue
        return {}


def each_done(store: ClipStore, jobs: list[str], say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """The facts of the jobs that are done. Damaged clips are removed, with a message, so that they are made again."""
    done = {}
    for job in jobs:
        try:
            facts = store.facts(job)
        except Damaged as fault:
            say(f"damaged clip: {fault}; making it again")
            store.discard(job)
            continue
        if facts is not None:
            done[job] = facts
    return done
