"""Metrics of whole sets: FID, KID and JEDi of every method's clips, static and dynamic together, against references.

Features are cached per video, and the statistics of a reference as a whole, by content and the encoder's id. One
encoder is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.metrics import jedi, kernel, kid
from ivgbench.metrics.fid import Gaussian, gaussian, interval
from ivgbench.metrics.jedi import SCALE, quadratic
from ivgbench.metrics.kid import cubic
from ivgbench.runs import references
from ivgbench.runs.clip_store import each_done
from ivgbench.runs.engines import Failure
from ivgbench.runs.identity import FLOOR, Entry
from ivgbench.runs.planning import Plan
from ivgbench.runs.progress import log, progress
from ivgbench.runs.references import Video
from ivgbench.runs.store import Store

#: Raised when a result of the same features changes.
SETS_VERSION = 2
#: Metrics of a method's clips as a set: name -> what it is. ivgbench.metrics defines them.
METRICS: dict[str, str] = {
    "fid": "Frechet distance of the features of all frames to the reference's",
    "kid": "mean over random subsets of frames of the squared MMD to the reference; kid_std its deviation",
    "kid_xvideo": "the same over all pairs of frames of different videos",
    "jedi": "100 x squared MMD of clip features to the reference's, as released (biased)",
    "jedi_unbiased": "the same without bias",
    "jedi_v2": "as jedi with the features of V-JEPA 2: another scale, never to be compared with jedi",
}
KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000


class Encoder(NamedTuple):
    """An encoder of "frames" (FID, KID) or of the whole "video" (JEDi), by its name in the spec and its id."""

    of: str
    name: str
    id: str


class Comparison(NamedTuple):
    """A row to compute: the videos of a method against those of a reference, by their sorted keys."""

    reference: str
    label: str
    method: str
    clips: tuple[str, ...]
    against: tuple[str, ...]

    def content(self, encoders: Sequence[Encoder]) -> str:
        """Hash of all that the row's numbers depend on."""
        return digest([SETS_VERSION, self.clips, self.against, [encoder.id for encoder in encoders]])


def measure(plan: Plan, store: Store, lab: Any, engine: Any) -> int:
    """Compares a run's methods with its references and stores the rows. Returns how many things had to be computed.

    Every method is measured on the same cases: those of which all methods have a clip; cases with a failed clip are
    left out. Nothing is measured while clips are still to be made (another shard may be at work).

    Raises:
        UserError: a reference that is not there, or a video that cannot be read.
    """
    clips = _clips(plan.entries, store)
    count = min(map(len, clips.values()), default=0)
    if count < 2:
        log("FID, KID and JEDi wait until every method has clips of at least 2 cases")
        return 0
    sources: dict[str, Video | str] = {key: job for found in clips.values() for key, job in found}
    comparisons = []
    for source in plan.spec.references:
        chosen = references.gather(source, count, plan.spec, plan.suites.values(), lab)
        sources |= {video.key: video for video in (*chosen.videos, *chosen.floor)}
        rows = {name: [key for key, _ in found] for name, found in clips.items()}
        if chosen.floor:
            rows[FLOOR, FLOOR] = [video.key for video in chosen.floor]
        against = tuple(sorted(video.key for video in chosen.videos))
        comparisons += [Comparison(chosen.name, *name, tuple(sorted(keys)), against) for name, keys in rows.items()]
    encoders = _encoders(plan, lab)
    looked = sum(_embed(store, lab, engine, encoder, plan.spec.clip, sources) for encoder in encoders)
    known = {row["content"]: row for row in store.set_rows(plan.spec.name)}
    todo = [one for one in comparisons if one.content(encoders) not in known]
    start = partial(Comparer, store, lab, encoders)
    against = list({one.against: one for one in todo})
    list(_each(engine, "references", start, Comparer.prepare, [(keys, e) for keys in against for e in encoders]))
    known |= {row["content"]: row for row in _each(engine, "sets", start, Comparer.compare, todo)}
    expected = max(len({one.job.id for one in plan.entries if one.label == label}) for label, _ in clips)
    rows = []
    for one in comparisons:
        about = {"reference": one.reference, "label": one.label, "method": one.method, "n_expected": expected}
        about |= {
            "against": digest(one.against),
            "jobs": jobs_digest(entry.job.id for entry in plan.entries),
            "encoders": {f"{e.of} {e.name}": e.id for e in encoders},
        }
        rows.append({**known[one.content(encoders)], **about})
    store.save_set_rows(plan.spec.name, rows)
    return looked + len(todo)


def jobs_digest(ids: Iterable[str]) -> str:
    """Hash of the jobs of a run: rows that were computed for other jobs are out of date."""
    return digest(sorted(ids))


