"""The one place where runs meet generator and metrics: everything here loads models, and nothing else in runs does.

A run is given a `Lab`; tests give it another object with the same methods. Imports are inside the methods, so that
reading results loads no model library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.generator.sampling import Decided
from ivgbench.generator.settings import DEFAULTS
from ivgbench.judges import ids
from ivgbench.plugins import broken
from ivgbench.registry import DETECTORS, FRAME_ENCODERS, METHODS, VIDEO_ENCODERS
from ivgbench.runs import batching, devices, loading
from ivgbench.runs.identity import GROUND_TRUTH, UNSAMPLED, Job
from ivgbench.runs.judging import check_names
from ivgbench.runs.spec import RunSpec

if TYPE_CHECKING:
    from ivgbench.generator.cost import Cost
    from ivgbench.judges.base import Clip, Detector, FrameEncoder, VideoEncoder


class Facts(NamedTuple):
    """What a plan needs to know of the backbone before any work: name, hash of its files, its own sampling, frames.

    revision: the commit of the hub repository that it was fetched from, if it was.
    """

    backbone: str
    weights: str
    sampling: Decided
    frames: int | None
    revision: str | None = None


class Resolved(NamedTuple):
    """A method with all its options spelled out, and those again that differ from their defaults.

    version: with a method inside (`generator.around`), a list of both methods' versions.
    """

    method: str
    options: dict[str, Any]
    changed: dict[str, Any]
    version: int | list[int]


class Made(NamedTuple):
    """A generated clip, uint8 [F,H,W,3], and its cost: guided network evaluations and backward passes."""

    video: np.ndarray
    nfe: int | float
    backward: int


class Lab:
    """The real models. `device`: "auto" (a GPU if there is one), or a torch device; offload: see `Backbone`."""

    def __init__(self, device: str = "auto", offload: bool = False):
        self.requested, self.offload = device, offload

    def device(self) -> str:
        """The device that is meant, see `devices.chosen`."""
        return devices.chosen(self.requested)

    def default_workers(self) -> int:
        """One worker per CPU; one in all on a GPU, where each would hold its own copy of the weights."""
        return os.cpu_count() or 1 if self.device() == "cpu" else 1

    def start_worker(self) -> dict[str, Any]:
        """Called first in each worker; returns what the sidecar says of it.

        One thread each: sums are then added in one order, whatever the machine's number of cores.
        """
        import torch

        torch.set_num_threads(1)
        device = self.device()
        name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
        return {"threads": torch.get_num_threads(), "device": name}

    def facts(self, spec: RunSpec, needed: bool = True) -> Facts:
        """Reads the backbone's files (and hashes them) without loading them.

        needed: False for a plan, which also works without the files; `weights` is then empty.
        """
        from ivgbench.generator.backbones import hashing, layout, sources

        name, preset = sources.preset(spec.backbone)
        try:
            folder = sources.locate(spec.backbone)
        except UserError:
            if needed or preset.hub_id is None:
                raise
            weights = ""
        else:
            layout.require_vae(folder)
            weights = hashing.weights_hash(folder)
        return Facts(name, weights, preset.sampling, preset.frames, sources.revision(spec.backbone))

    def costs(self, spec: RunSpec) -> Callable[[Job], Cost]:
        """A function: job -> what its clip costs, without weights; see `ivgbench.generator.cost`.

        The function raises PluginFault where a plug-in's method cannot be counted.
        """
        import torch

        from ivgbench.generator.backbones import sources
        from ivgbench.generator.cost import Costs
        from ivgbench.generator.methods.options import resolve

        architecture = sources.architecture(spec.backbone)
        preset = sources.preset(spec.backbone)[1]
        costs: dict[str, Costs] = {}

        def cost(job: Job) -> Cost:
            dtype = job.sampling.dtype
            if dtype not in costs:
                costs[dtype] = Costs(architecture, preset, getattr(torch, dtype))
            config = resolve(job.method, job.options)
            try:
                return costs[dtype].of(config, job.case, job.sampling)
            except (Exception, SystemExit) as fault:
                if job.method not in METHODS.plugins():
                    raise
                # It may look at the values of tensors, which have none here, or leave.
                raise broken(METHODS.called(job.method), "does not run on the meta device", fault) from fault

        return cost

    def check(self, spec: RunSpec, jobs: Sequence[Job]) -> None:
        """Refuses jobs that cannot be made, by the backbone's small files alone, and judges that there are not.

        Raises:
            UserError: an unknown detector or encoder; a method on a network that lacks what it needs; and, where the
                files are here, the first case whose subject is never read, or steps that the scheduler cannot make.
        """
        check_names(spec.detector, spec.frame_encoders, spec.video_encoder)
        from ivgbench.generator.backbones import sources
        from ivgbench.generator.backbones.base import family
        from ivgbench.generator.foresight import Foresight
        from ivgbench.generator.methods.base import check_fits
        from ivgbench.generator.methods.options import resolve

        name, preset = sources.preset(spec.backbone)
        offers, configs = family(preset.family).offers, {}
        asked = [(job, canonical_json([job.method, job.options])) for job in jobs if job.method != GROUND_TRUTH]
        for job, key in asked:
            if key not in configs:
                configs[key] = resolve(job.method, job.options)
                check_fits(configs[key], offers, name)
        try:
            sources.locate(spec.backbone)
        except UserError:
            return
        foresight = Foresight(spec.backbone)
        for job, key in asked:
            foresight.check(configs[key], job.case, job.sampling)

    def resolve(self, method: str, options: dict[str, Any]) -> Resolved:
        """Canonical name, every option with its value, algorithm version. UserError for unknown names and options."""
        name = METHODS.canonical(method)
        from ivgbench.generator.methods.options import changed_of, options_of, resolve

        config = resolve(name, options)
        version, *inner = config.versions()
        return Resolved(name, options_of(config), changed_of(config), [version, *inner] if inner else version)

    def backbone(self, name: str, dtype: str, lora: str = "") -> Any:
        """Loads a backbone. `lora`: a file of adapters, "" for none."""
        import torch

        from ivgbench.generator import Backbone

        return Backbone.from_pretrained(
            name, self.device(), getattr(torch, dtype), offload=self.offload, lora=lora or None
        )

    def generate(self, backbone: Any, job: Job, callback: Callable[[int, int], None] | None = None) -> Made:
        """One clip, alone in its batch. `callback`: called with (steps done, steps) after each step."""
        from ivgbench.generator import generate

        clip = generate(backbone, job.case, seed=job.seed, **_settings(job), callback=callback)
        return Made(np.asarray(clip.video), clip.nfe, clip.backward)

    def generate_batch(
        self, backbone: Any, jobs: Sequence[Job], callback: Callable[[int, int], None] | None = None
    ) -> list[Made]:
        """Clips of jobs that differ in nothing but their cases and seeds, made together. `callback`: as `generate`."""
        from ivgbench.generator import generate_batch

        clips = generate_batch(
            backbone,
            [job.case for job in jobs],
            seeds=[job.seed for job in jobs],
            **_settings(jobs[0]),
            callback=callback,
        )
        return [Made(np.asarray(clip.video), clip.nfe, clip.backward) for clip in clips]

    def room(self, workers: int) -> Callable[[Job], int]:
        """A function: job -> how many clips like it fit into memory at once, by what is planned."""
        return batching.fitting(self.device(), self.offload, workers)

    def free_memory(self) -> None:
        """Gives back what a failed attempt has left in the GPU's cache."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def world_version(self) -> str:
        """What stands for the weights of the world that draws Ground truth: the version of its pixels."""
        from ivgbench.world import WORLD_VERSION

        return f"world-{WORLD_VERSION}"

    def ground_truth(self, case: Case, seed: int) -> Made:
        """The asked scene drawn by the pocket world; it evaluates no network."""
        from ivgbench.world.reference import render_case

        return Made(render_case(case, seed), 0, 0)

    def detector(self, name: str) -> Detector:
        """name: a detector's, or NAME:SOURCE for another folder, file or hub id."""
        return loading.load(DETECTORS, name, self.device(), "detect")

    def clip(self, name: str) -> Clip:
        """See `ClipModel.from_pretrained`."""
        from ivgbench.judges.clip import ClipModel

        return ClipModel.from_pretrained(name, device=self.device())

    def frame_encoder(self, name: str, clip: str) -> FrameEncoder:
        """name: as a detector's; with "clip" it is the run's own CLIP model."""
        return self.clip(clip) if name == "clip" else loading.load(FRAME_ENCODERS, name, self.device(), "embed_video")

    def video_encoder(self, name: str) -> VideoEncoder:
        """name: as a detector's."""
        return loading.load(VIDEO_ENCODERS, name, self.device(), "embed_clip")

    def detector_id(self, name: str) -> str:
        """The id of `detector(name)`: from its files if they tell it, else it is loaded."""
        return loading.id_of("detector", name, lambda: self.detector(name))

    def clip_ids(self, name: str) -> tuple[str, str]:
        """The ids of `clip(name)`, and of the same model given whole frames."""
        crop = loading.id_of("clip", name, lambda: self.clip(name))
        return crop, ids.squashed(crop)

    def frame_encoder_id(self, name: str, clip: str) -> str:
        """The id of `frame_encoder(name, clip)`."""
        if name == "clip":
            return self.clip_ids(clip)[0]
        return loading.id_of("frame encoder", name, lambda: self.frame_encoder(name, clip))

    def video_encoder_id(self, name: str) -> str:
        """The id of `video_encoder(name)`."""
        return loading.id_of("video encoder", name, lambda: self.video_encoder(name))


def _settings(job: Job) -> dict[str, Any]:
    """What `generate` is told of a job besides its case and seed."""
    return {
        "method": job.method,
        "method_options": job.options,
        "settings": DEFAULTS,  # a job's options are all spelled out
        **job.sampling.arguments(),
    }


def ground_truth_job(lab: Any, case: Case, seed: int) -> Job:
    """Ground truth's job of a case. It depends on no sampling setting, so it is shared by all runs."""
    return Job(case, GROUND_TRUTH, {}, {}, 1, "pocket-world", lab.world_version(), UNSAMPLED, seed)
