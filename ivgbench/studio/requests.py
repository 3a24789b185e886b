"""What a page asks for, checked. Each mistake is told with the field that it is in."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ivgbench.boxes import interpolate
from ivgbench.cases import Case, Subject, check_case, spelling
from ivgbench.errors import UserError
from ivgbench.generator import settings
from ivgbench.generator.sampling import Sampling
from ivgbench.phrases import contains_phrase
from ivgbench.registry import AROUND, METHODS
from ivgbench.runs.option_text import parse_option
from ivgbench.runs.spec import MethodSpec
from ivgbench.studio.catalogue import Choice
from ivgbench.texts import check_unicode, short

#: Of one request. Whoever wants more has the command line.
MAX_SUBJECTS, MAX_SEEDS, MAX_CLIPS, MAX_TEXT = 8, 16, 64, 1000
#: Decimals of a box's corners: what is drawn, shown and saved is the same number.
DECIMALS = 4
_LARGEST_SEED = 2**32 - 1

Keyframes = dict[int, list[float]]


class FieldError(UserError):
    """A mistake in one field of the page. field: e.g. "subjects.0.phrase"."""

    def __init__(self, field: str, message: str):
        super().__init__(" ".join(message.split()))
        self.field = field


@dataclass(frozen=True, eq=False)
class Asked:
    """A request: one case, several methods and seeds.

    backbone: its source. keyframes: (phrase, frame -> box) of each subject, as drawn. methods: with their options, as
    far as these are not the backbone's default; options: the same as --option has them.
    """

    backbone: str
    case: Case
    keyframes: tuple[tuple[str, Keyframes], ...]
    methods: tuple[MethodSpec, ...]
    options: tuple[str, ...]
    seeds: tuple[int, ...]
    sampling: Sampling


def read(body: Any, known: Mapping[str, Choice]) -> Asked:
    """A page's request. FieldError for the first mistake."""
    if not isinstance(body, dict):
        raise FieldError("prompt", "this is no request")
    choice = known.get(body["backbone"]) if isinstance(body.get("backbone"), str) else None
    if choice is None:
        raise FieldError("backbone", f"choose one of {', '.join(known)}")
    prompt = _text(body.get("prompt"), "prompt", "the prompt")
    if not spelling(prompt):
        raise FieldError("prompt", "write what the clip shows")
    keyframes = _subjects(body.get("subjects"), prompt, choice.preset.frames)
    subjects = [Subject(phrase, interpolate(keys, choice.preset.frames)) for phrase, keys in keyframes]
    # Called as `compare` calls it: scores of the same clip are then the same.
    case = check_case(Case("clip", prompt, tuple(subjects)), "the case")
    sampling = _sampling(body)
    methods, options = _methods(body.get("methods"), choice, case, sampling)
    seeds = _seeds(body.get("seeds", "0"))
    if len(seeds) * len(methods) > MAX_CLIPS:
        raise FieldError("seeds", f"{len(methods)} methods and {len(seeds)} seeds are over {MAX_CLIPS} clips: ask less")
    return Asked(choice.source, case, keyframes, methods, options, seeds, sampling)


def without_case(reason: str) -> str:
    """A reason without the name of the case, which nobody gave it."""
    return reason.removeprefix("case clip: ").removesuffix("; or leave the case out")


def _text(value: Any, field: str, what: str) -> str:
    """A text on one line that a command line can hold."""
    if not isinstance(value, str):
        raise FieldError(field, f"{what} must be a text")
    if len(value) > MAX_TEXT:
        raise FieldError(field, f"{what} has {len(value)} characters; {MAX_TEXT} at most")
    if strange := [one for one in value if unicodedata.category(one) == "Cc" and one not in "\t\n\r"]:
        raise FieldError(field, f"{what} holds a control character ({strange[0]!a}); leave it out")
    try:
        check_unicode(value, what)
    except UserError as fault:
        raise FieldError(field, str(fault)) from None
    return re.sub(r"\r\n|[\r\n]", " ", value).strip()


def _list(value: Any, field: str, what: str, most: int) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise FieldError(field, f"there is no {what}; give at least one")
    if len(value) > most:
        raise FieldError(field, f"{len(value)} are too many; {most} at most")
    return value


# ---- subjects


def _subjects(value: Any, prompt: str, frames: int) -> tuple[tuple[str, Keyframes], ...]:
    found: dict[str, tuple[str, Keyframes]] = {}
    for index, one in enumerate(_list(value, "subjects", "subject", MAX_SUBJECTS)):
        field = f"subjects.{index}"
        if not isinstance(one, dict):
            raise FieldError(field, "this is no subject")
        phrase = _text(one.get("phrase"), f"{field}.phrase", "the subject")
        if not spelling(phrase):
            raise FieldError(f"{field}.phrase", "name the subject in the words of the prompt")
        if not contains_phrase(prompt, phrase):
            raise FieldError(f"{field}.phrase", f"{short(phrase)} is not in the prompt; use the prompt's own words")
        if spelling(phrase) in found:
            raise FieldError(f"{field}.phrase", f"{short(phrase)} is a subject already; give its boxes there")
        found[spelling(phrase)] = phrase, _keyframes(one.get("keyframes"), f"{field}.boxes", phrase, frames)
    return tuple(found.values())


