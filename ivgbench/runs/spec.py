"""What a run is asked to do: methods x suites x seeds on one backbone, from a TOML file or the command line."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from ivgbench.cases import ID_PATTERN
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.generator import sampling
from ivgbench.generator.around import row_name
from ivgbench.generator.sampling import Sampling
from ivgbench.reading import check_fields, check_kinds
from ivgbench.runs import batching, spec_paths
from ivgbench.runs.identity import ROW_NAMES, is_kept
from ivgbench.texts import CONTROLS, read_toml, short


@dataclass(frozen=True)
class MethodSpec:
    """A method with named settings (None: the run's), and options on top of them. `label` names its row; by default it
    is called by the method's name.

    sampling: what it says goes before the run's: a table compares methods under common settings, but a baseline can be
    run as its authors do.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    settings: str | None = None
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def row(self) -> str:
        """What its row is called: its label, else its name, with that of a method inside ("freeinit+peekaboo")."""
        return self.label or row_name(self.method, self.options)

    def __post_init__(self) -> None:
        where = f"method {self.label or self.method!r}"
        if CONTROLS.search(self.label):
            raise UserError(f"the label {self.label!r} holds what cannot be printed on one line; choose another one")
        self.sampling.check(where)
        for name, value in self.options.items():
            if not _is_plain(value):
                kinds = "a finite number, a text, true, false or a list"
                raise UserError(f"{where}: option {name!r} must be {kinds}, got {value!r}")


def _is_plain(value: Any) -> bool:
    """Whether a value can be an option: finite, and of a kind that can be stored and compared."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))


@dataclass(frozen=True)
class RunSpec:
    """A run. None means the backbone's default (settings), all (cases), or as `runs.judging` says (detector, clip,
    frame_encoders, video_encoder).

    settings: a name that the methods have on the backbone, see `generator.settings`.

    cases: the first N of every suite. ground_truth: adds the row Ground truth (pocket only). sampling: common to all
    methods; what it leaves open is the backbone's default. Its fields stand in a spec as the run's own. lora: a file of
    adapters for the backbone's denoiser. batch_size: clips made together, or "auto"; see `batching`.
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
    sampling: Sampling = field(default_factory=Sampling)
    lora: str = ""
    batch_size: int | str = 1
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
            raise UserError(f"{where}: seeds must be a list of different numbers, got {short(list(self.seeds))}")
        if wrong := [seed for seed in self.seeds if not 0 <= seed < 2**63]:
            raise UserError(f"{where}: seeds must be whole numbers from 0, below 2^63, got {short(wrong[0])}")
        self.sampling.check(where)
        batching.check(self.batch_size, f"{where}: batch_size")
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
        # How many clips are made together is no part of what is asked.
        content = {name: value for name, value in asdict(self).items() if name not in ("name", "batch_size")}
        for one in (content, *content["methods"]):
            one |= one.pop("sampling")
            # Named only where they are asked for: a run that says nothing of them is called what it was before.
            for later in ("settings", "size"):
                if one[later] is None:
                    del one[later]
        # As names were made when a run's own fields had these defaults.
        for name, value in _NAMED_AS.items():
            content[name] = value if content[name] is None else content[name]
        return replace(self, name=f"{prefix}-{digest(content)[:8]}")


_NAMED_AS = {"scheduler": "ddim", "negative_prompt": "", "prompt_suffix": "", "dtype": "float32"}


if TYPE_CHECKING:

    class JudgedSpec(RunSpec):
        """A spec with its judges named, as far as a type checker must know; see `judging.with_judges`."""

        detector: str
        clip: str
        frame_encoders: tuple[str, ...]


def is_judged(spec: RunSpec) -> TypeGuard[JudgedSpec]:
    """Whether every judge that has a default is named."""
    return None not in (spec.detector, spec.clip, spec.frame_encoders)


def load_spec(path: Path) -> RunSpec:
    """Reads a run spec from TOML: fields of `RunSpec` and of its sampling, and a [[methods]] table for each method.

    Raises:
        UserError: unreadable file, unknown or mistyped field, no name.
    """
    data = read_toml(path, "the run spec")
    check_fields(data, _names(RunSpec), f"{path}")
    if "name" not in data:
        raise UserError(f'{path}: the run has no name; add a line such as name = "{Path(path).stem}"')
    _check_kinds(RunSpec, data, f"{path}")
    for key in ("suites", "references", "frame_encoders", "seeds"):
        if key in data:
            data[key] = tuple(data[key])
    data = spec_paths.beside(path, data)
    methods = data.get("methods", [])
    if not isinstance(methods, list):
        raise UserError(f"{path}: methods must be a list of names, or [[methods]] tables, got {short(methods)}")
    data["methods"] = tuple(_method(item, path) for item in methods)
    try:
        return RunSpec(**_with_sampling(data))
    except UserError as fault:
        raise UserError(f"{path}: {fault}") from None


def _method(item: Any, path: Path) -> MethodSpec:
    if isinstance(item, str):
        return MethodSpec(item)
    if not isinstance(item, dict) or not isinstance(item.get("method"), str):
        raise UserError(f'{path}: a method is written [[methods]] with method = "NAME", got {short(item)}')
    where = f"{path}, method {item['method']!r}"
    check_fields(item, _names(MethodSpec), where)
    _check_kinds(MethodSpec, item, where)
    try:
        return MethodSpec(**_with_sampling(item))
    except UserError as fault:
        raise UserError(f"{path}: {fault}") from None


def _names(cls: type) -> list[str]:
    """The fields of a table: those of a class, and of its sampling in place of that one."""
    return [name for one in fields(cls) for name in (sampling.NAMES if one.name == "sampling" else (one.name,))]


def _with_sampling(data: Mapping[str, Any]) -> dict[str, Any]:
    """A table's fields as the class takes them."""
    asked: dict[str, Any] = {
        name: tuple(value) if name == "size" else value for name, value in data.items() if name in sampling.NAMES
    }
    return {name: value for name, value in data.items() if name not in asked} | {"sampling": Sampling(**asked)}


def _check_kinds(cls: type, data: Mapping[str, Any], where: str) -> None:
    """UserError for a field of another kind than the class, or its sampling, says; in a file a scheduler is a name."""
    hints = {**typing.get_type_hints(Sampling), "scheduler": str, **typing.get_type_hints(cls)}
    check_kinds({key: value for key, value in data.items() if key != "methods"}, hints, where)
