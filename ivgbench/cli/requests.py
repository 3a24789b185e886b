"""From what was said on the command line to a run's spec."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ivgbench.cli.options import Request
from ivgbench.errors import UserError
from ivgbench.registry import METHODS
from ivgbench.texts import short

if TYPE_CHECKING:
    from ivgbench.runs.spec import RunSpec

#: More seeds of every case than this are a slip of the hand.
MAX_SEEDS = 10_000


def spec_of(request: Request) -> RunSpec:
    """The spec of a request, under the name that it gives. Without one, "table1" that is overridden stays table1: what
    is asked then gets a name of its own."""
    from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec

    if request.spec is not None and request.method:
        raise UserError("give --spec or --method, not both: the spec lists its methods")
    if request.seeds is not None and not 1 <= request.seeds <= MAX_SEEDS:
        raise UserError(f"--seeds must be at least 1 and at most {MAX_SEEDS}, got {short(request.seeds)}")
    if request.seeds is not None and request.seed:
        raise UserError("give --seeds (how many, from 0 on) or --seed (each by its number), not both")
    given: dict[str, Any] = {
        "settings": request.settings,
        "backbone": request.backbone,
        "suites": tuple(request.suite) if request.suite else None,
        "cases": request.cases,
        "seeds": tuple(range(request.seeds)) if request.seeds else tuple(request.seed or ()) or None,
        "lora": None if request.lora is None else str(request.lora),
        "ground_truth": request.ground_truth or None,
        "references": tuple(request.reference) if request.reference else None,
        "reference_videos": request.reference_videos,
        "strict": request.strict or None,
    }
    said = {name: value for name, value in given.items() if value is not None}
    sampling = request.sampling.asked()
    if sampling.said():
        said["sampling"] = sampling
    if request.spec is not None:
        written = with_options(load_spec(request.spec), request.option)
        asked = replace(written, **{**said, "sampling": sampling.over(written.sampling)})
        if request.name is None:
            return asked.named_by_content(asked.name) if said or request.option else asked
        return replace(asked, name=request.name)
    methods = tuple(MethodSpec(METHODS.canonical(name)) for name in request.method or ())
    asked = with_options(RunSpec("run", methods, **said), request.option)
    return asked.named_by_content("run") if request.name is None else replace(asked, name=request.name)


def with_options(spec: RunSpec, option: list[str] | None) -> RunSpec:
    """The spec with METHOD.FIELD=VALUE options put into all rows of their method."""
    from ivgbench.runs.option_text import parse_option

    methods = list(spec.methods)
    for text in option or ():
        name, field, value = parse_option(text)
        name = METHODS.canonical(name)
        if not any(METHODS.canonical(one.method) == name for one in methods):
            raise UserError(f"--option {text!r}: the method {name!r} is not in this run; add --method {name}")
        methods = [
            replace(one, options={**one.options, field: value}) if METHODS.canonical(one.method) == name else one
            for one in methods
        ]
    return replace(spec, methods=tuple(methods))
