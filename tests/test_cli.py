"""The command line: what it prints, how it exits, and that a mistake costs one clear line."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_lab import FakeLab

from ivgbench import __version__, cli, load_suite, suites
from ivgbench.runs import doctor, lab
from ivgbench.store import video
from ivgbench.store.runs import Store
from ivgbench.study import recording

ROOT = Path(__file__).parents[1]
#: Derived from the lab's class, which `shell` replaces: it must be there before.
assert recording.RecordingLab
PROMPT = "a red star on a grey background"


@pytest.fixture
def shell(command_line, monkeypatch, tmp_path):
    """A function (*arguments) -> (exit code, stdout, stderr), in a folder of its own, with the fake lab."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "Lab", lambda *_: FakeLab(tmp_path / "log"))

    return command_line


def refused(answer: tuple[int, str, str]) -> str:
    """The one line of a refusal; fails unless the command said exactly that and exited with 2."""
    code, out, err = answer
    assert code == 2 and out == "" and err.startswith("ivgbench: ") and err.count("\n") == 1, answer
    return err


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["table", "1", "--runs", "RUNS"], ["suites", "list"]]
)
def test_looking_at_things_imports_no_torch(arguments, tmp_path, shell):
    if "RUNS" in arguments:
        shell("run", "--method", "plain", "--cases", 1, "--runs", tmp_path / "runs")
    arguments = [str(tmp_path / "runs") if one == "RUNS" else one for one in arguments]
    code = """
import sys, ivgbench.cli
sys.argv = ["ivgbench", *sys.argv[1:]]
try: ivgbench.cli.main()
except SystemExit as left: status = left.code or 0
print("heavy:", *{"torch", "diffusers", "transformers", "open_clip", "ultralytics"} & set(sys.modules), file=sys.stderr)
sys.exit(status)
"""
    answer = python(code, *arguments)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.splitlines()[-1].strip() == "heavy:"
    assert answer.stdout.strip()


def test_module_and_command_are_the_same():
    answer = subprocess.run(
        [sys.executable, "-m", "ivgbench", "list", "methods"], capture_output=True, text=True, cwd=ROOT
    )
    assert answer.returncode == 0 and "mask-norm-tid" in answer.stdout and "trailblazer" in answer.stdout


def test_a_run_then_its_table(shell, tmp_path):
    code, out, err = shell(
        "run", "--method", "plain", "--method", "tid", "--cases", 1, "--ground-truth", "--workers", 1
    )
    assert code == 0 and "6 jobs, 6 clips made now" in out and "ground" in out.lower()
    assert "results/runs" in out
    (run,) = Store("results/runs").runs()
    assert run.startswith("run-")
    code, out, err = shell("run", "--method", "plain", "--method", "tid", "--cases", 1, "--ground-truth")
    assert code == 0 and "0 clips made now" in out and "nothing to do: all 6 jobs are done" in err
    code, out, err = shell("table", 1)
    assert code == 0 and run in out
    with (tmp_path / "results/own/tables/table1.csv").open() as handle:
        assert {row["split"] for row in csv.DictReader(handle)} == {"static", "dynamic"}
    assert Store("results/runs").runs() == [run]


def test_a_spec_keeps_its_name_unless_it_is_overridden(shell, tmp_path):
    (tmp_path / "s.toml").write_text('name = "table1"\ncases = 1\nsuites = ["static"]\nmethods = ["plain"]\n')
    assert shell("run", "--spec", "s.toml")[0] == 0
    assert Store("results/runs").runs() == ["table1"]
    assert shell("run", "--spec", "s.toml", "--cases", 2, "--option", "plain.shift=0.1")[0] == 0
    other, first = sorted(Store("results/runs").runs(), key=len, reverse=True)
    assert first == "table1" and other.startswith("table1-")
    jobs = Store("results/runs").manifest(other)["jobs"]
    assert len(jobs) == 2 and jobs[0]["options"] == {"shift": 0.1}
    assert "table1" in shell("table", 1)[1]  # the default among several
    assert "give --spec or --method" in refused(shell("run", "--spec", "s.toml", "--method", "tid"))


