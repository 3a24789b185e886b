"""Run specs, claims files and options: each is understood as it is written, or refused in one line."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
from damage import anything_written, damaged, edited
from fake_lab import FakeLab
from generated import answer, holds_for
from hypothesis import strategies as st

from ivgbench.cli.options import Request, SamplingOptions
from ivgbench.cli.placing import _keyframes
from ivgbench.cli.requests import spec_of, with_options
from ivgbench.files import digest
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import DTYPES, MAX_STEPS, SCHEDULERS
from ivgbench.registry import METHODS
from ivgbench.runs.option_text import parse_option
from ivgbench.runs.planning import make_plan, shard_of
from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec
from ivgbench.study.claims import METRICS
from ivgbench.study.claims_file import load_claims

SPEC = {
    "name": "mine", "backbone": "pocket", "suites": ["static"], "cases": 2, "seeds": [0, 1], "ground_truth": True,
    "steps": 4, "guidance_scale": 6.0, "scheduler": "ddim", "negative_prompt": "bad", "prompt_suffix": ", hd",
    "dtype": "float32", "detector": "pocket", "clip": "pocket", "references": ["world"], "reference_videos": 8,
    "reference_seed": 0, "size": [48, 80], "frame_encoders": ["clip"], "video_encoder": "pocket",
    "methods": [{"method": "tid", "label": "x", "steps": 3, "scheduler": "dpm", "options": {"gamma": 0.1}}, "plain"],
}  # fmt: skip
CLAIMS = {
    "run": "run.toml", "cases": 8, "level": 0.05, "contradictions": ["none"],
    "claims": [{"id": "a", "text": "t", "paper": "p", "metric": "miou_all", "row": "x", "than": ["y", 3, 0.5],
                "direction": "higher", "splits": ["static"], "margin": 1.5}],
}  # fmt: skip


def toml(value: object) -> str:
    """A TOML value. Dates are left to the hard texts."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(key)} = {toml(one)}' for key, one in value.items())}}}"
    return '"' + re.sub(r'[\x00-\x1f"\\\x7f]', lambda match: f"\\u{ord(match[0]):04x}", value) + '"'


def document(table: dict) -> bytes:
    text = "\n".join(f"{toml(key)} = {toml(value)}" for key, value in table.items())
    return text.encode("utf-8", "replace")


