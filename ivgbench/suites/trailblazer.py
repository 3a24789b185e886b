"""TrailBlazer's released YAML configs as a suite: a case per config, and one per composition of several subjects.

A config has `keyframe`, a list of {frame, bbox_ratios: [left, top, right, bottom], prompt}, and `token_inds`, the
places of the subject's words in the prompt, from 1. A composition has `multisubs` with a joint prompt and a list of
subjects, each named by the result of an earlier run (.../MultiSubject-Dog.0000.pt): its boxes are those of the config
of that name (MultiSubject-Dog.yaml), which is looked for beside the composition and nowhere else.

Boxes move in a straight line between keyframes, as in every suite. The release differs a little where there are more
than two: an inner keyframe's box stands for two frames there. If the last keyframe is at F, one beyond the clip of F
frames, the track is *cut* there, as the paper's own boxes are; a track of any other length is resampled (`imports`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ivgbench import boxes
from ivgbench.cases import Case, Subject, Suite
from ivgbench.errors import UserError
from ivgbench.suites.imports import Import, Rejected, mend
from ivgbench.suites.own import MAX_FRAMES
from ivgbench.suites.records import documents, number, text_of, whole

ENDINGS = (".yaml", ".yml")
Change = tuple[str, int, str]


def read(files: Iterable[Path], frames: int, name: str | None = None) -> tuple[Suite, Import]:
    """The suite of configs, and the report of what was changed or rejected.

    Args:
        files: configs, or folders of them (their own files; not those of folders within).
        frames: of the suite's clips. name: the suite's, by default trailblazer.
    Raises:
        UserError: a file or folder that is not there, or no config that can be used.
    """
    made = Import()
    for file in _spread(files):
        try:
            configs = documents(file)
        except UserError as reason:
            made.records += 1
            made.reject(str(file), "", str(reason).removeprefix(str(file)).lstrip(": "))
            continue
        if not configs:
            made.records += 1
            made.reject(str(file), "", "the file is empty")
        for number_, config in enumerate(configs, 1):
            made.records += 1
            where = f"{file}, document {number_}" if len(configs) > 1 else f"{file}"
            case = _id(file.stem) + (f"-{number_}" if len(configs) > 1 else "")
            try:
                prompt, subjects, changes = _composition(config, file, frames)
                made.take(where, Case(case, prompt, tuple(subjects), {"rule": "trailblazer"}), frames, changes)
            except (Rejected, UserError) as reason:
                made.reject(where, case, reason)
    return made.suite(name or "trailblazer", frames, f"TrailBlazer's configs, brought to {frames} frames"), made


def _spread(files: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for file in map(Path, files):
        if file.is_dir():
            inside = [path for path in sorted(file.iterdir()) if path.suffix.lower() in ENDINGS and path.is_file()]
            if not inside:
                raise UserError(f"{file}: no config in this folder ({', '.join(ENDINGS)})")
            found += inside
        elif file.is_file():
            found.append(file)
        else:
            raise UserError(f"{file}: there is no such file or folder")
    return list(dict.fromkeys(found))


def _id(stem: str) -> str:
    return re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", stem)).strip("-._")[:100] or "config"


def _composition(config: Any, file: Path, frames: int) -> tuple[str, list[Subject], list[Change]]:
    """(prompt, subjects, changes) of a config, of one subject or several."""
    if not isinstance(config, dict):
        raise Rejected("it is no config: a mapping with keyframe and token_inds")
    joint = config.get("multisubs")
    if joint is None:
        prompt, subject, changes = _single(config, frames)
        return prompt, [subject], changes
    if not isinstance(joint, dict) or not isinstance(joint.get("subjects"), list) or not joint["subjects"]:
        raise Rejected("multisubs must be a mapping with prompt and a list of subjects")
    prompt = text_of(joint.get("prompt", ""), "the prompt of multisubs")
    subjects, changes = [], []
    for one in joint["subjects"]:
        _, subject, own = _single(one if isinstance(one, dict) else _config_of(one, file), frames)
        subjects.append(subject)
        changes += [(what, count, f"{subject.phrase}: {detail}") for what, count, detail in own]
    return prompt, subjects, changes


def _config_of(result: Any, beside: Path) -> dict[str, Any]:
    """The config that an earlier run's result is named after; only its name counts, whatever folder it names."""
    if not isinstance(result, str):
        raise Rejected(f"a subject of multisubs must be a text, got {result!r}")
    name = PurePosixPath(result.replace("\\", "/")).name
    stem = re.sub(r"(\.\d+)?\.pt$|\.ya?ml$", "", name)
    for ending in ENDINGS:
        path = beside.with_name(stem + ending) if stem else beside
        if path != beside and path.is_file():
            found = documents(path)
            if len(found) == 1 and isinstance(found[0], dict):
                return found[0]
            raise Rejected(f"{path.name} is no config of one subject")
    raise Rejected(f"its subject {name!r} needs the config {stem}.yaml beside it")


