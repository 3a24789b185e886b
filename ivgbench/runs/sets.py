"""Metrics of whole sets: FID, KID and JEDi of every method's clips, static and dynamic together, against references
(`metrics.catalogue.OF_SETS`).

One encoder is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ivgbench.engines.base import Failure
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.runs import references
from ivgbench.runs.comparing import Comparer, Comparison, Embedder, Encoder, set_key
from ivgbench.runs.identity import FLOOR, Entry, clips_digest
from ivgbench.runs.planning import Plan
from ivgbench.runs.progress import log, progress
from ivgbench.runs.references import ReferenceSet, Video
from ivgbench.store.clips import each_done
from ivgbench.store.runs import Store


def measure(plan: Plan, store: Store, lab: Any, engine: Any) -> int:
    """Compares a run's methods with its references and stores the rows. Returns how many things had to be computed.

    Every method is measured on the same cases: those of which all methods have a clip; cases with a failed clip are
    left out. Nothing is measured while clips are still to be made (another shard may be at work).

    Raises:
        UserError: a reference that cannot be used; after the others have been measured and stored.
    """
    ids = list({entry.job.id: None for entry in plan.entries})
    done = each_done(store, ids, log)
    clips = _clips(plan.entries, store, done)
    count = min(map(len, clips.values()), default=0)
    if count < 2:
        log("FID, KID and JEDi wait until every method has clips of at least 2 cases")
        return 0
    encoders, chosen, faults = _encoders(plan, lab), {}, []
    comparisons: list[Comparison] = []
    for source, name in references.named(plan.spec.references).items():
        try:
            chosen[name] = references.gather(source, name, count, plan, store, lab, engine)
            comparisons += _comparisons(chosen[name], clips, encoders, store)
        except UserError as fault:
            faults.append(str(fault))
    known = {row["content"]: row for row in store.set_rows(plan.spec.name)}
    todo = [one for one in comparisons if one.content() not in known]
    looked, failed = _embed_all(plan, clips, chosen.values(), comparisons, todo, store, lab, engine)
    todo = [one for one in todo if not failed.keys() & {*one.clips, *one.against}]
    start = partial(Comparer, store, lab)
    sums = list({(one.against, encoder): None for one in todo if one.frames is None for encoder in one.encoders})
    failed |= {
        one[0]: outcome.reason
        for one, outcome in _each(engine, "references", start, Comparer.prepare, sums)
        if isinstance(outcome, Failure)
    }
    todo = [one for one in todo if one.against not in failed]
    for one, outcome in _each(engine, "sets", start, Comparer.compare, todo):
        if isinstance(outcome, Failure):
            failed[one] = f"--reference {one.reference}: {outcome.reason}"
        else:
            known[outcome["content"]] = outcome
    faults += dict.fromkeys(failed.values())
    comparisons = [one for one in comparisons if one.content() in known]
    expected = max(len({one.job.id for one in plan.entries if one.label == label}) for label, _ in clips)
    rows = []
    for one in comparisons:
        about = {"reference": one.reference, "label": one.label, "method": one.method, "n_expected": expected}
        about |= {
            "against": digest(one.against),
            "clips": clips_digest({job: done.get(job) for job in ids}),
            "encoders": {f"{e.of} {e.name}": e.id for e in encoders},
            "reference_unreadable": chosen[one.reference].unreadable,
            "reference_copies": chosen[one.reference].copies,
        }
        rows.append({**known[one.content()], **about})
    if rows or not faults:
        store.save_set_rows(plan.spec.name, rows)
    if faults:
        raise UserError("; ".join(faults))
    return looked + len(todo)


def _clips(
    entries: Sequence[Entry], store: Store, done: Mapping[str, dict[str, Any]]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(label, method) -> (key, job id) of its clips, of the cases that all have; empty while some are to be made.

    A clip that stands in two suites counts once.
    """
    if any(entry.job.id not in done and store.failure(entry.job.id) is None for entry in entries):
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


