"""What the commands share: their options, spelled once, and how a small table is printed."""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, overload

import typer

from ivgbench import shipped
from ivgbench.cli import completion
from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.generator.sampling import Sampling
from ivgbench.texts import short


def _device(asked: str) -> str:
    """Checked while options are read: before any work."""
    from ivgbench.runs import devices

    return devices.check(asked)


@overload
def folder(path: Path) -> Path: ...


@overload
def folder(path: None) -> None: ...


def folder(path: Path | None) -> Path | None:
    """An option's folder, there or to be made. UserError, before any work, where a file is in its way."""
    if path is not None:
        _check_way(path, path)
    return path


@overload
def file(path: Path) -> Path: ...


@overload
def file(path: None) -> None: ...


def file(path: Path | None) -> Path | None:
    """An option's file that is to be written; the same for its folder."""
    if path is not None:
        if path.is_dir():
            raise UserError(f"cannot use {path}: it is a folder; name a file")
        if not os.access(there := _check_way(path, path.parent), os.W_OK | os.X_OK):
            raise UserError(f"cannot use {path}: nothing can be written in {there}; name another folder")
    return path


def spec_file(path: Path | None) -> Path | None:
    """An option's spec: a file, or the name of one that ships."""
    return None if path is None else shipped.spec(path)


def _check_way(asked: Path, place: Path) -> Path:
    """The folder that is there already of all that lead to a place."""
    there = next(one for one in (place.absolute(), *place.absolute().parents) if one.exists())
    if not there.is_dir():
        raise UserError(f"cannot use {asked}: {there} is a file, not a folder")
    return there