def test_seeds_and_shards(shell):
    for shard in ("0/2", "1/2"):
        assert (
            shell("run", "--method", "plain", "--suite", "static", "--cases", 1, "--seeds", 3, "--shard", shard)[0] == 0
        )
    (run,) = Store("results/runs").runs()
    rows, manifest = Store("results/runs").load_rows(run)
    assert [job["seed"] for job in manifest["jobs"]] == [0, 1, 2] and not any(
        row["status"] == "missing" for row in rows
    )


def test_batches_are_made_together(shell, tmp_path):
    assert shell("run", "--method", "plain", "--cases", 3, "--batch-size", 2, "--workers", 1)[0] == 0
    noted = (tmp_path / "log").read_text().split()
    assert noted.count("batch:2") == 3 and "batch:1" not in noted


def test_precision_and_adapters_are_part_of_a_job(shell, tmp_path, monkeypatch):
    (tmp_path / "a.pt").write_bytes(b"an adapter")
    once = ("run", "--method", "plain", "--suite", "static", "--cases", 1)
    for extra in ((), ("--dtype", "float16"), ("--lora", "a.pt"), ("--offload",)):
        assert shell(*once, *extra)[0] == 0
    assert len((tmp_path / "log").read_text().split()) == 3  # --offload changes no pixel: nothing to do
    assert "no file none.pt" in refused(shell(*once, "--lora", "none.pt"))
    assert "unknown dtype 'half'" in refused(shell(*once, "--dtype", "half"))
    monkeypatch.setitem(sys.modules, "ray", None)  # not installed
    assert "pip install 'ivgbench[ray]'" in refused(shell(*once, "--engine", "ray"))


def test_failed_jobs_are_exit_code_1_and_a_partial_table(shell, monkeypatch, tmp_path):
    broken = FakeLab(tmp_path / "log", {"pocket-static-01": "raise"})
    monkeypatch.setattr(lab, "Lab", lambda *_: broken)
    code, out, err = shell("run", "--method", "plain", "--suite", "static", "--cases", 2)
    assert code == 1 and "1 failed" in out and "1/2" in out
    assert "failed: plain, case pocket-static-01, seed 0" in err and "latents are not finite" in err
    assert "--allow-partial" in refused(shell("table", 1))
    code, out, err = shell("table", 1, "--allow-partial")
    assert code == 0 and "PARTIAL" in out


def test_a_full_disk_is_one_line(shell, monkeypatch, tmp_path):
    monkeypatch.setattr(lab, "Lab", lambda *_: FakeLab(tmp_path / "log", {"pocket-static-00": "full"}))
    code, _, err = shell("run", "--method", "plain", "--suite", "static", "--cases", 2)
    assert code == 1 and "Traceback" not in err
    assert err.splitlines()[-1].startswith("ivgbench: the disk is full") and "run the same again" in err


def test_plan_runs_nothing(shell, tmp_path):
    code, out, _ = shell("plan", "--method", "plain", "--method", "tid", "--cases", 3, "--seeds", 2)
    assert code == 0 and "24" in out and "72" in out  # 2 methods x 2 suites x 3 cases x 2 seeds; 3 steps each
    assert "hours" not in out  # the pocket lab is no affair of GPUs
    assert not (tmp_path / "results").exists() and not (tmp_path / "log").exists()


def test_a_plan_estimates_for_a_named_gpu(shell):
    _, out, _ = shell("plan", "--method", "plain", "--suite", "static", "--cases", 3, "--gpu", "v100")
    row = next(line for line in out.splitlines() if " plain " in line).split()
    # 3 clips of 1e12 operations in float32, at 35 % of 15.7 TFLOP/s; 3 GiB of weights and 2 at work.
    assert row[1:] == ["3", "0", "9", "3", f"{3 / (0.35 * 15.7) / 3600:.2f}", "5.4", "3.2", "defaults"]
    assert "An estimate for one NVIDIA V100" in out and "Assumed" in out
    assert "unknown GPU 'v10'; known: t4, v100" in refused(shell("plan", "--method", "plain", "--gpu", "v10"))


