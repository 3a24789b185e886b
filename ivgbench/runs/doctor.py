"""Whether this installation can work: what is there, and what to do about what is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ivgbench import suites
from ivgbench.errors import UserError
from ivgbench.extras import extra_of, is_there
from ivgbench.generator.backbones import hashing, presets, sources
from ivgbench.metrics import own
from ivgbench.registry import DETECTORS, FRAME_ENCODERS, METHODS, VIDEO_ENCODERS
from ivgbench.runs.environment import environment
from ivgbench.store import deep, leftovers, video
from ivgbench.store.runs import Store


class Finding(NamedTuple):
    """A check, its result, and what to do; the remedy is empty when all is well."""

    what: str
    result: str
    remedy: str = ""


#: Modules that generating and measuring need; extras of the package bring them.
NEEDED = ("torch", "diffusers", "transformers", "open_clip", "ultralytics")
#: The pocket lab's files that are no part of its backbone.
JUDGES = (
    "clip/bpe_simple_vocab.txt.gz",
    "clip/model.safetensors",
    "clip/open_clip_config.json",
    "denoiser/model.safetensors",
    "detector/config.json",
    "detector/model.safetensors",
    "video/config.json",
    "video/model.safetensors",
)


def examine(runs: Path) -> list[Finding]:
    """All checks, in reading order."""
    about = environment()
    findings = [Finding(name, str(about[name])) for name in ("ivgbench", "python", "system", "cpus", "commit")]
    for module in NEEDED:
        version = about["open-clip-torch" if module == "open_clip" else module]
        found = is_there(module)
        remedy = "" if found else f'pip install "ivgbench[{extra_of(module)}]"'
        findings.append(Finding(module, str(version) if found else "not installed", remedy))
    here = (_device(), _backbones(), _judges(), _suites(), _codec())
    return [*findings, *here, _disk(runs), _leftovers(runs), *_plugins()]


def stored(runs: Path, stage: Callable[[str, int], Callable[[], None]]) -> list[Finding]:
    """What is in a folder of runs, read to the last byte; `stage` as in `ivgbench.store.deep.look`."""
    found = []
    for kind, count, damaged in deep.look(Store(runs), stage):
        result = f"{count} whole" if not damaged else f"{len(damaged)} of {count} damaged; first: {damaged[0]}"
        found.append(Finding(f"stored {kind}", result, "run it again: it is made anew" if damaged else ""))
    return found


def _device() -> Finding:
    if not is_there("torch"):
        return Finding("device", "unknown without torch")
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return Finding("device", name)


def _backbones() -> Finding:
    try:
        # The DiT does not ship yet.
        there = [
            f"{name} {hashing.weights_hash(sources.locate(name))[:12]}"
            for name, folder in presets.POCKETS.items()
            if name == "pocket" or folder.is_dir()
        ]
    except UserError as fault:
        return Finding("pocket backbones", "incomplete", str(fault))
    return Finding("pocket backbones", f"weights {', '.join(there)}")


def _judges() -> Finding:
    folder = presets.POCKET_FOLDER.parent
    missing = [name for name in JUDGES if not (folder / name).is_file()]
    if missing:
        return Finding("pocket judges", f"missing: {', '.join(missing)}", "reinstall ivgbench, or train them")
    return Finding("pocket judges", "CLIP, detector and encoders are there")


def _suites() -> Finding:
    try:
        return Finding("suites", f"{len([suites.load_suite(name) for name in suites.names()])} whole")
    except UserError as fault:
        return Finding("suites", "damaged", str(fault))


def _codec() -> Finding:
    clip = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    if np.array_equal(video.decode(video.encode(clip)), clip):
        return Finding("lossless video", "exact")
    return Finding("lossless video", "pixels change", "install another version of av")


def _disk(runs: Path) -> Finding:
    if runs.exists() and not runs.is_dir():
        return Finding("disk", f"{runs} is no folder", "name another folder with --runs")
    try:
        place = next(path for path in (runs.resolve(), *runs.resolve().parents) if path.exists())
    except RuntimeError:  # up to Python 3.12
        return Finding("disk", f"{runs} is a link that leads back to itself", "name another folder with --runs")
    free = shutil.disk_usage(place).free / 2**30
    return Finding("disk", f"{free:.1f} GiB free at {place}", "" if free > 1 else "free some space")


def _leftovers(runs: Path) -> Finding:
    """Unfinished files of writers that were killed; those that are a day old are removed."""
    found, told = leftovers.sweep(runs), []
    if found.removed:
        told.append(
            f"{len(found.removed)} of killed writers removed ({found.size / 1e6:.1f} MB); first: {found.removed[0]}"
        )
    if found.left:
        told.append(f"{len(found.left)} left, of writers at work or killed lately; first: {found.left[0]}")
    return Finding("unfinished files", "; ".join(told) or "none")


def _plugins() -> list[Finding]:
    """What other packages add, each loaded once."""
    found = []
    for registry in (METHODS, DETECTORS, FRAME_ENCODERS, VIDEO_ENCODERS, own.METRICS):
        for name in registry.plugins():
            what = f"plug-in: {registry.kind} {name}"
            try:
                registry.get(name)
                if registry is METHODS:
                    from ivgbench.generator.methods.options import resolve

                    resolve(name)
                if registry is own.METRICS:
                    own.row(name)
                found.append(Finding(what, "can be imported"))
            except UserError as fault:
                found.append(Finding(what, "broken", str(fault)))
        found += [Finding(f"plug-in: {registry.kind}", "left out", line) for line in registry.left_out()]
    return found