DEFAULT_RUNS = Path("results/runs")
#: Where tables, figures and pages go unless told otherwise: git ignores it. `make publish` writes the committed ones.
OWN = Path("results/own")
Runs = Annotated[Path, typer.Option("--runs", help="The folder of runs.", callback=folder)]
RunName = Annotated[str | None, typer.Option("--name", help="The run's name. (default: the spec's, or made up)")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="A method; repeat for several.", autocompletion=completion.methods),
]
Options = Annotated[list[str] | None, typer.Option("--option", help="METHOD.FIELD=VALUE, e.g. tid.gamma=0.1; repeat.")]
Settings = Annotated[
    str | None,
    typer.Option(
        "--settings",
        help="tuned, paper, released or defaults (`ivgbench list methods` says who has which); --option goes on top. "
        "(default: tuned, or adapted, where the backbone has it, else defaults)",
    ),
]
SpecFile = Annotated[
    Path | None,
    typer.Option(
        "--spec",
        help="A TOML file that says all this, or the name of one that ships: pocket is `make table1`'s.",
        callback=spec_file,
        autocompletion=completion.specs,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="pocket, zeroscope, another of `list backbones`, or a folder (default: pocket).",
        autocompletion=completion.backbones,
    ),
]
OneBackbone = Annotated[
    str,
    typer.Option(
        "--backbone",
        help="pocket, zeroscope, another of `list backbones`, or a folder.",
        autocompletion=completion.backbones,
    ),
]
SuiteNames = Annotated[
    list[str] | None,
    typer.Option(
        "--suite",
        help="static, dynamic, another name, or a .jsonl file; repeat (default: static and dynamic).",
        autocompletion=completion.suite_names,
    ),
]
Cases = Annotated[int | None, typer.Option(help="Only the first N cases of each suite.")]
Seeds = Annotated[int | None, typer.Option(help="Seeds 0..K-1 for every case (default: 1).")]
EachSeed = Annotated[
    list[int] | None, typer.Option("--seed", help="This seed for every case, in the place of --seeds; repeat.")
]
Steps = Annotated[int | None, typer.Option(help="Sampling steps (default: the backbone's).")]
Guidance = Annotated[float | None, typer.Option("--guidance-scale", help="(default: the backbone's)")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="ddim, dpm, flow (flow matching: Wan) or checkpoint: what the backbone came with. "
        "(default: ddim, of a flow model flow)"
    ),
]
Size = Annotated[
    str | None,
    typer.Option("--size", help="HEIGHTxWIDTH of the frames in pixels, e.g. 480x832 (default: the backbone's)."),
]
Dtype = Annotated[str | None, typer.Option(help="float32, float16 or bfloat16 (default: float32).")]
Lora = Annotated[Path | None, typer.Option(help="Adapters for the backbone's denoiser (.safetensors, .pt).")]
GroundTruth = Annotated[
    bool, typer.Option("--ground-truth", help="Add the row Ground truth: the asked scene, drawn (pocket only).")
]
References = Annotated[
    list[str] | None,
    typer.Option(
        "--reference",
        help="FID, KID, JEDi against a folder of videos, statistics (.npz, FID), or world or suite (pocket); repeat.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a reference with a video that cannot be read, not leave it out.")
]
ReferenceVideos = Annotated[int | None, typer.Option(help="How many videos of each reference (default: 400).")]
Workers = Annotated[
    int | None, typer.Option(help="Processes (default: one per CPU; one on a GPU; on Ray as many as find room).")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", callback=_device)]
Offload = Annotated[bool, typer.Option("--offload", help="Parts of the backbone on the device only while they work.")]


@dataclass(frozen=True)
class SamplingOptions:
    """How clips are to be sampled, as said on the command line: None where nothing was said."""

    steps: Steps = None
    guidance_scale: Guidance = None
    scheduler: Scheduler = None
    size: Size = None
    dtype: Dtype = None

    def asked(self) -> Sampling:
        """UserError for a size that is none; `Sampling.check` refuses the rest."""
        sides = None
        if self.size is not None:
            written = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", self.size)
            if written is None:
                raise UserError(f"--size {short(self.size)}: write HEIGHTxWIDTH in pixels, e.g. 480x832")
            sides = int(written[1]), int(written[2])
        return Sampling(self.steps, self.guidance_scale, self.scheduler, dtype=self.dtype, size=sides)


@dataclass(frozen=True)
class Request:
    """What a run is to be, as said on the command line: None, False or empty where nothing was said."""

    spec: SpecFile = None
    name: RunName = None
    method: Methods = None
    option: Options = None
    settings: Settings = None
    backbone: Backbone = None
    suite: SuiteNames = None
    cases: Cases = None
    seeds: Seeds = None
    seed: EachSeed = None
    sampling: SamplingOptions = SamplingOptions()
    lora: Lora = None
    ground_truth: GroundTruth = False
    reference: References = None
    reference_videos: ReferenceVideos = None
    strict: Strict = False


def spreads(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters may be `Request` or `SamplingOptions`, with the fields of those as its options."""
    own = inspect.signature(command, eval_str=True).parameters.values()

    @functools.wraps(command)
    def called(**said: Any) -> None:
        command(**{one.name: _gathered(one.annotation, one.name, said) for one in own})

    spread = [made for one in own for made in _spread(one.name, one.annotation, one.default)]
    vars(called)["__signature__"] = inspect.Signature(spread)
    return called


def _spread(name: str, kind: Any, default: Any) -> list[inspect.Parameter]:
    """The options of a parameter: itself, or the fields of what it is."""
    if not is_dataclass(kind):
        return [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)]
    hints = typing.get_type_hints(kind, include_extras=True)
    return [made for one in fields(kind) for made in _spread(one.name, hints[one.name], one.default)]


def _gathered(kind: Any, name: str, said: dict[str, Any]) -> Any:
    """The other way: what a parameter is given, of all options."""
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return said[name]
    hints = typing.get_type_hints(kind, include_extras=True)
    return kind(**{one.name: _gathered(hints[one.name], one.name, said) for one in fields(kind)})


def engine_of(lab: Any, workers: int | None, name: str = "local") -> Any:
    """The engine that is asked for; workers: None for the lab's default."""
    if name == "ray":
        from ivgbench.engines.ray import RayEngine

        return RayEngine(workers, lab.requested)
    from ivgbench.engines.local import LocalEngine

    return LocalEngine(lab.default_workers() if workers is None else workers)


def print_json(value: Any) -> None:
    """One line on stdout, escaped where the output's encoding lacks a character: the same value in any case."""
    line = canonical_json(value)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(value, sort_keys=True, separators=(",", ":"))
    print(line)


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Plain columns on stdout; the heavy part of rich is imported here."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    console = Console()
    made = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for name in header:
        made.add_column(name)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    if not console.is_terminal:  # what reads it may look for lines: nothing is folded
        console.width = max(160, Measurement.get(console, console.options.update(max_width=100_000), made).maximum)
    console.print(made)
