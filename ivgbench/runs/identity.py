"""What a job is: everything that changes the pixels of one clip, and the hash of it that names the job's files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ivgbench.cases import Case
from ivgbench.files import digest

#: Raised whenever the layout of `Job.identity` changes. Old jobs then simply have other ids; a test pins literal ids.
IDENTITY_VERSION = 1
#: Hex digits of an id: 80 bits, short enough for a folder's name.
ID_DIGITS = 20
#: The pseudo-method of the reference row: the asked scene itself, drawn by the pocket world instead of generated.
GROUND_TRUTH = "ground-truth"
#: The pseudo-method of the floor of FID, KID and JEDi: other videos of a reference's own source.
FLOOR = "floor"
#: The pseudo-method of clips made by another system and only measured here.
EXTERNAL = "external"


@dataclass(frozen=True, eq=False)
class Job:
    """One clip to make: a case, a method with resolved options, a backbone, and the sampling settings.

    method: canonical name. options: every field of the method's config, as plain data. version: the method's
    algorithm version. backbone, weights: name and content hash (for pseudo-methods, of what draws or brought the clip).
    scheduler: "ddim", "dpm", or None for the checkpoint's.
    lora: content hash of the adapter that is merged into the backbone, "" for none; lora_file: where it is.
    source: what the backbone is loaded by (a name or folder). label, suite and split: how a run shows the job. These,
    lora_file, and the case's id and metadata, change no pixel.
    """

    case: Case
    method: str
    options: dict[str, Any]
    version: int
    backbone: str
    weights: str
    steps: int
    guidance_scale: float
    scheduler: str | None
    seed: int
    dtype: str = "float32"
    negative_prompt: str = ""
    prompt_suffix: str = ""
    lora: str = ""
    lora_file: str = ""
    source: str = ""
    label: str = ""
    suite: str = ""
    split: str = ""

    def identity(self) -> dict[str, Any]:
        """Plain data of everything that changes pixels. Device, engine, workers and batch size are not in it."""
        # Named only where there is one: a job without an adapter is what it was before there were any.
        adapter = {"lora": self.lora} if self.lora else {}
        return adapter | {
            "identity_version": IDENTITY_VERSION,
            "case": self.case.content(),
            "method": self.method,
            "options": self.options,
            "version": self.version,
            "backbone": self.backbone,
            "weights": self.weights,
            "steps": self.steps,
            "guidance_scale": float(self.guidance_scale),
            "scheduler": self.scheduler,
            "negative_prompt": self.negative_prompt,
            "prompt_suffix": self.prompt_suffix,
            "dtype": self.dtype,
            "seed": self.seed,
        }

    @cached_property
    def id(self) -> str:
        """Hash of the identity: the name of the job's folder."""
        return digest(self.identity())[:ID_DIGITS]

    def describe(self) -> str:
        """For messages: what a person calls this job."""
        return f"{self.label or self.method}, case {self.case.id}, seed {self.seed} ({self.id})"

    def entry(self) -> dict[str, Any]:
        """The job's row of a run's manifest."""
        return {
            "job": self.id,
            "method": self.method,
            "label": self.label or self.method,
            "options": self.options,
            "suite": self.suite,
            "split": self.split,
            "case": self.case.id,
            "seed": self.seed,
        }
