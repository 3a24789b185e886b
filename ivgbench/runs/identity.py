"""What a run is made of: jobs, named by a hash of all that changes a clip's pixels, and entries that show them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ivgbench.cases import Case
from ivgbench.files import canonical_json, digest
from ivgbench.generator.sampling import CHECKPOINT, Decided

#: Raised whenever the layout of `Job.identity` changes. Old jobs then simply have other ids; a test pins literal ids.
IDENTITY_VERSION = 2
#: Hex digits of an id: 80 bits, short enough for a folder's name.
ID_DIGITS = 20
#: The pseudo-method of the row Ground truth: the asked scene itself, drawn by the pocket world instead of generated.
GROUND_TRUTH = "ground-truth"
#: The pseudo-method of the floor of FID, KID and JEDi: other videos of a reference's own source.
FLOOR = "floor"
#: What the rows of these two are called wherever they are printed; nobody else's row may be called so.
ROW_NAMES = {GROUND_TRUTH: "Ground truth", FLOOR: "Reference again"}
#: The pseudo-method of clips made by another system and only measured here.
EXTERNAL = "external"
#: Of clips that no sampler made.
UNSAMPLED = Decided(0, 0.0, CHECKPOINT, "", "", "uint8")


def row_name(label: str) -> str:
    """A row's label as messages have it: the user's own as it is."""
    return ROW_NAMES.get(label, label)


def is_kept(label: str) -> bool:
    """Whether a label is, or reads like, the name of a row that no method makes."""
    plain = re.sub(r"[\s_-]+", " ", label).strip().casefold()
    return plain in {name.replace("-", " ").casefold() for name in (*ROW_NAMES, *ROW_NAMES.values())}


def clips_digest(sidecars: Mapping[str, dict[str, Any] | None]) -> str:
    """Hash of a run's jobs and of the pixels of those that are done: rows computed for others are out of date."""
    return digest({job: facts and facts["pixel_sha256"] for job, facts in sidecars.items()})


@dataclass(frozen=True, eq=False)
class Job:
    """One clip to make: a case, a method with resolved options, a backbone, and the sampling settings.

    method: canonical name. options: every field of the method's config, as plain data; changed: those that differ from
    their defaults. version: the method's algorithm version, raised when its output or a default changes; with a method
    inside (`generator.around`), a list of both methods' versions.
    backbone, weights: name and content hash (for pseudo-methods, of what draws or brought the clip).
    sampling: all of it decided; a size of None is the denoiser's own, which its weights' hash stands for.
    lora: content hash of the adapter that is merged into the backbone, "" for none; lora_file: where it is.
    source: what the backbone is loaded by (a name or folder). It, lora_file, and the case's id and metadata change no
    pixel.
    """

    case: Case
    method: str
    options: dict[str, Any]
    changed: dict[str, Any]
    version: int | list[int]
    backbone: str
    weights: str
    sampling: Decided
    seed: int
    lora: str = ""
    lora_file: str = ""
    source: str = ""

    def identity(self) -> dict[str, Any]:
        """Plain data of everything that changes pixels. Device, engine, workers and batch size are not in it."""
        return {**self.manner(), "case": self.case.content(), "seed": self.seed}

    def manner(self) -> dict[str, Any]:
        """The identity without case and seed: what jobs have in common that are made in the same way."""
        # Named only where there is one: a job without an adapter is what it was before there were any.
        adapter, sampling = {"lora": self.lora} if self.lora else {}, self.sampling
        return adapter | {
            "identity_version": IDENTITY_VERSION,
            "method": self.method,
            # Without those at their default: an option that is new tomorrow renews no id of today.
            "options": self.changed,
            "version": self.version,
            "backbone": self.backbone,
            "weights": self.weights,
            "size": sampling.size,
            "steps": sampling.steps,
            "guidance_scale": float(sampling.guidance_scale),
            "scheduler": None if sampling.scheduler == CHECKPOINT else sampling.scheduler,
            "negative_prompt": sampling.negative_prompt,
            "prompt_suffix": sampling.prompt_suffix,
            "dtype": sampling.dtype,
        }

    @cached_property
    def id(self) -> str:
        """Hash of the identity: the name of the job's folder."""
        # The canonical JSON of the identity. The case is by far its longest part, and the same in many jobs: it is
        # written once and put in its place. Only the backbone, a text, stands before it.
        text = canonical_json({**self.manner(), "case": None, "seed": self.seed})
        text = text.replace('"case":null', f'"case":{self.case.canonical}', 1)
        return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]

    def describe(self) -> str:
        """For messages: what a person calls this job."""
        return f"{row_name(self.method)}, case {self.case.id}, seed {self.seed} ({self.id})"


@dataclass(frozen=True, eq=False)
class Entry:
    """A row of a run: the job that makes its clip, and how the run shows it. Several rows may show one job.

    suite: its name. case: as it stands in that suite. label: the method's name in tables. settings, about: what the
    job's options are called, and what they are in one line (`settings_text`); neither is part of the job.
    """

    job: Job
    suite: str
    case: Case
    label: str
    split: str
    settings: str = ""
    about: str = ""

    @property
    def seed(self) -> int:
        return self.job.seed

    def describe(self) -> str:
        """For messages: what a person calls this row."""
        return f"{row_name(self.label)}, suite {self.suite}, case {self.case.id}, seed {self.seed} ({self.job.id})"

    def record(self) -> dict[str, Any]:
        """The row as a run's manifest keeps it."""
        return {
            "job": self.job.id,
            "method": self.job.method,
            "label": self.label,
            "options": self.job.options,
            "settings": self.settings,
            "about": self.about,
            "suite": self.suite,
            "split": self.split,
            "case": self.case.id,
            "seed": self.seed,
        }
