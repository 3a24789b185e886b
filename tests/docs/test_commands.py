"""Every command of the documentation is run as it is printed, on a lab without models; what is only parsed says why."""

import importlib.util
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fake_lab import FakeLab
from pages import PAGES, ROOT, Block, blocks, in_sentences

from ivgbench import load_suite, shipped
from ivgbench.registry import DETECTORS, METHODS
from ivgbench.runs import lab
from ivgbench.runs.spec import load_spec
from ivgbench.store import video
from ivgbench.study import recording

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Derived from the lab's class, which is replaced here: it must be there before.
assert recording.RecordingLab
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
#: Names whose objects a command's options must know.
KNOWN = {"--method": METHODS.canonical, "--detector": DETECTORS.canonical, "--spec": shipped.spec}
OF_PAGES = [pytest.param(page, id=page.name) for page in PAGES]


class Inline:
    workers = 1

    def run(self, *asked):
        from fake_lab import InlineEngine

        return InlineEngine().run(*asked)


@pytest.fixture
def call(command_line, monkeypatch, tmp_path):
    """The command line in a folder of its own, with a lab and a `generate` without models."""
    fake = FakeLab(tmp_path / "log", knows_rings=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "Lab", lambda *_: fake)
    monkeypatch.setattr("ivgbench.engines.local.LocalEngine", lambda workers: Inline())

    def made(backbone, case, method="tid", **said):
        return SimpleNamespace(video=np.zeros((8, 48, 80, 3), np.uint8), nfe=20)

    import ivgbench.generator

    monkeypatch.setitem(vars(ivgbench.generator), "generate", made)  # setattr would load the real one first
    return command_line


def parse(words: list[str], command_line) -> None:
    """A command is one, and so are its options and the names behind them; nothing is run."""
    for option, value in itertools.pairwise(words):
        if option in KNOWN and not value.isupper():
            KNOWN[option](value)
    code, out, err = command_line(*words[1:], "--help")
    assert code == 0 and "Usage: " in out, (words, err)


def look_at(words: list[str]) -> bool:
    """Checks a command that is not ours to run; False for one of ivgbench's."""
    if words[0] == "make":
        assert words[1] in TARGETS, words
    elif words[:2] == ["pip", "install"]:
        assert all(extra in EXTRAS for extra in re.findall(r"\[(\w+)\]", words[2])), words
    elif words[0] == "python" and words[1] == "-m":
        assert importlib.util.find_spec(words[2]), words
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), words
    elif words[0] == "source":
        assert words == ["source", ".venv/bin/activate"]
    else:
        assert words[0] == "ivgbench", f"no test knows what to do with {words}"
        return False
    return True


def prepare(block: Block, folder: Path) -> None:
    """What a reader has of their own: the files that a block names, videos of 24 frames among them."""
    case = load_suite("static").cases[0]
    for name in (one.strip() for one in block.told.split(",")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".mp4":
            video.save(path, np.repeat(FakeLab(None).draw(case, 0, 0).video, 3, axis=0))
        elif name.endswith("list.csv"):
            prepare(Block("", "", "files", str(path.with_name("a.mp4"))), folder)
            path.write_text("case,file,sample\nfox-1,a.mp4,\n")


def shortened(words: list[str]) -> list[str]:
    """What is added to a command that makes clips: two cases, few reference videos, and the name it has without."""
    if words[1] != "run":
        return []
    spec = load_spec(shipped.spec(words[words.index("--spec") + 1])) if "--spec" in words else None
    added = [] if "--cases" in words else ["--cases", "2"]
    if "--reference" in words or (spec and spec.references):
        added += ["--reference-videos", "4"]
    return added + (["--name", spec.name] if spec and added and "--name" not in words else [])


@pytest.mark.parametrize("page", OF_PAGES)
def test_every_command_is_run(page, call, tmp_path):
    of_page = blocks(page)
    for block in of_page:
        if block.mark == "file":
            (tmp_path / block.told).write_text(block.text)
    for block in of_page:
        if block.mark == "files":
            prepare(block, tmp_path)
        if block.mark == "after":
            words = shlex.split(block.told)
            assert call(*words[1:], *shortened(words))[0] == 0
        if block.kind == "python" and page.name == "first-steps.md":
            exec(compile(block.text, page.name, "exec"), {})
        # A package of the page's own is installed, and its commands run, by tests/test_own_package.py.
        for words in block.commands() if block.kind == "sh" and "nudge" not in block.text else ():
            if look_at(words):
                continue
            if block.mark == "parsed only":
                parse(words, call)
                continue
            code, _, err = call(*words[1:], *shortened(words))
            assert code == 0, (words, err)


@pytest.mark.parametrize("page", OF_PAGES)
def test_commands_within_sentences_are_commands(page, command_line):
    for words in in_sentences(page):
        if look_at(words):
            continue
        # Capitals stand for a name that the reader knows.
        parse([word for word in words if word != "--help"], command_line)


@pytest.mark.parametrize("page", OF_PAGES)
def test_every_block_says_what_it_is(page):
    """A block without a language would be passed over here; so would a mark that nothing reads."""
    for block in blocks(page):
        assert block.kind in ("sh", "python", "toml", "csv", "text"), (page.name, block.text)
        assert block.mark in ("", "parsed only", "after", "file", "files"), (page.name, block.mark)
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- parsed only") == sum(block.mark == "parsed only" for block in blocks(page))


def test_a_wrong_command_would_be_seen(call):
    for words in (["ivgbench", "rnu"], ["ivgbench", "run", "--spek", "pocket"], ["make", "table3"], ["rm", "-r", "x"],
                  ["pip", "install", ".[al]"], ["python", "benchmarks/none.py"]):  # fmt: skip
        with pytest.raises(AssertionError):
            look_at(words) or parse(words, call)


def test_what_make_does_is_what_the_pages_say():
    """`make table1` is the shipped spec, and the table that is read after it."""
    said = subprocess.run(["make", "-n", "table1"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "run --spec benchmarks/pocket.toml" in said and "ivgbench table 1" in said
    assert shipped.spec("pocket") == ROOT / "benchmarks" / "pocket.toml"
