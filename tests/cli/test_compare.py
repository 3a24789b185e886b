"""generate and compare on one's own prompt: which box is whose, what is written, and what a failing method costs."""

import dataclasses

import numpy as np
import pytest
from fake_lab import HEIGHT, WIDTH, FakeLab
from matplotlib.image import imread
from PIL import Image

from ivgbench import boxes
from ivgbench.cli import placing
from ivgbench.errors import UserError
from ivgbench.plugins import PluginFault
from ivgbench.registry import METHODS
from ivgbench.report import figures, overlay
from ivgbench.runs import lab, one_case
from ivgbench.store import video
from ivgbench.store.runs import Store

PROMPT = "a red star and a blue square on a grey background"
STAR, DISK = ["--subject", "red star"], ["--subject", "blue square"]
ONE = [*STAR, "--box", "0:0.1,0.2,0.4,0.6", "--box", "7:0.6,0.2,0.9,0.6"]
TWO = [*ONE, *DISK, "--box=3:0.5,0.5,0.9,0.9"]

#: A UNet is not told where its tokens are.
FITTING = [name for name in METHODS.names() if name != "ditraj"]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    made = FakeLab(tmp_path / "log")
    monkeypatch.setattr(lab, "Lab", lambda *_: made)
    monkeypatch.setattr("ivgbench.engines.local.LocalEngine", lambda workers: Inline())
    return made


class Inline:
    """The engine of the fake lab's own module takes a limit for its first argument."""

    workers = 1

    def run(self, *asked):
        from fake_lab import InlineEngine

        return InlineEngine().run(*asked)


@pytest.fixture
def call(command_line, monkeypatch, tmp_path, fake):
    monkeypatch.chdir(tmp_path)

    return command_line


@pytest.fixture
def asked(monkeypatch):
    """The case that a compare is for, without the work; a list that it is put in."""
    seen = []

    def keep(spec, case, *_):
        seen.append((spec, case))
        raise UserError("seen")

    monkeypatch.setattr(one_case, "compare", keep)
    return seen


@pytest.mark.parametrize(
    "order",
    [
        TWO,
        [*ONE[:4], *DISK, "--box", "3:0.5,0.5,0.9,0.9"],
        ["--subject=red star", "--box=0:0.1,0.2,0.4,0.6", "--subject=blue square", "--box=3:0.5,0.5,0.9,0.9"],
    ],
)
def test_a_box_is_of_the_subject_before_it(call, asked, order):
    # Options of another kind may stand anywhere.
    assert "seen" in call("compare", *order[:2], "--steps", 3, *order[2:], "-o", "a.gif", PROMPT)[2]
    ((spec, case),) = asked
    assert [one.phrase for one in case.subjects] == ["red star", "blue square"] and spec.sampling.steps == 3
    keyframes = {0: (0.1, 0.2, 0.4, 0.6)} | ({7: (0.6, 0.2, 0.9, 0.6)} if order is TWO else {})
    assert np.array_equal(case.subjects[0].boxes, boxes.interpolate(keyframes, 8))
    assert np.array_equal(case.subjects[1].boxes, np.tile([0.5, 0.5, 0.9, 0.9], (8, 1)))