#: What TOML can hold: no null, and the texts of a UTF-8 file.
written = st.text(max_size=10)
toml_scalars = st.one_of(
    st.booleans(), written, st.integers(-2, 12), st.integers(), st.floats(),
    st.sampled_from([10**30, 10**400, -1, 1e308, math.nan, math.inf, "\u2028", "../x", "", "static", "pocket"]),
)  # fmt: skip
toml_values = st.recursive(
    toml_scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(written, inner, max_size=2)),
    max_leaves=5,
)
hard_toml = st.sampled_from(
    [b"", b"\xef\xbb\xbfname = 'x'\nmethods = ['plain']", b"name = 'x'\r\nmethods = ['plain']\r\n",
     b"a = " + b"1" * 5000, b"a = " + b"[" * 5000, b"[a]\n[a]", b"name = 1979-05-27", b"name = 'x'\ncases = 07:32:00",
     b"\x00", b"\xff",
     b"methods = 'plain'\nname = 'x'", b"a.b.c" + b".d" * 3000 + b" = 1", b"name = 'x'\nseeds = [" + b"1" * 5000 + b"]"]
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("specs")


def load(reader, folder, data: bytes):
    (folder / "run.toml").write_bytes(data)
    return answer(reader, folder / "run.toml")


def sound(spec: RunSpec | None) -> None:
    """What a spec promises once it is read."""
    if spec is None:
        return
    assert isinstance(spec.name, str) and all(isinstance(one, str) for one in spec.suites)
    assert spec.methods or spec.ground_truth is True
    assert spec.cases is None or (type(spec.cases) is int and spec.cases >= 1)
    assert all(type(seed) is int and seed >= 0 for seed in spec.seeds) and len(set(spec.seeds)) == len(spec.seeds) > 0
    for one in (spec.sampling, *(method.sampling for method in spec.methods)):
        assert one.steps is None or (type(one.steps) is int and 1 <= one.steps <= MAX_STEPS)
        assert one.guidance_scale is None or 0 <= one.guidance_scale < math.inf
        assert one.scheduler in (None, *SCHEDULERS) and one.dtype in (None, *DTYPES)
        assert one.size is None or (len(one.size) == 2 and all(type(side) is int and side > 0 for side in one.size))
        assert one.negative_prompt is None or isinstance(one.negative_prompt, str)
    assert type(spec.reference_videos) is int and spec.reference_videos >= 2 and type(spec.reference_seed) is int
    named = spec.named_by_content("run")
    assert named.name.startswith("run-") and named == spec.named_by_content("run")


def test_the_examples_are_whole(folder):
    spec = load(load_spec, folder, document(SPEC))
    assert (spec.cases, spec.methods[0].options, spec.methods[1]) == (2, {"gamma": 0.1}, MethodSpec("plain"))
    assert load(load_claims, folder, document(CLAIMS)).claims[0].than == ("y", 3, 0.5)


@holds_for(edited(SPEC, toml_values))
def test_edited_specs(folder, table):
    sound(load(load_spec, folder, document(table if isinstance(table, dict) else {"name": table})))


@holds_for(edited(SPEC, toml_values), dear=4)
def test_a_spec_that_loads_can_be_planned(folder, table):
    spec = load(load_spec, folder, document(table if isinstance(table, dict) else {"name": table}))
    plan = spec and answer(make_plan, spec, FakeLab(folder / "log"))
    if plan is not None:
        assert plan.jobs and all(len(job.id) == 20 for job in plan.jobs)
        assert all(digest(entry.record()) for entry in plan.entries)


@holds_for(st.one_of(damaged(document(SPEC)), hard_toml, st.binary(max_size=40)))
def test_damaged_specs(folder, data):
    sound(load(load_spec, folder, data))


@holds_for(st.one_of(edited(CLAIMS, toml_values).map(lambda t: document(t if isinstance(t, dict) else {"run": t})),
                     damaged(document(CLAIMS)), hard_toml))  # fmt: skip
def test_claims_files(folder, data):
    claims = load(load_claims, folder, data)
    if claims is None:
        return
    assert type(claims.cases) is int and 0 < claims.level < 1 and isinstance(claims.run, Path)
    assert len({one.id for one in claims.claims}) == len(claims.claims)
    for one in claims.claims:
        assert one.metric in METRICS and one.direction in ("higher", "lower") and one.than and one.splits
        assert all(isinstance(text, str) for text in (one.id, one.text, one.paper, one.row, *one.splits))
        assert all(isinstance(rival, str) or math.isfinite(rival) for rival in one.than)
        assert math.isfinite(one.margin)


# ---- options


NAMES = [*METHODS.names(), *METHODS.aliases()]
FIELDS = sorted({one for name in METHODS.names() for one in dataclasses.asdict(resolve(name))})
values = st.one_of(
    toml_values,
    written,
    st.floats(0, 1),
    st.sampled_from(["official", "paper", "place", "detached", "exact", "all-words", "all", (0.1, 0.2)]),
)


def sound_config(config) -> None:
    """Options are plain data within their ranges: they are hashed, and read back they are the same."""
    if config is not None:
        found = dataclasses.asdict(config)
        assert len(digest(found)) == 64
        assert resolve(config.name, found) == config


@holds_for(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(FIELDS), values, max_size=3))
def test_options_of_any_value(name, options):
    sound_config(answer(resolve, name, options))