def _keyframes(value: Any, field: str, phrase: str, frames: int) -> Keyframes:
    if value == []:
        raise FieldError(field, f"{short(phrase)} has no box: draw one")
    keys: Keyframes = {}
    for one in _list(value, field, "box", frames):
        frame, box = (one.get("frame"), one.get("box")) if isinstance(one, dict) else (None, None)
        if type(frame) is not int or not 0 <= frame < frames:
            raise FieldError(field, f"keyframe {short(frame)} is none of the frames 0 to {frames - 1}")
        if frame in keys:
            raise FieldError(field, f"frame {frame} has a box already")
        if not isinstance(box, list) or len(box) != 4 or any(type(number) not in (int, float) for number in box):
            raise FieldError(field, f"frame {frame}: a box is four numbers x0, y0, x1, y1")
        if not all(0 <= number <= 1 for number in box):
            raise FieldError(field, f"frame {frame}: the box leaves the frame")
        corners = [round(float(number), DECIMALS) for number in box]
        if corners[0] >= corners[2] or corners[1] >= corners[3]:
            raise FieldError(field, f"frame {frame}: the box is empty; draw it anew")
        keys[frame] = corners
    return dict(sorted(keys.items()))


# ---- sampling


def _sampling(body: Mapping[str, Any]) -> Sampling:
    said: dict[str, Any] = {}
    for name, read in (("steps", _whole), ("guidance_scale", _number), ("scheduler", lambda value, field: value)):
        value = body.get(name)
        if value is None or value == "":
            continue
        if type(value) not in (str, int, float) or len(str(value)) > MAX_TEXT:
            raise FieldError(name, f"{short(value)} cannot stand here")
        said[name] = read(value, name)
        try:
            Sampling(**{name: said[name]}).check("here")
        except UserError as fault:
            raise FieldError(name, str(fault).removeprefix("here: ")) from None
    return Sampling(**said)


def _number(value: str | float, field: str) -> float:
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise FieldError(field, f"{short(value)} is no number")
    return found


def _whole(value: str | float, field: str) -> int:
    if (found := _number(value, field)) != int(found):
        raise FieldError(field, f"{short(value)} is no whole number")
    return int(found)


def _seeds(value: Any) -> tuple[int, ...]:
    """Seeds as one writes them: 0, 3, 5-8."""
    if not isinstance(value, str | int) or isinstance(value, bool) or len(str(value)) > MAX_TEXT:
        raise FieldError("seeds", "write whole numbers, such as 0, 3, 5-8")
    seeds: list[int] = []
    for part in re.split(r"[,\s]+", str(value).strip(" ,\t")):
        written = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part)
        if not written:
            raise FieldError("seeds", f"{short(part)}: write whole numbers from 0, such as 0, 3, 5-8")
        first, last = int(written[1]), int(written[2] or written[1])
        if last > _LARGEST_SEED or first > last:
            raise FieldError("seeds", f"{short(part)}: seeds go from 0 to {_LARGEST_SEED}, the smaller first")
        if last - first >= MAX_SEEDS:
            raise FieldError("seeds", f"{short(part)} are too many; {MAX_SEEDS} seeds at most")
        seeds += range(first, last + 1)
    if len(set(seeds)) > MAX_SEEDS:
        raise FieldError("seeds", f"{len(set(seeds))} seeds are too many; {MAX_SEEDS} at most")
    return tuple(dict.fromkeys(seeds))


# ---- methods


def _methods(
    value: Any, choice: Choice, case: Case, sampling: Sampling
) -> tuple[tuple[MethodSpec, ...], tuple[str, ...]]:
    """The methods, and all their options as --option has them."""
    from ivgbench.generator.foresight import Foresight

    # One that is new: it looks at nothing twice, not even at what it has refused.
    foresight, decided = Foresight(choice.source), sampling.over(choice.preset.sampling)
    found: dict[str, MethodSpec] = {}
    texts: list[str] = []
    for one in _list(value, "methods", "method", len(METHODS.names())):
        name = one.get("name") if isinstance(one, dict) else None
        if name not in METHODS.names() or name in found:
            raise FieldError("methods", f"{short(name)} is no method, or is there twice")
        field = f"methods.{name}"
        if name in choice.refused:
            raise FieldError(field, choice.refused[name])
        written = _options(one.get("options", {}), field)
        options = {option: parse_option(f"{name}.{option}={text}")[2] for option, text in written.items()}
        config = _resolved(choice.name, name, options, field)
        try:
            foresight.check(config, case, decided)
        except UserError as fault:
            raise FieldError(field, without_case(str(fault))) from None
        found[name] = MethodSpec(name, options=options)
        texts += [f"{name}.{option}={text}" for option, text in written.items()]
    return tuple(found.values()), tuple(texts)


def _options(value: Any, field: str) -> dict[str, str]:
    """Option -> what was typed."""
    if not isinstance(value, dict) or len(value) > 100:
        raise FieldError(field, "options are a value for each name")
    found = {}
    for option, text in value.items():
        if not re.fullmatch(r"(base\.)?[A-Za-z_][A-Za-z0-9_]{0,60}", option):
            raise FieldError(field, f"there is no option {short(option)}")
        found[option] = _text(text, f"{field}.{option}", option)
        try:
            parse_option(f"method.{option}={found[option]}")
        except UserError as fault:
            raise FieldError(f"{field}.{option}", str(fault)) from None
    return found


def _resolved(backbone: str, name: str, options: dict[str, Any], field: str) -> Any:
    """The method's config; a wrong option is told at its own field, where it is wrong by itself."""
    try:
        return settings.resolve(backbone, name, None, options)
    except UserError as fault:
        # In its order an option may stand on one before it: the method that is inside comes first.
        base = {key: value for key, value in options.items() if name in AROUND and key == "base"}
        for option, value in options.items():
            try:
                settings.resolve(backbone, name, None, {**base, option: value})
            except UserError as own:
                raise FieldError(f"{field}.{option}", str(own)) from None
        raise FieldError(field, str(fault)) from None
