"""Run specs: what the TOML says is what is run, and what it cannot say is refused in one line."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from fake_lab import FakeLab

from ivgbench.errors import UserError
from ivgbench.generator import settings
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import Sampling
from ivgbench.registry import METHODS
from ivgbench.report import paper
from ivgbench.runs.option_text import parse_option
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GOOD = 'name = "x"\n[[methods]]\nmethod = "tid"\nlabel = "mine"\noptions = { gamma = 0.2, window = [0, 4] }\n'


def test_the_benchmark_spec_is_table_1_of_all_methods():
    spec = load_spec(BENCHMARKS / "pocket.toml")
    assert (spec.name, spec.backbone, spec.suites, spec.seeds) == ("table1", "pocket", ("static", "dynamic"), (0,))
    assert spec.ground_truth and spec.sampling.scheduler == "ddim"
    assert [one.method for one in spec.methods] == [*paper.LABELS]


def test_the_field_follows_the_papers_rows_of_the_same_clips():
    paper_rows, spec = load_spec(BENCHMARKS / "pocket.toml"), load_spec(BENCHMARKS / "field.toml")
    count = len(paper_rows.methods)
    assert spec.methods[:count] == paper_rows.methods and spec.sampling == paper_rows.sampling
    assert all(getattr(spec, name) == getattr(paper_rows, name) for name in ("backbone", "suites", "cases", "seeds"))
    assert {one.row.partition("+")[0] for one in spec.methods[count:]} == set(paper.FIELD) - {"ditraj"}  # of DiTs only


@pytest.mark.parametrize("name", ["table1", "table2"])
def test_the_papers_tables_have_every_value_pinned(name):
    spec = load_spec(BENCHMARKS / f"{name}.toml")
    assert (spec.name, spec.backbone, spec.suites) == (name, "zeroscope", ("imc-static", "imc-dynamic"))
    assert spec.sampling == Sampling(40, 9.0, "ddim", "", "", "float16")
    assert (spec.detector, spec.clip) == ("owlvit", "ViT-B-16-quickgelu/openai")
    for one in spec.methods:
        options = settings.of(spec.backbone, one.method, spec.settings_of(one)) | one.options
        config = resolve(one.method, options)
        free = {field.name for field in fields(config)} - set(options)
        # Whatever is not written out is off by default, and says so by being None.
        assert all(getattr(config, name) is None for name in free), (one.method, free)
        assert options == {key: value for key, value in asdict(config).items() if key in options}
        assert options.get("frozen_steps", 4) == 4
    assert {METHODS.canonical(one.method) for one in spec.methods} == set(paper.LABELS)


def test_table_2_makes_no_clip_that_table_1_has_not():
    first, second = load_spec(BENCHMARKS / "pocket.toml"), load_spec(BENCHMARKS / "pocket-table2.toml")
    assert second.references == ("world", "suite") and second.name == "table2"
    measured = {name: getattr(second, name) for name in ("name", "references", "frame_encoders", "video_encoder")}
    assert replace(first, **measured) == second


def test_the_papers_table_2_measures_the_clips_of_its_table_1():
    first, second = (load_spec(BENCHMARKS / f"table{number}.toml") for number in (1, 2))
    compared = ("references", "reference_videos", "reference_seed", "frame_encoders", "video_encoder")
    same = {name: getattr(first, name) for name in ("name", *compared)}
    assert replace(second, **same) == first
    assert second.reference_videos == 400 and second.references[0].endswith("references/animal-kingdom")


def test_the_baselines_run_as_their_repositories_do():
    spec = load_spec(BENCHMARKS / "official.toml")
    lab = FakeLab(None)
    plan = make_plan(replace(spec, suites=("scenes-static",), cases=1), lab)
    by_label = {entry.label: entry.job for entry in plan.entries}
    jobs = [by_label[name] for name in ("peekaboo-cli", "peekaboo-imc", "trailblazer-metric")]
    cli, imc, trail = (one.sampling for one in jobs)
    frozen = [one.options.get("frozen_steps") for one in jobs[:2]]
    assert (cli.steps, frozen[0], cli.scheduler, cli.dtype) == (50, 2, "checkpoint", "float32")
    assert (imc.steps, frozen[1], imc.scheduler, imc.dtype) == (40, 4, "checkpoint", "float32")
    assert (trail.steps, trail.scheduler, trail.dtype, trail.guidance_scale) == (40, "dpm", "float16", 9.0)
    assert (jobs[2].options["spatial_strengthen"], jobs[2].options["trailing_length"]) == (0.125, 15)
    assert trail.prompt_suffix.startswith(";") and trail.negative_prompt and not cli.negative_prompt


def test_methods_carry_options_and_labels(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD)
    assert load_spec(tmp_path / "a.toml").methods == (MethodSpec("tid", {"gamma": 0.2, "window": [0, 4]}, "mine"),)


def test_suite_files_are_relative_to_the_spec(tmp_path):
    (tmp_path / "a.toml").write_text('name = "x"\nsuites = ["static", "my.jsonl"]\nmethods = ["plain"]\n')
    assert load_spec(tmp_path / "a.toml").suites == ("static", str(tmp_path / "my.jsonl"))


def test_reference_folders_are_relative_to_the_spec(tmp_path):
    (tmp_path / "a.toml").write_text('name = "x"\nreferences = ["world", "animals"]\nmethods = ["plain"]\n')
    assert load_spec(tmp_path / "a.toml").references == ("world", str(tmp_path / "animals"))


@pytest.mark.parametrize(
    ("field", "written", "read"),
    [
        # Names stay names.
        ("suites", "static", "static"),
        ("references", "suite", "suite"),
        ("backbone", "zeroscope", "zeroscope"),
        ("backbone", "owner/model", "owner/model"),
        ("detector", "owlvit", "owlvit"),
        ("detector", "owlvit:google/owlvit-base-patch32", "owlvit:google/owlvit-base-patch32"),
        ("clip", "pocket", "pocket"),
        ("clip", "ViT-B-16-quickgelu/openai", "ViT-B-16-quickgelu/openai"),
        ("frame_encoders", "clip", "clip"),
        ("frame_encoders", "inception", "inception"),
        ("video_encoder", "vjepa2:facebook/vjepa2-vitl", "vjepa2:facebook/vjepa2-vitl"),
        ("lora", "", ""),
        # Files and folders lie beside the spec, there or not.
        ("suites", "my.jsonl", "HERE/my.jsonl"),
        ("suites", "sub/mine", "HERE/sub/mine"),
        ("references", "videos", "HERE/videos"),
        ("references", "../videos", "ABOVE/videos"),
        ("references", "/data/videos", "/data/videos"),
        ("backbone", "mine", "HERE/mine"),
        ("backbone", "./mine", "HERE/mine"),
        ("backbone", "folders/there", "HERE/folders/there"),
        ("detector", "yolo-world:weights/world.pt", "yolo-world:HERE/weights/world.pt"),
        ("detector", "yolo-world:weights/folder", "yolo-world:HERE/weights/folder"),
        ("detector", "owlvit:folders/there", "owlvit:HERE/folders/there"),
        ("detector", "pocket:mine", "pocket:HERE/mine"),
        ("clip", "./mine", "HERE/mine"),
        ("clip", "folders", "HERE/folders"),
        ("clip", "ViT-B-16/weights/b16.pt", "ViT-B-16/HERE/weights/b16.pt"),
        ("clip", "ViT-B-16/b16.pt", "ViT-B-16/HERE/b16.pt"),
        ("clip", "ViT-B-16//data/b16.pt", "ViT-B-16//data/b16.pt"),
        ("frame_encoders", "inception:i.pth", "inception:HERE/i.pth"),
        ("frame_encoders", "denoiser:d", "denoiser:HERE/d"),
        ("video_encoder", "vjepa:a.pth.tar,../b.tar", "vjepa:HERE/a.pth.tar,ABOVE/b.tar"),
        ("video_encoder", "pocket:mine", "pocket:HERE/mine"),
        ("video_encoder", "vjepa2:folders/there", "vjepa2:HERE/folders/there"),
        ("lora", "a.safetensors", "HERE/a.safetensors"),
    ],
)
def test_every_path_is_relative_to_the_spec_and_names_stay_names(tmp_path, monkeypatch, field, written, read):
    here = tmp_path / "specs"
    (here / "folders" / "there").mkdir(parents=True)
    value = f'"{written}"' if isinstance(getattr(RunSpec, field), str | None) else f'["{written}"]'
    value = f'["{written}"]' if field == "frame_encoders" else value
    (here / "a.toml").write_text(f'name = "x"\n{field} = {value}\nmethods = ["plain"]\n')
    expected = read.replace("HERE", str(here)).replace("ABOVE", str(tmp_path))
    # The same from any folder, by any name of the file.
    for folder, path in ((tmp_path, here / "a.toml"), (tmp_path, "specs/a.toml"), (here, "a.toml")):
        monkeypatch.chdir(folder)
        found = getattr(load_spec(Path(path)), field)
        assert (found if isinstance(found, str) else found[0]) == expected


@pytest.mark.parametrize("name", ["", "a b", "../x", "x/y", "a..b", ".x", "ü", "x" * 121, "a\\n"])
def test_a_run_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"run name .* is not allowed"):
        RunSpec(name, (MethodSpec("plain"),))
    (tmp_path / "a.toml").write_text(f'name = "{name}"\nmethods = ["plain"]\n')
    with pytest.raises(UserError, match=r"a\.toml: run name .* is not allowed"):
        load_spec(tmp_path / "a.toml")


def test_a_name_that_gets_too_long_is_refused():
    with pytest.raises(UserError, match="is not allowed"):
        RunSpec("x" * 115, (MethodSpec("plain"),)).named_by_content("x" * 115)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "not TOML"),
        ('methods = ["plain"]', "has no name"),
        ('name = "x"\nseed = [1]', "did you mean 'seeds'"),
        ('name = "x"\nmethods = [{ methd = "a" }]', "a method is written"),
        ('name = "x"\nmethods = "plain"', "methods must be a list of names, or .* tables, got 'plain'"),
        ('name = "x"\n[methods]\nplain = {}', "methods must be a list of names"),
        ('name = "x"\nmethods = [{ method = "a", option = {} }]', "did you mean 'options'"),
        ('name = "x"\ncases = "all"\nmethods = ["plain"]', "cases must be a whole number"),
        ('name = "x"\ncases = true\nmethods = ["plain"]', "cases must be a whole number"),
        ('name = "x"\ncases = 0\nmethods = ["plain"]', "at least 1"),
        ('name = "x"\nseeds = [0, 0]\nmethods = ["plain"]', "different numbers"),
        ('name = "x"\nseeds = [-1]\nmethods = ["plain"]', "whole numbers"),
        ('name = "x"\nscheduler = "euler"\nmethods = ["plain"]', "unknown scheduler"),
        ('name = "x"\ndtype = "half"\nmethods = ["plain"]', "unknown dtype 'half'; one of float32"),
        ('name = "x"\nmethods = [{ method = "a", steps = "many" }]', "method 'a': steps must be a whole number"),
        ('name = "x"\nmethods = [{ method = "a", scheduler = "euler" }]', "method 'a': unknown scheduler"),
        ('name = "x"\nmethods = ["plain", "plain"]', "labelled 'plain'"),
        ('name = "x"\nmethods = ["tid", "mask-norm-tid"]', "two methods are labelled 'mask-norm-tid'"),
        ('name = "x"\nmethods = [{ method = "plain", label = "ground-truth" }]', "'ground-truth' is kept for"),
        ('name = "x"\nmethods = [{ method = "plain", label = "floor" }]', "'floor' is kept for"),
        ('name = "x"\nsteps = 1001\nmethods = ["plain"]', "steps must be from 1 to 1000, got 1001"),
        ('name = "x"\nguidance_scale = nan\nmethods = ["plain"]', "guidance_scale must be a number, got nan"),
        ('name = "x"\nguidance_scale = inf\nmethods = ["plain"]', "guidance_scale must be"),
        ('name = "x"\nmethods = [{ method = "a", guidance_scale = -1.0 }]', "method 'a': guidance_scale must be"),
        ('name = "x"', "no method"),
        ('name = "x"\nsuites = [1]\nmethods = ["plain"]', "suites must be a list of texts"),
        ('name = "x"\nreferences = ["world"]\nframe_encoders = []\nmethods = ["plain"]', "at least one of frame_enc"),
        ('name = "x"\nreference_videos = 1\nmethods = ["plain"]', "reference_videos must be at least 2"),
    ],
)
def test_mistakes_are_named(tmp_path, text, words):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UserError, match=words):
        load_spec(tmp_path / "a.toml")


def test_a_missing_spec_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.toml: cannot read"):
        load_spec(tmp_path / "none.toml")


def test_runs_named_by_content_differ_when_they_ask_different_things():
    one = RunSpec("run", (MethodSpec("plain"),))
    same = RunSpec("other", (MethodSpec("plain"),)).named_by_content("run")
    more = RunSpec("run", (MethodSpec("plain"),), cases=3).named_by_content("run")
    assert one.named_by_content("run") == same and more.name != same.name
    assert same.name.startswith("run-")


def test_options_on_the_command_line_are_toml_values():
    assert parse_option("tid.gamma=0.1") == ("tid", "gamma", 0.1)
    assert parse_option("mask-norm-id.window=[0, 4]") == ("mask-norm-id", "window", [0, 4])
    assert parse_option("peekaboo.scope=paper") == ("peekaboo", "scope", "paper")
    assert parse_option("freeinit.base=tid") == ("freeinit", "base", "tid")
    assert parse_option("freeinit.base.gamma=0.1") == ("freeinit", "base.gamma", 0.1)
    numbers = {".1": 0.1, "1.": 1.0, "+1": 1, "1e-1": 0.1, "1_000": 1000, "-.5": -0.5, "+.5e1": 5.0, "007": 7,
               "00.5": 0.5, "[.1, 1.]": [0.1, 1.0], "-0": 0, "1.e3": 1000.0}  # fmt: skip
    for written, value in numbers.items():
        found = parse_option(f"tid.gamma={written}")[2]
        assert found == value and type(found) is type(value)
    for text in ("1.2.3", "1,5", "x.1", ".", "-", "v1.", "", "1 2", "1__0"):
        assert parse_option(f"tid.gamma={text}")[2] == text
    assert parse_option('tid.gamma=[".1", 1.]')[2] == [".1", 1.0]
    for wrong in ("1" * 5000, "[" * 5000):
        with pytest.raises(UserError, match="too long, or too deep"):
            parse_option(f"tid.gamma={wrong}")
    with pytest.raises(UserError, match="give one value"):
        parse_option("tid.gamma=1\nother=2")
    for wrong in ("gamma=0.1", "tid.gamma", "tid.=1", ".gamma=1"):
        with pytest.raises(UserError, match=r"METHOD\.FIELD=VALUE"):
            parse_option(wrong)


def test_a_spec_may_begin_with_a_mark_and_end_lines_as_it_likes(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(GOOD)
    plain = load_spec(path)
    path.write_bytes(("\ufeff" + GOOD.replace("\n", "\r\n")).encode())
    assert load_spec(path) == plain
    path.write_text(GOOD.replace('"mine"', '"a\u2028b"'))
    assert load_spec(path).methods[0].label == "a\u2028b"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (GOOD.encode("utf-16"), "cannot read the run spec: it is UTF-16"),
        (GOOD.replace("mine", "caf\xe9").encode("latin-1"), "x.toml:4: cannot read the run spec: byte 0xe9"),
        (f"x = {'[' * 5000}".encode(), "x.toml: "),
        (f"steps = {'9' * 5000}".encode(), "x.toml: not TOML"),
        (f'name = "x"\nguidance_scale = {"9" * 400}'.encode(), "guidance_scale must be a number, got 99"),
        (f'name = "x"\nsteps = {"9" * 400}'.encode(), "steps must be from 1 to 1000, got 99"),
        (b'name = "\\ud800"', "x.toml: not TOML"),
    ],
)
def test_a_file_that_is_no_spec_is_one_line(tmp_path, data, words):
    path = tmp_path / "x.toml"
    path.write_bytes(data + b"\nmethods = ['plain']\n" if b"name" in data and b"label" not in data else data)
    with pytest.raises(UserError) as refused:
        load_spec(path)
    assert words in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 300


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000])
def test_an_option_that_nothing_can_read_is_refused_in_one_short_line(value):
    with pytest.raises(UserError, match="too long, or too deep") as refused:
        parse_option(f"tid.gamma={value}")
    assert len(str(refused.value)) < 200


def test_an_option_that_is_no_toml_is_a_text():
    assert parse_option("tid.gamma=nan nan") == ("tid", "gamma", "nan nan")