def _single(config: dict[str, Any], frames: int) -> tuple[str, Subject, list[Change]]:
    """(prompt, subject, changes) of a config of one subject."""
    keys = config.get("keyframe")
    if keys is None:
        raise Rejected("it has no keyframes: the release draws such a config's boxes at random, without a seed")
    if not isinstance(keys, list) or not keys or not all(isinstance(one, dict) for one in keys):
        raise Rejected("keyframe must be a list of frame, bbox_ratios and prompt")
    told = [one["prompt"] for one in [*keys, config] if one.get("prompt") is not None]
    prompts = [text_of(prompt, "a keyframe's prompt") for prompt in told]
    if not prompts:
        raise Rejected("none of its keyframes has a prompt")
    if len(set(prompts)) > 1:
        raise Rejected(f"its prompt changes from {prompts[0]!r} to {prompts[-1]!r}; a case has one prompt")
    at = [whole(one.get("frame"), "a keyframe's frame") for one in keys]
    if at[0] != 0 or any(second <= first for first, second in pairwise(at)):
        raise Rejected(f"its keyframes must begin at frame 0 and go on in order, got {at}")
    if at[-1] > MAX_FRAMES:
        raise Rejected(f"its last keyframe is at {at[-1]}, beyond {MAX_FRAMES}")
    ratios, clipped = [], []
    for frame, one in zip(at, keys, strict=True):
        box, changes = _key_box(one.get("bbox_ratios"), frame)
        ratios.append(box)
        clipped += [frame] if changes else []
    track = boxes.interpolate(dict(zip(at, ratios, strict=True)), at[-1] + 1)
    cut: list[Change] = [("clipped", len(clipped), f"keyframes {', '.join(map(str, clipped))}")] if clipped else []
    if at[-1] == frames:
        cut.append(("cut", 1, f"its last keyframe, at {frames}, is one beyond the clip"))
        track = track[:frames]
    track, changes = mend(track.tolist(), frames)
    return prompts[0], Subject(_phrase(prompts[0], config.get("token_inds")), track), cut + changes


def _key_box(value: Any, frame: int) -> tuple[np.ndarray, list[Change]]:
    if not isinstance(value, list) or len(value) != 4:
        raise Rejected(f"bbox_ratios of frame {frame} must be four numbers, left, top, right, bottom; got {value!r}")
    box = [number(one, f"bbox_ratios of frame {frame}") for one in value]
    try:
        track, changes = mend([box], 1)
    except Rejected:
        raise Rejected(f"bbox_ratios of frame {frame} are no box within the frame: {box}") from None
    return track[0], changes


def _phrase(prompt: str, places: Any) -> str:
    """The words of a prompt at places counted from 1, without commas and the like around them."""
    words = prompt.split()
    places = [places] if isinstance(places, int) else places
    if not isinstance(places, list) or not places:
        raise Rejected("it has no token_inds: which words of the prompt are its subject?")
    found = [whole(one, "token_inds") for one in places]
    if min(found) < 1 or max(found) > len(words):
        raise Rejected(f"token_inds {found}: the prompt has the words 1 to {len(words)}")
    if sorted(found) != list(range(min(found), max(found) + 1)):
        raise Rejected(f"token_inds {found}: the words of a subject must stand side by side in the prompt")
    return " ".join(words[min(found) - 1 : max(found)]).strip(".,;:!?\"'()")
