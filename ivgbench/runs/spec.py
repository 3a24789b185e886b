"""What a run is asked to do: methods x suites x seeds on one backbone, from a TOML file or the command line."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ivgbench.cases import ID_PATTERN
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.generator.around import row_name
from ivgbench.runs import spec_paths
from ivgbench.runs.identity import ROW_NAMES, is_kept
from ivgbench.texts import read_toml, short

#: Of weights and latents. Noise is drawn in float32 in any case.
DTYPES = ("float32", "float16", "bfloat16")
SCHEDULERS = ("ddim", "dpm", "flow", "checkpoint")
#: The noise levels that the checkpoints were trained on.
MAX_STEPS = 1000


@dataclass(frozen=True)
class MethodSpec:
    """A method with named settings (None: the run's), and options on top of them. `label` names its row; by default it
    is called by the method's name.

    The other fields are the run's own unless they are given here: a table compares methods under common settings, but
    a baseline can be run as its authors do.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    settings: str | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    negative_prompt: str | None = None
    prompt_suffix: str | None = None
    dtype: str | None = None

    @property
    def row(self) -> str:
        """What its row is called: its label, else its name, with that of a method inside ("freeinit+peekaboo")."""
        return self.label or row_name(self.method, self.options)

    def __post_init__(self) -> None:
        where = f"method {self.label or self.method!r}"
        _check_sampling(where, self)
        for name, value in self.options.items():
            if not _is_plain(value):
                kinds = "a finite number, a text, true, false or a list"
                raise UserError(f"{where}: option {name!r} must be {kinds}, got {value!r}")


def _is_plain(value: Any) -> bool:
    """Whether a value can be an option: finite, and of a kind that can be stored and compared."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))


def _check_sampling(where: str, one: MethodSpec | RunSpec) -> None:
    if one.steps is not None and not 1 <= one.steps <= MAX_STEPS:
        raise UserError(f"{where}: steps must be from 1 to {MAX_STEPS}, got {short(one.steps)}")
    if one.guidance_scale is not None and not 0 <= one.guidance_scale <= sys.float_info.max:
        raise UserError(f"{where}: guidance_scale must be a number from 0, got {short(one.guidance_scale)}")
    for what, value, known in (("scheduler", one.scheduler, SCHEDULERS), ("dtype", one.dtype, DTYPES)):
        if value is not None and value not in known:
            raise UserError(f"{where}: unknown {what} {value!r}; one of {', '.join(known)}")


@dataclass(frozen=True)
class RunSpec:
    """A run. None means the backbone's default (steps, guidance_scale, settings), all (cases), or as `runs.judging`
    says (detector, clip, frame_encoders, video_encoder).

    settings: a name that the methods have on the backbone, see `generator.settings`.

    cases: the first N of every suite. ground_truth: adds the row Ground truth (pocket only). scheduler: the common
    sampler, "ddim" or "dpm", or "checkpoint" for what the backbone came with. lora: a file of adapters for the
    backbone's denoiser.
    references: what FID, KID and JEDi compare with: "world", "suite", or folders of videos; none: no such metrics.
    reference_videos, reference_seed: how many of each, and which. frame_encoders (FID, KID) and video_encoder (JEDi):
    names as in ivgbench.registry, with their files where they need some ("inception:FILE"); "clip" is the run's CLIP.
    strict: refuses a reference of which a video cannot be read, instead of leaving the video out.
    """

    name: str
    methods: tuple[MethodSpec, ...]
    backbone: str = "pocket"
    suites: tuple[str, ...] = ("static", "dynamic")
    cases: int | None = None
    seeds: tuple[int, ...] = (0,)
    ground_truth: bool = False
    settings: str | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str = "ddim"
    negative_prompt: str = ""
    prompt_suffix: str = ""
    dtype: str = "float32"
    lora: str = ""
    detector: str | None = None
    clip: str | None = None
    references: tuple[str, ...] = ()
    reference_videos: int = 400
    reference_seed: int = 0
    frame_encoders: tuple[str, ...] | None = None
    video_encoder: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        where = f"run {self.name!r}"
        if not ID_PATTERN.fullmatch(self.name) or ".." in self.name:
            raise UserError(
                f"run name {self.name!r} is not allowed; use letters, digits, '.', '_', '-' (it becomes a file name)"
            )
        if not self.methods and not self.ground_truth:
            raise UserError(f"{where}: no method; give at least one (`ivgbench list methods`)")
        if self.cases is not None and self.cases < 1:
            raise UserError(f"{where}: cases must be at least 1, got {self.cases}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UserError(f"{where}: seeds must be a list of different numbers, got {list(self.seeds)}")
        _check_sampling(where, self)
        for what in ("backbone", "suites", "references", "detector", "clip", "frame_encoders", "video_encoder"):
            value = getattr(self, what)
            if value == "" or (isinstance(value, tuple) and "" in value) or (what == "suites" and not value):
                raise UserError(f"{where}: {what} must not be empty; leave it out for the default")
        if self.reference_videos < 2 or self.reference_seed < 0:
            raise UserError(f"{where}: reference_videos must be at least 2 and reference_seed at least 0")
        if self.references and self.frame_encoders == ():
            raise UserError(f"{where}: references need at least one of frame_encoders")
        labels = [one.row for one in self.methods]
        if taken := sorted(filter(is_kept, labels)):
            rows = " and ".join(ROW_NAMES.values())
            raise UserError(f"{where}: the label {taken[0]!r} is kept for the rows {rows}; choose another one")
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise UserError(f"{where}: two methods are labelled {twice[0]!r}; give one of them a label of its own")

    def settings_of(self, one: MethodSpec) -> str | None:
        """The name of one of the methods' settings: its own, else the run's; None: the backbone's default."""
        return self.settings if one.settings is None else one.settings

    def named_by_content(self, prefix: str) -> RunSpec:
        """The same run, called PREFIX-<hash of what it asks>: equal requests share a name, others never do."""
        content = {name: value for name, value in asdict(self).items() if name != "name"}
        # Named only where they are asked for: a run that says nothing of them is called what it was before.
        for one in (content, *content["methods"]):
            if one["settings"] is None:
                del one["settings"]
        return replace(self, name=f"{prefix}-{digest(content)[:8]}")


_KINDS: dict[str, tuple[type, ...]] = {
    "name": (str,), "backbone": (str,), "settings": (str,), "cases": (int,), "ground_truth": (bool,), "steps": (int,),
    "guidance_scale": (int, float), "scheduler": (str,), "negative_prompt": (str,), "prompt_suffix": (str,),
    "dtype": (str,), "detector": (str,), "clip": (str,), "suites": (list,), "seeds": (list,), "methods": (list,),
    "references": (list,), "reference_videos": (int,), "reference_seed": (int,), "frame_encoders": (list,),
    "video_encoder": (str,), "lora": (str,), "strict": (bool,),
}  # fmt: skip


def load_spec(path: Path) -> RunSpec:
    """Reads a run spec from TOML: fields of `RunSpec`, and a [[methods]] table for each method.

    Raises:
        UserError: unreadable file, unknown or mistyped field, no name.
    """
    data = read_toml(path, "the run spec")
    check_fields(data, [f.name for f in fields(RunSpec)], f"{path}")
    if "name" not in data:
        raise UserError(f'{path}: the run has no name; add a line such as name = "{Path(path).stem}"')
    _check_kinds(data, f"{path}")
    for key in ("suites", "references", "frame_encoders"):
        if key in data:
            data[key] = tuple(_text(item, key, path) for item in data[key])
    data = spec_paths.beside(path, data)
    data["seeds"] = tuple(_seed(item, path) for item in data.get("seeds", RunSpec.seeds))
    data["methods"] = tuple(_method(item, path) for item in data.get("methods", []))
    try:
        return RunSpec(**data)
    except UserError as fault:
        raise UserError(f"{path}: {fault}") from None


def _text(item: Any, key: str, path: Path) -> str:
    if not isinstance(item, str):
        raise UserError(f"{path}: {key} must be a list of texts, got {item!r}")
    return item


def _seed(item: Any, path: Path) -> int:
    if not isinstance(item, int) or isinstance(item, bool) or item < 0:
        raise UserError(f"{path}: seeds must be whole numbers from 0, got {item!r}")
    return item


def _method(item: Any, path: Path) -> MethodSpec:
    if isinstance(item, str):
        return MethodSpec(item)
    if not isinstance(item, dict) or not isinstance(item.get("method"), str):
        raise UserError(f'{path}: a method is written [[methods]] with method = "NAME", got {item!r}')
    where = f"{path}, method {item['method']!r}"
    check_fields(item, [f.name for f in fields(MethodSpec)], where)
    if not isinstance(item.get("options", {}), dict) or not isinstance(item.get("label", ""), str):
        raise UserError(f"{where}: options is a table and label a text")
    _check_kinds({key: value for key, value in item.items() if key not in ("method", "options", "label")}, where)
    try:
        return MethodSpec(**item)
    except UserError as fault:
        raise UserError(f"{path}: {fault}") from None


def _check_kinds(data: dict[str, Any], where: str) -> None:
    for key, value in data.items():
        if not isinstance(value, _KINDS[key]) or (isinstance(value, bool) and bool not in _KINDS[key]):
            raise UserError(f"{where}: {key} must be {' or '.join(k.__name__ for k in _KINDS[key])}, got {value!r}")


def check_fields(data: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """UserError for a field that is not known, with the one that was probably meant."""
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise UserError(f"{where}: unknown field {key!r}; {hint}")
