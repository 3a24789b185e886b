"""A case kept: in a suite of the studio's folder and nowhere else, or as a command line that asks for the same."""

import shlex

import pytest

from ivgbench.cases import Suite, load_suite_file
from ivgbench.errors import UserError
from ivgbench.runs import one_case, runner
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import RunSpec
from ivgbench.studio import commands
from ivgbench.studio.requests import FieldError
from ivgbench.studio.saving import Suites
from ivgbench.suites import spread


@pytest.fixture
def suites(tmp_path):
    return Suites(tmp_path / "studio")


def test_cases_are_added_to_a_suite_that_reads_like_any_other(suites, asked):
    path, first = suites.save(asked(), "mine", "fox-1")
    _, second = suites.save(asked(prompt="a red star beside a blue square"), "mine", "fox-2")
    assert (len(first.cases), len(second.cases)) == (1, 2) and suites.names() == ["mine"]
    kept = load_suite_file(path)
    assert [one.id for one in kept.cases] == ["fox-1", "fox-2"] and kept.frames == 8
    assert kept.cases[0].content() == asked().case.content()  # to the last bit of a box between keyframes


@pytest.mark.parametrize(
    "name",
    ["", None, "..", "../out", "a/b", "/etc/passwd", "a\\b", "a b", ".hidden", "a..b", "a\0b", "a\n", "ä", "x" * 121, 3,
     []],
)  # fmt: skip
@pytest.mark.parametrize("field", ["suite", "case"])
def test_no_name_leads_out_of_the_folder(suites, asked, tmp_path, field, name):
    with pytest.raises(FieldError) as told:
        suites.save(asked(), **{"suite": "mine", "case": "one", field: name})
    assert told.value.field == field and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["static", "pocket-static", "imc-dynamic"])
def test_a_name_that_means_another_suite_is_refused(suites, asked, name):
    with pytest.raises(FieldError, match="is taken"):
        suites.save(asked(), name, "one")


def test_what_is_there_is_never_replaced(suites, asked, tmp_path):
    path, _ = suites.save(asked(), "mine", "one")
    before = path.read_bytes()
    with pytest.raises(FieldError, match="already") as told:
        suites.save(asked(), "mine", "one")
    assert told.value.field == "case" and path.read_bytes() == before
    path.write_text("damaged")
    with pytest.raises(FieldError, match="damaged"):
        suites.save(asked(), "mine", "two")
    assert path.read_text() == "damaged"
    outside = tmp_path / "outside.jsonl"
    (suites.folder / "link.jsonl").symlink_to(outside)
    with pytest.raises(FieldError, match="is a link"):
        suites.save(asked(), "link", "one")
    assert not outside.exists()


def test_a_case_of_another_length_needs_another_suite(suites, asked):
    path, suite = suites.save(asked(), "mine", "one")
    spread(Suite("mine", 8, suite.cases), 16).save(path)
    with pytest.raises(FieldError, match="16 frames, this case 8"):
        suites.save(asked(), "mine", "two")


HOSTILE = "a red star and a blue square; rm -rf ~ $(id) `id` 'quoted' \"double\" \\ ! #x & | > <b>"


@pytest.mark.parametrize("prompt", [HOSTILE, "--method a red star and a blue square", "-o red star, blue square"])
@pytest.mark.parametrize("seeds", ["4", "4, 6"])
def test_the_command_line_asks_for_the_same_whatever_is_typed(asked, command_line, monkeypatch, prompt, seeds):
    seen = []

    def keep(spec, case, *_):
        seen.append((spec, case))
        raise UserError("seen")

    monkeypatch.setattr(one_case, "compare", keep)
    methods = [
        {"name": "plain", "options": {}},
        {"name": "mask-norm-tid", "options": {"gamma": "0.2", "window": "[0, 5]"}},
    ]
    read = asked(prompt=prompt, methods=methods, steps="7", guidance_scale="3.25", seeds=seeds)
    lines = [line for line in commands.lines(read) if line.startswith("ivgbench compare ")]
    assert len(lines) == len(read.seeds)
    for line, seed in zip(lines, read.seeds, strict=True):
        code, _, err = command_line(*shlex.split(line)[1:])
        assert code == 2 and "seen" in err, err
        spec, case = seen.pop()
        assert case.content() == read.case.content() and spec.seeds == (seed,)
        assert [(one.method, one.options) for one in spec.methods] == [
            (one.method, one.options) for one in read.methods
        ]
        assert (spec.sampling.steps, spec.sampling.guidance_scale) == (7, 3.25)