@pytest.mark.parametrize("rows", [2, pytest.param(7, marks=pytest.mark.slow)])
def test_a_plan_needs_neither_weights_nor_fetched_suites(monkeypatch, tmp_path, tmp_path_factory, capsys, rows):
    spec = tmp_path_factory.mktemp("spec") / "table1.toml"
    parts = (ROOT / "benchmarks" / "table1.toml").read_text(encoding="utf-8").split("[[methods]]")
    assert len(parts) == 1 + 7
    spec.write_text("[[methods]]".join(parts[: 1 + rows]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["ivgbench", "plan", "--spec", str(spec)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out = capsys.readouterr().out
    assert not left.value.code and "204" in out and "hours" in out
    assert "imc-static is not on this machine" in out and "the weights of zeroscope are not on this machine" in out
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_are_told_before_missing_suites(shell, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for backbone, words in (("zeroscope", "unet/config.json"), ("./none", "neither a folder, nor one of")):
        told = refused(shell("run", "--method", "plain", "--backbone", backbone))
        assert f"no backbone {backbone!r}" in told or f"`ivgbench fetch {backbone}`" in told
        assert words in told and "suite" not in told


def test_videos_of_another_system(shell, tmp_path):
    (tmp_path / "theirs").mkdir()
    for case in load_suite("static").cases[:47]:  # one video short, and one subject that the detector does not know
        clip = FakeLab(None).draw(case, 0.0, 0).video
        (tmp_path / "theirs" / f"{case.id}.mkv").write_bytes(video.encode(clip))
    code, out, _ = shell("score", "--videos", "theirs", "--suite", "static")
    assert code == 1 and "46/48" in out and "theirs" in out and "2 failed" in out
    assert "there is no such folder" in refused(shell("score", "--videos", "nobody", "--suite", "static"))


def test_a_reference_that_fails_is_told_after_the_scores(shell, tmp_path):
    for number, case in enumerate(load_suite("static").cases[:3]):
        for folder, shift in (("theirs", 0.0), ("real", 0.1)):
            (tmp_path / folder).mkdir(exist_ok=True)
            data = video.encode(FakeLab(None).draw(case, shift, 0).video)
            (tmp_path / folder / f"{case.id}.mkv").write_bytes(data[: len(data) // (1 + (number == 2))])
    scored = ("score", "--videos", "theirs", "--suite", "static", "--reference", "real")
    scored += ("--frame-encoder", "clip", "--frame-encoder", "denoiser", "--video-encoder", "pocket")
    code, out, err = shell(*scored)
    assert code == 1 and "2/48" in out and "left out: pocket-static-02.mkv: the file ends early" in err
    code, out, err = shell(*scored, "--strict")
    assert (
        code == 2 and "2/48" in out and err.splitlines()[-1].startswith("ivgbench: --reference real: pocket-static-02")
    )


@pytest.mark.parametrize("option", ["--frame-encoder", "--video-encoder"])
def test_an_encoder_that_is_none_is_refused_before_any_work(shell, tmp_path, option):
    said = refused(shell("score", "--videos", tmp_path, "--suite", "static", option, "pokcet:file"))
    assert "encoder 'pokcet'" in said and not (tmp_path / "results").exists()


# ---- mistakes


def write_suite(tmp_path: Path, **changes: object) -> Path:
    """A suite file with one case, some of its fields replaced (its checksum then fits no longer)."""
    path = tmp_path / "mine.jsonl"
    load_suite("static").save(path)
    header, case = (json.loads(line) for line in path.read_text().splitlines()[:2])
    case.update({key: value for key, value in changes.items() if key in ("id", "prompt")})
    if "boxes" in changes:
        case["subjects"][0]["boxes"] = changes["boxes"]
    path.write_text(f"{json.dumps(header)}\n{json.dumps(case)}\n")
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"boxes": [[0.1, 0.1, 1.4, 0.5]] * 8}, "box of frame 0 leaves the frame (0..1)"),
        ({"prompt": "a dog"}, "is not in the prompt 'a dog'"),
        ({"boxes": [[0.1, 0.1, 0.4, 0.5]] * 7}, "7 boxes for 8 frames"),
        ({"id": "../x"}, "id '../x' is not allowed"),
        ({}, "damaged suite file: 1 cases"),
    ],
    ids=["box outside", "phrase not in prompt", "number of boxes", "id that leaves the folder", "checksum"],
)
@pytest.mark.parametrize("command", ["run", "validate", "score"])
def test_a_bad_suite_is_refused(shell, tmp_path, changes, words, command):
    path = write_suite(tmp_path, **changes)
    arguments = {
        "run": ["run", "--method", "plain", "--suite", path],
        "validate": ["suites", "validate", path],
        "score": ["score", "--videos", tmp_path, "--suite", path],
    }
    said = refused(shell(*arguments[command]))
    assert words in said and "mine.jsonl" in said
    assert not (tmp_path / "results").exists()


GENERATE = ["generate", PROMPT, "--subject", "red star", "--box", "0:0.1,0.1,0.4,0.6", "-o", "c.mp4"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--method", "peekabo"], "unknown method 'peekabo'; did you mean 'peekaboo'"),
        (["run"], "no method"),
        (["run", "--method", "tid", "--suite", "statik"], "unknown suite 'statik'"),
        (["run", "--method", "tid", "--suite", "none.jsonl"], "none.jsonl: cannot read the suite"),
        (["run", "--method", "tid", "--option", "gamma=1"], "METHOD.FIELD=VALUE"),
        (["run", "--method", "tid", "--option", "id.gamma=1"], "'mask-norm-id' is not in this run"),
        (["run", "--method", "tid", "--shard", "2/2"], "write i/n"),
        (["run", "--method", "tid", "--cases", "0"], "cases must be at least 1"),
        (["run", "--method", "tid", "--seeds", "0"], "--seeds must be at least 1"),
        (["run", "--method", "tid", "--workers", "0"], "--workers must be at least 1"),
        (["run", "--method", "tid", "--scheduler", "euler"], "unknown scheduler 'euler'"),
        (["run", "--spec", "none.toml"], "none.toml: cannot read the run spec"),
        (["table", "1"], "there is no run in results/runs"),
        (["suites", "make"], "give a suite's name, or --all"),
        (["suites", "make", "nothing"], "no recipe for a suite 'nothing'"),
        (["suites", "show", "nothing"], "unknown suite 'nothing'"),
        ([*GENERATE[:-1], "c.avi"], "c.avi: a clip is written as .mp4, .gif or .webp"),
        ([*GENERATE[:-1], "a-file/c.mp4"], "cannot use a-file"),
        (["run", "--method", "plain", "--cases", "1", "--runs", "a-file/runs"], "cannot use a-file/runs"),
        ([*GENERATE, "--method", "tidd"], "unknown method 'tidd'"),
        ([*GENERATE, "--box", "7:0.5,0.5,1.5,1"], "leaves the frame"),
        ([*GENERATE, "--box", "8:0.5,0.5,1,1"], "keyframe 8 is outside the clip's frames 0..7"),
        ([*GENERATE, "--box", "0:0.5,0.5,1,1"], "frame 0 has a box already"),
        ([*GENERATE, "--guidance-scale", "nan"], "guidance_scale must be a number from 0"),
        ([*GENERATE, "--steps", "2000"], "steps must be from 1 to 1000"),
        ([*GENERATE, "--box", "0.1,0.1,0.4,0.6"], "write FRAME:x0,y0,x1,y1"),
        ([*GENERATE, "--box", "0:a,b,c,d"], "write FRAME:x0,y0,x1,y1"),
        ([*GENERATE, "--steps", "1000", "--method", "plain"], "DDIMScheduler cannot make 1000 steps here"),
        (["generate", "a red star \udcff", *GENERATE[2:]], "the argument 'a red star \\udcff' is not UTF-8"),
        (["score", "--label", "\udcff"], "the argument '\\udcff' is not UTF-8"),
        ([*GENERATE, "--dtype", "half"], "unknown dtype 'half'"),
        (["generate", PROMPT, "--subject", "blue star", *GENERATE[4:]], "'blue star' is not in the prompt"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(shell, tmp_path, arguments, words):
    (tmp_path / "a-file").write_text("not a folder")
    assert words in refused(shell(*arguments))


def test_debug_shows_where(monkeypatch, shell):
    monkeypatch.setattr(sys, "argv", ["ivgbench", "run", "--method", "peekabo", "--debug"])
    with pytest.raises(cli.UserError):
        cli.main()


def test_usage_errors_are_exit_code_2(shell):
    assert shell("run", "--nonsense")[0] == 2 and shell("table")[0] == 2 and shell("list", "colours")[0] == 2


# ---- the rest


def test_suites_are_listed_shown_made_and_validated(shell, tmp_path):
    assert "pocket-tuning-dynamic" in shell("suites", "list")[1]
    shown = [json.loads(line) for line in shell("suites", "show", "static", "--cases", 2)[1].splitlines()]
    assert [case["id"] for case in shown] == ["pocket-static-00", "pocket-static-01"]
    assert shell("suites", "make", "--all", "--out", tmp_path / "new")[0] == 0
    for path in (ROOT / "data" / "suites").glob("*.jsonl"):
        assert path.read_bytes() == (tmp_path / "new" / path.name).read_bytes()
    code, out, _ = shell("suites", "validate", tmp_path / "new" / "pocket-static.jsonl", "dynamic")
    assert code == 0 and out.count("ok, 48 cases of 8 frames") == 2


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("methods", "mask-norm-tid"),
        ("backbones", "zeroscope"),
        ("metrics", "clip_sim_shuffled"),
        ("detectors", "pocket"),
    ],
)
def test_what_there_is(shell, what, words):
    code, out, _ = shell("list", what)
    assert code == 0 and words in out


def test_the_doctor_says_what_is_here(shell):
    _, out, _ = shell("doctor")
    assert __version__ in out and f"{len(suites.names())} whole" in out and "exact" in out


@pytest.mark.parametrize(("remedy", "code"), [("", 0), ("mend it", 1)])
def test_the_doctors_exit_code_says_whether_something_is_to_be_done(shell, monkeypatch, remedy, code):
    found = [doctor.Finding("this", "fine"), doctor.Finding("that", "so so", remedy)]
    monkeypatch.setattr(doctor, "examine", lambda runs: found)
    told = shell("doctor")
    assert told[0] == code and "so so" in told[1] and remedy in told[1]


FACTS = """
run = "run.toml"
cases = 1

[[facts]]
number = 4
id = "moves"
text = "a shifted box is off"
source = "geometry"
metric = "miou_all"
row = "mask-norm"
than = ["plain"]
direction = "lower"
bar = true
"""


def test_a_calibration_then_the_claims_that_rest_on_it(shell, tmp_path):
    # Two cases would be too few for a verdict, however far apart the rows are.
    run = 'name = "calibration"\nsuites = ["static", "dynamic"]\ncases = 8\n[[methods]]\nmethod = "plain"\n'
    run += '[[methods]]\nmethod = "mask-norm"\noptions = { shift = SHIFT }\n'
    (tmp_path / "run.toml").write_text(run.replace("SHIFT", "0.2"))
    (tmp_path / "facts.toml").write_text(FACTS)
    code, out, err = shell("study", "calibrate", "--spec", "facts.toml", "--workers", 1)
    assert code == 0 and out.startswith("holds") and "a shifted box is off: static -" in out and "bar met" in out
    assert "written: results/CALIBRATION.md and calibration.json" in err
    record = json.loads((tmp_path / "results/calibration.json").read_text())
    assert record["weights"] == "w1" and record["command"] == "ivgbench study calibrate"
    assert Store("results/runs").runs() == ["calibration-w1"]
    # A rehearsal leaves it alone.
    assert shell("study", "calibrate", "--spec", "facts.toml", "--cases", 1, "--workers", 1)[0] == 0
    assert (tmp_path / "results/quick/CALIBRATION.md").is_file()
    assert json.loads((tmp_path / "results/calibration.json").read_text()) == record

    claims = FACTS.replace("facts", "claims").replace("number = 4\n", "").replace("source", "paper")
    claims = claims.replace("bar = true", "rests_on = [4]")
    (tmp_path / "claims.toml").write_text(claims)
    record["findings"][0]["verdict"] = "fails"
    (tmp_path / "results/calibration.json").write_text(json.dumps(record))
    code, out, err = shell("claims", "--spec", "claims.toml", "--workers", 1)
    assert code == 0 and out.startswith("not testable here  a shifted box is off  (fact 4 fails here: ")
    assert "**not testable here**" in (tmp_path / "results/own/CLAIMS.md").read_text()
    record["weights"] = "w2"
    (tmp_path / "results/calibration.json").write_text(json.dumps(record))
    code, out, err = shell("claims", "--spec", "claims.toml", "--workers", 1)
    assert code == 0 and out.startswith("holds") and "is of other weights (w2, not w1): no claim rests on it" in err


def test_claims_are_judged_in_every_variant_of_the_run(shell, tmp_path):
    run = 'name = "claims"\nsuites = ["static", "dynamic"]\ncases = 2\nseeds = [0, 1]\n[[methods]]\nmethod = "plain"\n'
    for shift, variant in enumerate(("tuned+additive", "tuned+multiplicative", "paper+additive")):
        run += f'[[methods]]\nmethod = "mask-norm"\nlabel = "mask-norm@{variant}"\n'
        run += f"options = {{ shift = {0.2 * (shift != 1)} }}\n"
    (tmp_path / "run.toml").write_text(run)
    claims = (
        FACTS.replace("facts", "claims")
        .replace("number = 4\n", "")
        .replace("source", "paper")
        .replace("bar = true", "")
    )
    (tmp_path / "claims.toml").write_text(claims)
    code, out, err = shell("claims", "--spec", "claims.toml", "--workers", 1)
    # 2 cases are too few for any verdict after the correction, and the last variant has no such row.
    assert code == 0 and out == "open  | open  | open  | open   a shifted box is off  (no row 'mask-norm')\n"
    page = (tmp_path / "results/own/CLAIMS.md").read_text()
    assert "| Claim | tuned, additive | p | tuned, multiplicative | p | paper, additive | p | paper, mult" in page
    assert "| static | Plain | mIoU -" in page and "corrected over all 4 verdicts" in page
    assert "2 cases a split, 2 seeds a case, in each variant" in page
    # The clips of equal rows are made once: plain, shifted and not.
    assert "run claims: 24 clips in all" in err and Store("results/runs").runs() == ["claims"]
    code, _, err = shell("claims", "--spec", "claims.toml", "--workers", 1, "--quick")
    assert code == 0 and "run claims-quick: 12 clips in all" in err and (tmp_path / "results/quick/CLAIMS.md").is_file()
    (tmp_path / "run.toml").write_text(run.replace("@paper+additive", "@paper+aditive"))
    assert "did you mean 'additive'" in refused(shell("claims", "--spec", "claims.toml", "--workers", 1))


def test_only_pocket_models_are_calibrated(shell, tmp_path):
    (tmp_path / "facts.toml").write_text(FACTS)
    said = refused(shell("study", "calibrate", "--spec", "facts.toml", "--backbone", "zeroscope"))
    assert "only pocket models are calibrated" in said
    assert "cannot read the facts" in refused(shell("study", "calibrate", "--spec", "none.toml"))
