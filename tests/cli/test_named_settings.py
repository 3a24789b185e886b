"""--settings: what is typed is what runs, and what is told of it."""

import numpy as np
import pytest
from test_mistakes import call  # noqa: F401 the command line on a lab without models

from ivgbench.generator import settings

FILE = {
    settings.ANY: {"peekaboo": {"paper": {"scope": "paper"}}},
    "pocket": {"peekaboo": {"tuned": {"scope": "official"}}},
}
RUN = ("run", "--method", "peekaboo", "--suite", "static", "--cases", 1, "--workers", 1)


@pytest.fixture
def two(monkeypatch):
    """A file in which Peekaboo has two settings on the pocket, besides its defaults."""
    monkeypatch.setattr(settings, "_file", lambda: FILE)


def test_a_run_takes_the_backbones_settings_or_those_that_are_named(call, two):  # noqa: F811
    code, out, _ = call(*RUN)
    assert code == 0 and "tuned" in out and "1 clips made now" in out
    assert "0 clips made now" in call(*RUN, "--settings", "tuned")[1]
    code, out, _ = call(*RUN, "--settings", "paper", "--method", "plain")
    assert code == 0 and "paper" in out and "tuned" not in out
    # The same options in other words are the same clip, called the same.
    code, out, _ = call(*RUN, "--settings", "paper", "--option", "peekaboo.scope=official")
    assert "0 clips made now" in out and "tuned" in out
    code, out, _ = call(*RUN, "--option", "peekaboo.shift=0.1")
    assert "tuned + shift=0.1" in out


def test_a_spec_takes_them_from_the_command_line(call, two, tmp_path):  # noqa: F811
    (tmp_path / "a.toml").write_text('name = "a"\nsettings = "paper"\ncases = 1\nmethods = ["peekaboo"]\n')
    assert "peekaboo: paper: scope=paper" in call("plan", "--spec", "a.toml")[1]
    assert "peekaboo: tuned: scope=official" in call("plan", "--spec", "a.toml", "--settings", "tuned")[1]


def test_unknown_settings_are_one_line_before_any_work(call, two):  # noqa: F811
    for command in (RUN, ("plan", "--method", "peekaboo")):
        code, _, told = call(*command, "--settings", "papr")
        assert code == 2 and len(told.splitlines()) == 1
        assert "no settings 'papr' on pocket; it has tuned, paper, defaults; did you mean 'paper'?" in told


def test_they_are_listed_by_backbone(call, two):  # noqa: F811
    code, out, _ = call("list", "methods")
    (line,) = [line for line in out.splitlines() if "peekaboo" in line]
    assert code == 0 and " ".join(line.split()) == "peekaboo tuned, paper, defaults defaults, paper"
    (line,) = [line for line in call("list", "methods", "--options")[1].splitlines() if "peekaboo.scope" in line]
    assert line.split() == ["peekaboo.scope", "'official'", "'paper'", "'official'"]


def test_a_clip_is_made_with_the_backbones_settings(shell, tmp_path):
    """The command of the documentation's first steps, in one step."""
    from ivgbench import Case, Subject, boxes
    from ivgbench.generator import Backbone, generate
    from ivgbench.store import video

    made = shell(
        'ivgbench generate "a red star on a grey background" --subject "red star" --method peekaboo --steps 1 '
        "--box 0:0.1,0.2,0.4,0.6 --box 7:0.6,0.2,0.9,0.6 -o clip.mkv"
    )
    assert made.returncode == 0 and b"peekaboo, settings " in made.stdout
    track = boxes.interpolate({0: (0.1, 0.2, 0.4, 0.6), 7: (0.6, 0.2, 0.9, 0.6)}, 8)
    case = Case("clip", "a red star on a grey background", (Subject("red star", track),))
    bb = Backbone.from_pretrained("pocket")
    named = settings.default("pocket", "peekaboo")
    assert np.array_equal(
        video.decode(tmp_path / "clip.mkv"),
        generate(bb, case, "peekaboo", steps=1, scheduler="ddim", settings=named).video,
    )