@st.composite
def option_texts(draw):
    name = draw(st.one_of(st.sampled_from(NAMES), anything_written))
    field = draw(st.one_of(st.sampled_from(FIELDS), anything_written))
    value = draw(st.one_of(toml_values.map(toml), anything_written, st.sampled_from(
        [".1", "1.", "+.5", "-.5", "1e-3", "1e999", "1_000", "0x10", "07", "nan", "-inf", "1" * 400, "1" * 5000,
         "[" * 5000, "[1, 2", "1979-05-27", "07:32:00", "1\nx = 2", "# none", "'''", "True", "true", "None", " 0.1 "]
    )))  # fmt: skip
    return draw(
        st.sampled_from([f"{name}.{field}={value}", f"{name}.{field} = {value}", f"{name}{field}={value}", value])
    )


@holds_for(option_texts())
def test_option_texts(text):
    if (parts := answer(parse_option, text)) is None:
        return
    name, field, _ = parts
    assert name and field.isidentifier()
    spec = answer(with_options, RunSpec("r", tuple(MethodSpec(one) for one in METHODS.names())), [text])
    if spec is not None:
        (options,) = [one.options for one in spec.methods if one.options]
        assert list(options) == [field]
        sound_config(answer(resolve, name, options))


@holds_for(st.sampled_from(["0.1", ".1", "1e-1", "1e-05", "+.1", "00.1", "0.10"]), st.sampled_from(["tid", "id"]))
def test_numbers_are_numbers_however_they_are_written(text, method):
    assert answer(resolve, method, {"gamma": parse_option(f"{method}.gamma={text}")[2]}) == resolve(
        method, {"gamma": float(text)}
    )


def perhaps(*values):
    return st.one_of(st.none(), *values)


def a_few(*values):
    return perhaps(st.lists(st.one_of(*values), max_size=2))


@holds_for(st.builds(
    Request,
    method=a_few(st.sampled_from([*NAMES, "x"])),
    option=a_few(option_texts()),
    suite=a_few(st.sampled_from(["static", "dynamic"]), anything_written),
    cases=perhaps(st.integers(-1, 3)),
    seeds=perhaps(st.integers(-1, 3)),
    sampling=st.builds(
        SamplingOptions,
        steps=perhaps(st.integers()),
        guidance_scale=perhaps(st.floats()),
        scheduler=perhaps(st.sampled_from(SCHEDULERS), anything_written),
        size=perhaps(st.builds("{}x{}".format, st.integers(-1, 9000), st.integers(0, 99)), anything_written),
        dtype=perhaps(st.sampled_from(DTYPES), anything_written),
    ),
    ground_truth=st.booleans(),
    reference=a_few(st.sampled_from(["world", "suite"]), anything_written),
    reference_videos=perhaps(st.integers(-1, 5)),
), dear=4)  # fmt: skip
def test_any_request_of_the_command_line(folder, request_):
    spec = answer(spec_of, request_)
    sound(spec)
    plan = spec and answer(make_plan, spec, FakeLab(folder / "log"))
    if plan is not None:
        assert plan.jobs and all(len(job.id) == 20 for job in plan.jobs)


@holds_for(st.one_of(st.text(max_size=8), st.builds("{}/{}".format, st.integers(-1, 5), st.integers(-1, 5)),
                     st.sampled_from(["0/0", "²/3", "0/٣", "1" * 5000 + "/2", "0/" + "1" * 5000])))  # fmt: skip
def test_shards(text):
    picked = answer(shard_of, tuple(range(10)), text)
    assert picked is None or set(picked) <= set(range(10))


box_numbers = st.one_of(st.floats(), st.floats(0, 1), st.integers(-1, 2), anything_written)


@holds_for(st.lists(st.one_of(
    anything_written,
    st.builds(lambda frame, numbers: f"{frame}:{','.join(map(str, numbers))}",
              st.one_of(st.integers(-1, 9), anything_written), st.lists(box_numbers, min_size=3, max_size=5)),
    st.sampled_from(["1" * 5000 + ":0,0,1,1", "0:0,0,1," + "1" * 5000, "0:0,0,1,1:", "٠:0,0,1,1"]),
), max_size=3))  # fmt: skip
def test_boxes_of_the_command_line(texts):
    found = answer(_keyframes, ["subject"] + ["box"] * len(texts), ["red star"], texts)
    assert found is None or all(type(frame) is int and len(box) == 4 for frame, box in found[0][1].items())
