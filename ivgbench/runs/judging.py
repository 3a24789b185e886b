"""Which models judge a run where its spec does not say: the pocket lab's own, or those of the published numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ivgbench.cases import Case, Suite, spelling
from ivgbench.errors import UserError
from ivgbench.generator.backbones import sources
from ivgbench.registry import DETECTORS, FRAME_ENCODERS, VIDEO_ENCODERS
from ivgbench.runs.spec import RunSpec, is_judged

if TYPE_CHECKING:
    from ivgbench.runs.spec import JudgedSpec

POCKET: dict[str, Any] = {
    "detector": "pocket",
    "clip": "pocket",
    "frame_encoders": ("clip", "denoiser"),
    "video_encoder": "pocket",
}
#: Peekaboo's detector, the CLIP of most published CLIP-SIMs, FID's own network. JEDi's encoder is read from the user's
#: files, so it has no default: FID and KID stand alone where none is named.
PUBLISHED: dict[str, Any] = {
    "detector": "owlvit",
    "clip": "ViT-B-16-quickgelu/openai",
    "frame_encoders": ("inception",),
}


def with_judges(spec: RunSpec, suites: Iterable[Suite]) -> JudgedSpec:
    """The spec with every judge named. The pocket lab judges what it made, and clips of what it can tell apart.

    Raises:
        UserError: the pocket detector is to judge a phrase that it has no class for.
    """
    cases = [case for suite in suites for case in suite.cases[: spec.cases]]
    strange = _strange(cases)
    defaults = POCKET if sources.is_pocket(spec.backbone) or not strange else PUBLISHED
    spec = replace(spec, **{name: value for name, value in defaults.items() if getattr(spec, name) is None})
    if spec.detector == "pocket" and strange:
        case, phrase = strange
        raise UserError(
            f"case {case}: the pocket detector does not know {phrase!r}; it knows a colour and a shape, such as "
            f"'red star': ask for another subject, or name another detector"
        )
    assert is_judged(spec)
    return spec


def check_names(detector: str | None, of_frames: Iterable[str] | None, of_videos: str | None) -> None:
    """UserError for a name that no detector or encoder has. Encoders are loaded when all clips are there: hours after a
    slip; and a plan, which loads none, is not to promise what a run refuses."""
    if detector is not None:
        DETECTORS.canonical(detector.partition(":")[0])
    for name in of_frames or ():
        if name != "clip":
            FRAME_ENCODERS.canonical(name.partition(":")[0])
    if of_videos is not None:
        VIDEO_ENCODERS.canonical(of_videos.partition(":")[0])


def _strange(cases: Iterable[Case]) -> tuple[str, str] | None:
    """(case id, phrase) of the first subject that is not of the pocket world; None when all are."""
    from ivgbench.world import COLOURS, SHAPES

    known = {f"{colour} {shape}" for colour in COLOURS for shape in SHAPES}
    for case in cases:
        for subject in case.subjects:
            if spelling(subject.words) not in known:
                return case.id, subject.words
    return None