def _encoders(plan: Plan, lab: Any) -> tuple[Encoder, ...]:
    """Those of frames, and the one of videos if the run names one."""
    spec = plan.spec
    made = [Encoder("frames", name, lab.frame_encoder_id(name, spec.clip)) for name in spec.frame_encoders]
    if spec.video_encoder is not None:
        made.append(Encoder("video", spec.video_encoder, lab.video_encoder_id(spec.video_encoder)))
    ids = [encoder.id for encoder in made]
    if twice := [encoder.name for encoder in made if ids.count(encoder.id) > 1]:
        # Features are kept by id: one would be taken for the other's.
        raise UserError(f"run {spec.name!r}: the encoders {' and '.join(twice)} have one id; name each model once")
    return tuple(made)


def _comparisons(
    chosen: ReferenceSet,
    clips: dict[tuple[str, str], list[tuple[str, str]]],
    encoders: tuple[Encoder, ...],
    store: Store,
) -> list[Comparison]:
    """A reference's rows. UserError for statistics of another encoder than the run has."""
    rows = {name: [key for key, _ in found] for name, found in clips.items()}
    statistics = chosen.statistics
    if statistics is None:
        if chosen.floor:
            rows[FLOOR, FLOOR] = [video.key for video in chosen.floor]
        against = tuple(sorted(video.key for video in chosen.videos))
        return [Comparison(chosen.name, *name, tuple(sorted(keys)), against, encoders) for name, keys in rows.items()]
    fitting = tuple(one for one in encoders if one.of == "frames" and one.id == statistics.encoder)
    if not fitting:
        ids = ", ".join(one.id for one in encoders if one.of == "frames")
        raise UserError(
            f"--reference {chosen.name}: its statistics are of the frame encoder {statistics.encoder}, and this run "
            f"has {ids}: features of different encoders cannot be compared"
        )
    against = (statistics.key,)
    for encoder in fitting:
        store.save_arrays(encoder.id, set_key(against), statistics.gaussian._asdict())
    return [
        Comparison(chosen.name, *name, tuple(sorted(keys)), against, fitting, statistics.frames)
        for name, keys in rows.items()
    ]


def _embed_all(
    plan: Plan,
    clips: dict[tuple[str, str], list[tuple[str, str]]],
    chosen: Iterable[ReferenceSet],
    comparisons: Sequence[Comparison],
    todo: Sequence[Comparison],
    store: Store,
    lab: Any,
    engine: Any,
) -> tuple[int, dict[Any, str]]:
    """Embeds what is not cached, with the encoders that are compared by. What is to be read now, for the comparisons
    `todo`, must also be readable.

    Returns how much that was, and the keys of what could not be embedded, with the reasons.
    """
    sources: dict[str, Video | str] = {key: job for found in clips.values() for key, job in found}
    sources |= {video.key: video for one in chosen for video in (*one.videos, *one.floor)}
    looked, failed = 0, {}
    for encoder in dict.fromkeys(encoder for one in comparisons for encoder in one.encoders):
        there = store.cached(encoder.id)
        read = {key for one in todo if encoder in one.encoders for key in (*one.clips, *one.against)}
        items = [
            (key, source)
            for key, source in sources.items()
            if key not in there or (key in read and store.arrays(encoder.id, key) is None)
        ]
        start = partial(Embedder, store, lab, encoder, plan.spec.clip)
        for (key, _), outcome in _each(engine, f"embed: {encoder.name}", start, Embedder.embed, items):
            looked += 1
            if isinstance(outcome, Failure):
                failed[key] = f"{encoder.name}: {outcome.reason}"
    return looked, failed


def _each(engine: Any, what: str, start: Any, work: Any, items: Sequence[Any]) -> Iterator[Any]:
    """(item, outcome) of work on each item, as they come; an outcome may be a `Failure`."""
    with progress(what, len(items)) as advance:
        for index, outcome in engine.run(start, work, items):
            yield items[index], outcome
            advance()
