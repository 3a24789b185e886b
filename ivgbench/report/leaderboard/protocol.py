"""What results must have in common to stand on one board, and how two boards differ."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ivgbench.files import canonical_json, digest
from ivgbench.report.record import SAMPLED, Record
from ivgbench.runs.identity import EXTERNAL
from ivgbench.runs.option_text import seed_words

#: Of a hash in print.
DIGITS = 12


class Part(NamedTuple):
    """One thing that must be equal. value: what is compared; text: in print."""

    what: str
    value: Any
    text: str


class Protocol(NamedTuple):
    """All of it, of a record that verifies.

    title: what a board is called. command: what makes a run of it, with YOURS for the method.
    """

    title: str
    parts: tuple[Part, ...]
    command: str

    @property
    def id(self) -> str:
        """Equal where all parts are."""
        return digest([[part.what, part.value] for part in self.parts])

    def differences(self, other: Protocol) -> list[str]:
        """What is not equal, in words."""
        pairs = zip(self.parts, other.parts, strict=True)
        return [mine.what for mine, theirs in pairs if mine.value != theirs.value]


def of(record: Record) -> Protocol:
    """The protocol of a record that verifies (`verifying.fault_of`)."""
    assert isinstance(record.backbone, dict), "a record that verifies says so"
    name, weights = record.backbone["name"], record.backbone["weights"]
    cases = sorted({(clip.suite, clip.split, clip.case) for clip in record.clips})
    counts = Counter(split for _, split, _ in cases)
    splits = sorted(counts, key=split_order)
    names = dict.fromkeys(suite for suite, _, _ in sorted(cases, key=lambda one: (split_order(one[1]), one)))
    suites = {suite: record.suites[suite] for suite in names}
    seeds = sorted({clip.seed for clip in record.clips})
    sampling = record.sampling[0] if record.sampling else {}
    told_cases = ", ".join(f"{counts[split]} {split}" for split in splits)
    parts = (
        # Weights are known by their content: they may lie in folders of any name.
        Part("backbone", weights or name, f"{name}, weights {weights[:DIGITS]}" if weights else f"{name} systems"),
        Part("suites", suites, ", ".join(f"{suite} {sha256[:DIGITS]}" for suite, sha256 in suites.items())),
        Part("cases", digest(cases), told_cases),
        Part("seeds", seeds, f"{len(seeds)} a case: {', '.join(map(str, seeds))}"),
        Part("sampling", sampling, _spelled(sampling) or "not by ivgbench"),
        Part("detector", record.detector, record.detector),
        Part("CLIP", record.clip, record.clip),
        Part("versions of the metrics", canonical_json(record.metrics), canonical_json(record.metrics)),
    )
    title = f"{'Other systems' if name == EXTERNAL else name} on {', '.join(suites)}"
    return Protocol(title, parts, _command(name, list(suites), sampling, counts, seeds))


def split_order(split: str) -> tuple[bool, str]:
    """Static boxes first, as in the tables."""
    return split != "static", split


def _spelled(sampling: dict[str, Any]) -> str:
    told = []
    for name in (*SAMPLED, *sorted(sampling.keys() - set(SAMPLED))):
        if (value := sampling.get(name)) not in ("", None):
            text = "x".join(map(str, value)) if isinstance(value, list) else str(value)
            told.append(f"{name.replace('_', ' ')} {text}")
    return ", ".join(told)


def _command(
    backbone: str, suites: Sequence[str], sampling: dict[str, Any], counts: Counter[str], seeds: Sequence[int]
) -> str:
    """A line of a shell. Names are strangers' texts, and quoted."""
    if backbone == EXTERNAL:
        return shlex.join(["ivgbench", "score", "--videos", "YOURS", "--name", "yours", "--suite", *suites[:1]])
    words = ["ivgbench", "run", "--method", "YOURS", "--name", "yours", "--backbone", backbone]
    for suite in suites:
        words += ["--suite", suite]
    words += ["--cases", str(max(counts.values())), *seed_words(seeds)]
    for name in ("steps", "guidance_scale", "scheduler", "dtype"):
        if sampling.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(sampling[name])]
    if isinstance(size := sampling.get("size"), list):
        words += ["--size", "x".join(map(str, size))]
    return shlex.join(words)