def _clips(entries: Sequence[Entry], store: Store) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(label, method) -> (key, job id) of its clips, of the cases that all have; empty while some are to be made.

    A clip that stands in two suites counts once.
    """
    ids = {entry.job.id for entry in entries}
    done = each_done(store, list(ids), log)
    if any(job not in done and store.failure(job) is None for job in ids):
        return {}
    cases: dict[tuple, set[str]] = {}
    for entry in entries:
        if entry.job.id in done:
            cases.setdefault((entry.suite, entry.case.id, entry.seed), set()).add(entry.label)
    labels = {entry.label for entry in entries}
    found: dict[tuple[str, str], dict[str, str]] = {(entry.label, entry.job.method): {} for entry in entries}
    for entry in entries:
        if cases.get((entry.suite, entry.case.id, entry.seed)) == labels:
            found[entry.label, entry.job.method][entry.job.id] = done[entry.job.id]["pixel_sha256"]
    return {row: [(key, job) for job, key in clips.items()] for row, clips in found.items()}


def _encoders(plan: Plan, lab: Any) -> list[Encoder]:
    spec = plan.spec
    made = [Encoder("frames", name, lab.frame_encoder(name, spec.clip).id) for name in spec.frame_encoders]
    return [*made, Encoder("video", spec.video_encoder, lab.video_encoder(spec.video_encoder).id)]


def _each(engine: Any, what: str, start: Any, work: Any, items: Sequence[Any]) -> Iterator[Any]:
    """Results of work on each item, as they come; a failure ends it with its reason."""
    with progress(what, len(items)) as advance:
        for _, outcome in engine.run(start, work, items):
            if isinstance(outcome, Failure):
                raise UserError(f"{what}: {outcome.reason}")
            yield outcome
            advance()


# ---- features


class Embedder:
    """What an embedding worker holds: the store and one encoder."""

    def __init__(self, store: Store, lab: Any, encoder: Encoder, clip: str):
        lab.start_worker()
        self.store, self.encoder = store, encoder
        if encoder.of == "video":
            self.embed_video = lab.video_encoder(encoder.name).embed_clip
        else:
            self.embed_video = lab.frame_encoder(encoder.name, clip).embed_video

    def embed(self, item: tuple[str, Video | str]) -> None:
        """Caches the features of a video, or of a job's clip."""
        key, source = item
        video = self.store.clip(source) if isinstance(source, str) else source.load()
        self.store.save_arrays(self.encoder.id, key, {self.encoder.of: np.asarray(self.embed_video(video))})


def _embed(store: Store, lab: Any, engine: Any, encoder: Encoder, clip: str, sources: dict[str, Video | str]) -> int:
    """Embeds what is not cached; returns how much that was."""
    items = [(key, source) for key, source in sources.items() if store.arrays(encoder.id, key) is None]
    list(_each(engine, f"embed: {encoder.name}", partial(Embedder, store, lab, encoder, clip), Embedder.embed, items))
    return len(items)


# ---- comparisons


class Comparer:
    """What a comparing worker holds: the store and the encoders' ids."""

    def __init__(self, store: Store, lab: Any, encoders: Sequence[Encoder]):
        lab.start_worker()
        self.store, self.encoders = store, encoders

    def prepare(self, item: tuple[tuple[str, ...], Encoder]) -> None:
        """Caches the statistics of a reference that do not depend on what it is compared with."""
        keys, encoder = item
        x, owner = self._features(keys, encoder)
        if encoder.of == "video":
            statistics = {"sums": kernel.own_sums(x, owner, quadratic(x.shape[1]))}
        else:
            statistics = {"sums": kernel.own_sums(x, owner, cubic(x.shape[1])), **gaussian(x)._asdict()}
        self.store.save_arrays(encoder.id, _set_key(keys), statistics)

    def compare(self, item: Comparison) -> dict[str, Any]:
        """A row: counts, and "metrics": those of "frames" by the encoder's name, and those of "video"."""
        metrics: dict[str, Any] = {"frames": {}}
        for encoder in self.encoders:
            x, owner = self._features(item.clips, encoder)
            y, other = self._features(item.against, encoder)
            known = self.store.arrays(encoder.id, _set_key(item.against))
            if encoder.of == "video":
                metrics["video"] = video_metrics(x, y, known["sums"], jedi_name(encoder.name))
            else:
                reference = Gaussian(known["mean"], known["root"])
                metrics["frames"][encoder.name] = frame_metrics(x, owner, y, other, reference, known["sums"])
                frames = {"n_frames": len(x), "reference_frames": len(y)}
        counts = {"n_videos": len(item.clips), "reference_videos": len(item.against), **frames}
        return {"content": item.content(self.encoders), "metrics": metrics, **counts}

    def _features(self, keys: Sequence[str], encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
        """Features of all videos [N,D], and the number of the video that each row is of [N]."""
        parts = [np.atleast_2d(self.store.arrays(encoder.id, key)[encoder.of]) for key in keys]
        return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _set_key(keys: Sequence[str]) -> str:
    return f"set-{digest(keys)[:32]}"


def frame_metrics(
    x: np.ndarray, owner: np.ndarray, y: np.ndarray, other: np.ndarray, reference: Gaussian, sums: np.ndarray
) -> dict[str, float]:
    """FID and KID of frames x against y, whose Gaussian and kernel sums are known. Intervals are over x's videos."""
    size = min(KID_SUBSET_SIZE, len(x) // 2, len(y) // 2)
    mean, deviation = kid(x, y, KID_SUBSETS, size)
    across = kernel.interval(kernel.video_sums(x, y, owner, other, cubic(x.shape[1]), sums))
    value = interval(x, owner, reference)
    return {
        "fid": value.value, "fid_low": value.low, "fid_high": value.high, "kid": mean, "kid_std": deviation,
        "kid_subset_size": size, "kid_xvideo": across.value, "kid_xvideo_low": across.low,
        "kid_xvideo_high": across.high, "dimension": x.shape[1],
    }  # fmt: skip


def jedi_name(encoder: str) -> str:
    """What the distance is called with a video encoder: the published name is for the published network's layout."""
    return "jedi_v2" if encoder.partition(":")[0] == "vjepa2" else "jedi"


def video_metrics(x: np.ndarray, y: np.ndarray, sums: np.ndarray, name: str = "jedi") -> dict[str, float]:
    """JEDi of clips x against y, whose kernel sums are known, under a `name`."""
    k = quadratic(x.shape[1])
    value = kernel.interval(kernel.video_sums(x, y, range(len(x)), range(len(y)), k, sums))
    return {
        name: jedi(x, y), f"{name}_unbiased": SCALE * value.value, f"{name}_unbiased_low": SCALE * value.low,
        f"{name}_unbiased_high": SCALE * value.high, "dimension": x.shape[1],
    }  # fmt: skip