def test_each_method_has_its_generate_line_with_its_own_options(asked):
    methods = [{"name": "plain", "options": {}}, {"name": "mask-norm-tid", "options": {"gamma": "0.2"}}]
    plain, tid = (shlex.split(line) for line in commands.lines(asked(methods=methods))[1:])
    assert plain[:2] == tid[:2] == ["ivgbench", "generate"] and "--option" not in plain
    assert tid[tid.index("--option") + 1] == "mask-norm-tid.gamma=0.2" and tid[-1] == "mask-norm-tid.mp4"


def test_the_run_of_a_saved_suite_is_quoted(asked, suites):
    path, _ = suites.save(asked(), "mine", "one")
    line = commands.run(path.parent / "with space" / path.name, asked())
    assert shlex.split(line)[-2:] == ["--suite", str(path.parent / "with space" / path.name)]


@pytest.mark.parametrize(
    ("seeds", "said"), [("0", []), ("0-2", ["--seeds", "3"]), ("7, 3", ["--seed", "7", "--seed", "3"])]
)
def test_the_run_of_a_saved_suite_samples_as_was_asked(asked, tmp_path, seeds, said):
    read = asked(steps="7", guidance_scale="3.25", scheduler="dpm", seeds=seeds)
    words = shlex.split(commands.run(tmp_path / "mine.jsonl", read, tmp_path / "runs"))
    sampled = ["--steps", "7", "--guidance-scale", "3.25", "--scheduler", "dpm"]
    assert words[words.index("--steps") :] == [
        *sampled, *said, "--runs", str(tmp_path / "runs"), "--suite", str(tmp_path / "mine.jsonl")
    ]  # fmt: skip


@pytest.mark.parametrize("seeds", ["0", "0, 1", "7, 3"])
def test_the_run_of_a_saved_suite_asks_for_the_very_clips_of_the_page(
    asked, suites, command_line, monkeypatch, tmp_path, seeds
):
    """Equal jobs are equal pixels: what was made on the page is not even made again."""
    keyframes = [{"frame": frame, "box": [frame / 10, 0.2, 0.3 + frame / 10, 0.6]} for frame in (0, 3, 7)]
    subjects = [{"phrase": "red star", "keyframes": keyframes}]
    methods = [{"name": "plain", "options": {}}, {"name": "mask-norm-tid", "options": {"gamma": "0.2"}}]
    read = asked(subjects=subjects, methods=methods, seeds=seeds, steps="7")
    path, _ = suites.save(read, "mine", "one")
    ran = []

    def keep(plan, *_):
        ran.extend(job.id for job in plan.jobs)
        raise UserError("seen")

    monkeypatch.setattr(runner, "run", keep)
    code, _, err = command_line(*shlex.split(commands.run(path, read, tmp_path / "runs"))[1:])
    assert code == 2 and "seen" in err, err
    own = Suite("own", 8, (read.case,))
    spec = RunSpec("studio", read.methods, suites=("own",), seeds=read.seeds, sampling=read.sampling)
    assert ran == [job.id for job in make_plan(spec, Lab(), own=own).jobs]


def test_the_name_of_a_suites_file_means_the_suite(suites, asked):
    suites.save(asked(), "mine", "one")
    path, suite = suites.save(asked(), "mine.jsonl", "two")
    assert (path.name, suite.name, len(suite.cases)) == ("mine.jsonl", "mine", 2)