@pytest.mark.parametrize("command", ["generate", "compare"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--box", "0:0.1,0.2,0.4,0.6", *ONE], "--box '0:0.1,0.2,0.4,0.6' is no subject's; write --subject before"),
        ([*STAR, *DISK, "--box", "0:0.1,0.2,0.4,0.6"], "--subject 'red star' has no box"),
        ([*ONE, *DISK], "--subject 'blue square' has no box"),
        ([*TWO, "--box", "3:0.1,0.2,0.4,0.6"], "frame 3 of 'blue square' has a box already"),
        ([*ONE, *ONE], "--subject 'red star' is given twice"),
        ([*ONE, "--subject", "Red  Star", "--box", "0:0.1,0.2,0.4,0.6"], "'Red Star' is given twice"),
        ([*TWO, "--box", "8:0.1,0.2,0.4,0.6"], "--subject 'blue square': keyframe 8 is outside the clip's frames 0..7"),
        ([*ONE, "--subject", "green ring", "--box", "0:0.1,0.2,0.4,0.6"], "'green ring' is not in the prompt"),
        ([*TWO, "--box", "7:0.1,0.2,0.4"], "write FRAME:x0,y0,x1,y1"),
        ([*TWO, "--box", "7:0.5,0.2,0.4,0.6"], "need x0 < x1"),
        (STAR, "Missing option '--box'"),
        (["--box", "0:0.1,0.2,0.4,0.6"], "Missing option '--subject'"),
        ([*TWO, "--subject", ""], "--subject '' has no box"),
        ([*TWO, "-o", "clip.avi"], "clip.avi: a c"),
        ([*TWO, "-o", "clip"], "clip: a c"),
        ([*TWO, "--method", "tidd"], "unknown method 'tidd'"),
        ([*TWO, "--option", "tid.gama=1", "--method", "plain"], "'mask-norm-tid' is not in this run"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(call, fake, tmp_path, command, arguments, words):
    code, out, err = call(command, PROMPT, *(arguments if "-o" in arguments else [*arguments, "-o", "a.gif"]))
    assert (code, out, err.count("\n")) == (2, "", 1) and words in err, err
    assert fake.made() == [] and [path.name for path in tmp_path.iterdir()] == []


def test_all_methods_are_side_by_side(call, fake, tmp_path):
    code, out, _ = call("compare", PROMPT, *ONE, "-o", "new/a.gif")
    assert code == 0 and out.rstrip().endswith("new/a.gif: the asked boxes drawn in")
    rows = [line for line in out.splitlines() if line.rstrip().endswith("ok")]
    assert len(rows) == len(FITTING) and all("1 of 1" in row and "90.2" in row for row in rows)
    assert [row.split()[0] for row in rows[:3]] == ["Plain", "Peekaboo", "TrailBlazer"]
    picture = Image.open(tmp_path / "new" / "a.gif")
    assert picture.n_frames == 8 and picture.info["loop"] == 0 and picture.size[0] > 900
    # It is no run, but what was made is there, and another file costs nothing.
    made = len(fake.made())
    assert made == len(FITTING) and Store("results/runs").runs() == []
    assert call("compare", PROMPT, *ONE, "-o", "a.png")[0] == 0 and len(fake.made()) == made
    assert imread(tmp_path / "a.png").shape[1] == figures.LABEL_WIDTH + 8 * (160 + figures.GAP)


def test_some_methods_with_options_of_their_own(call, fake):
    options = ("--option", "tid.shift=0.1", "--method", "tid", "--method", "plain", "--seed", 3, "--workers", 1)
    code, out, _ = call("compare", PROMPT, *ONE, *options, "-o", "a.webp")
    assert code == 0 and out.index("Mask Norm + TID") < out.index("Plain") and "Peekaboo" not in out
    tid, plain = (line for line in out.splitlines() if line.rstrip().endswith("ok"))
    assert "90.2" in plain and "90.2" not in tid


def test_a_method_that_fails_costs_its_own_panel(call, fake, monkeypatch, tmp_path):
    make = fake.generate

    def failing(backbone, job, callback=None):
        if job.method == "peekaboo":
            raise MemoryError("no room for\nmasks")
        return make(backbone, job)

    monkeypatch.setattr(fake, "generate", failing)
    code, out, err = call("compare", PROMPT, *TWO, "-o", "a.gif")
    assert code == 1 and "failed: MemoryError: no room for masks" in out and "failed: peekaboo" in err
    assert sum(line.rstrip().endswith("ok") for line in out.splitlines()) == len(FITTING) - 1
    assert (tmp_path / "a.gif").is_file()
    # All of them: there is nothing to show.
    code, out, _ = call("compare", PROMPT, *TWO, "--method", "peekaboo", "-o", "b.gif")
    assert code == 1 and "no clip: b.gif is not written" in out and not (tmp_path / "b.gif").exists()


def test_a_method_that_cannot_be_asked_is_told_beside_the_others(call, fake, monkeypatch):
    def check(spec, jobs):
        if any(job.method == "mask-norm" for job in jobs):
            raise UserError("case clip: the subject is never read")

    resolve = fake.resolve

    def resolving(method, options):
        if method == "trailblazer":
            raise PluginFault("its package is broken")
        return resolve(method, options)

    monkeypatch.setattr(fake, "check", check)
    monkeypatch.setattr(fake, "resolve", resolving)
    code, out, _ = call("compare", PROMPT, *ONE, "-o", "a.gif")
    assert code == 1 and "failed: case clip: the subject is never read" in out and "failed: its package" in out
    assert sum(line.rstrip().endswith("ok") for line in out.splitlines()) == len(FITTING) - 2
    # What no method can be asked for is a mistake.
    code, out, err = call("compare", PROMPT, *ONE, "-o", "a.gif", "--method", "mask-norm")
    assert (code, out) == (2, "") and "never read" in err


@pytest.mark.parametrize("how", ["no judge", "no such class"])
def test_without_judges_there_are_clips(call, fake, monkeypatch, tmp_path, how):
    def absent(name):
        raise UserError("its weights are not here")

    if how == "no judge":
        monkeypatch.setattr(fake, "detector", absent)
    subject = STAR if how == "no judge" else ["--subject", "star"]
    code, out, err = call("compare", PROMPT, *subject, *ONE[2:], "-o", "a.png", "--method", "plain")
    assert code == 0 and "not measured" in out and "–" in out and "ivgbench: not measured: " in err
    assert (tmp_path / "a.png").is_file()


def test_boxes_are_drawn_into_the_file_alone(call, tmp_path, monkeypatch):
    """The real generator's part is taken by one that gives a grey clip."""
    monkeypatch.setattr(
        "ivgbench.generator.generate",
        lambda *_, **__: dataclasses.make_dataclass("Clip", ["video", "nfe"])(GREY.copy(), 3),
    )
    for name, enlarged in (("a.gif", 7), ("a.mkv", 1)):
        assert call("generate", PROMPT, *TWO, "-o", name)[0] == 0
        shown = video.decode(tmp_path / name)
        assert shown.shape == (8, 48 * enlarged, 80 * enlarged, 3) and np.ptp(shown) <= 2
    case_tracks = [boxes.interpolate({0: (0.1, 0.2, 0.4, 0.6), 7: (0.6, 0.2, 0.9, 0.6)}, 8)]
    case_tracks.append(np.tile([0.5, 0.5, 0.9, 0.9], (8, 1)))
    drawn = overlay.draw_boxes(video.enlarged(GREY, 320), case_tracks)
    for name in ("b.mkv", "b.gif"):
        assert call("generate", PROMPT, *TWO, "--draw-boxes", "-o", name)[0] == 0
        assert np.abs(video.decode(tmp_path / name).astype(int) - drawn).max() <= 2


GREY = np.full((8, HEIGHT, WIDTH, 3), 128, np.uint8)


def test_the_order_of_options_is_what_the_parser_saw():
    assert placing._keyframes(["prompt", "subject", "box"], ["a"], ["0:0,0,1,1"]) == [("a", {0: (0, 0, 1, 1)})]
