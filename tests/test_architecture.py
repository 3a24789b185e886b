"""The shape of the house: imports point downward, generator and metrics are strangers, reading needs no torch."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import imports as parsed

PACKAGE = parsed.ROOT / parsed.NAME
SOURCES = parsed.sources()
GROUND = {"ground"}
#: What each room may import, of the other rooms. The modules of the ground may import each other.
ALLOWED = {
    "ground": set(),
    # What is drawn, with captions and boxes known exactly: it trains nothing and judges nothing.
    "world": GROUND,
    "suites": GROUND | {"world"},
    "generator": GROUND,
    # Pure functions of detections and features: they know no model.
    "metrics": GROUND,
    "judges": GROUND,
    # A score counts for the versions of the metrics that it was made by.
    "store": GROUND | {"metrics"},
    "engines": GROUND,
    # The pocket lab trains what the generator and the judges load.
    "pocket.training": GROUND | {"world", "generator", "judges", "metrics"},
    "pocket.exams": GROUND | {"world", "suites", "generator", "judges", "metrics", "pocket.training"},
    "pocket": GROUND | {"world", "suites", "generator", "judges", "metrics", "pocket.training", "pocket.exams"},
    "runs": GROUND | {"world", "suites", "metrics", "judges", "generator", "store", "engines"},
    "report": GROUND | {"suites", "metrics", "store", "runs"},
    "gate": GROUND | {"metrics", "runs", "store", "engines", "report"},
    # A paper's study uses everything below.
    "study": GROUND | {"world", "suites", "metrics", "judges", "generator", "store", "engines", "runs", "report"},
    "verify": GROUND | {"generator", "runs", "study"},
    # The page to draw boxes on asks for runs, and shows them as reports do.
    "studio": GROUND | {"world", "suites", "metrics", "generator", "store", "engines", "runs", "report"},
    "cli": GROUND
    | {"suites", "metrics", "judges", "generator", "store", "engines", "runs", "report", "gate", "verify", "study"}
    | {"studio"},
}
#: Importing these loads no torch, nor anything else that takes seconds.
LIGHT = ("ivgbench", "ivgbench.cli", "ivgbench.suites", "ivgbench.report.tables", "ivgbench.report.render",
         "ivgbench.runs.identity", "ivgbench.store.runs", "ivgbench.runs.runner", "ivgbench.runs.planning",
         "ivgbench.metrics", "ivgbench.generator", "ivgbench.generator.backbones.sources",
         "ivgbench.generator.backbones.hashing", "ivgbench.generator.backbones.fetching")  # fmt: skip
HEAVY = {"torch", "diffusers", "transformers", "open_clip", "ultralytics", "torchvision", "av", "matplotlib"}


def forbidden(module: str, text: str) -> list[str]:
    """Imports of a module that point upward or sideways, those for type checking too."""
    room = parsed.room_of(module)
    targets = {one.target(SOURCES) for one in parsed.imports(ast.parse(text))} - {None}
    return sorted(name for name in targets if parsed.room_of(name) not in {room} | ALLOWED[room])


def test_the_house_holds_every_room_and_allows_nothing_upward():
    assert set(parsed.HOUSE) == set(ALLOWED) == set(map(parsed.room_of, SOURCES))
    assert not [(room, other) for room in ALLOWED for other in ALLOWED[room] if parsed.points_up(room, other)]


def test_what_belongs_to_no_room_is_known():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == {room.split(".")[0] for room in parsed.HOUSE} - {"ground"}


@pytest.mark.parametrize("module", [name for name in SOURCES if name])
def test_imports_point_downward(module):
    assert forbidden(module, SOURCES[module]) == []


def test_the_package_itself_names_only_what_it_offers():
    assert forbidden("", SOURCES[""]) == ["suites"]


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions too; loading a module loads the packages it is in."""
    found = {pair for pair, where in parsed.edges(SOURCES).items() if where != "types"}
    assert parsed.circles(found) == []
    assert parsed.circles(found | set(loaded_with(found))) == []


def loaded_with(pairs: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(importing module, package around the imported one), for packages that the importing module is not in."""
    for source, target in pairs:
        parts = target.split(".")
        for package in (".".join(parts[:size]) for size in range(1, len(parts))):
            if not f"{source}.".startswith(f"{package}."):
                yield source, package


def test_a_circle_would_be_seen():
    texts = {
        "world": "import ivgbench.world.drawing",
        "world.drawing": "def f():\n    from ivgbench.world import colours",
        "world.colours": "from ivgbench.world.drawing import line",
        "world.other": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ivgbench.world import drawing",
        "boxes": "from ivgbench.world import other",
    }
    found = parsed.edges(texts)
    assert found == {
        ("world", "world.drawing"): "top",
        ("world.drawing", "world.colours"): "function",
        ("world.colours", "world.drawing"): "top",
        ("world.other", "world.drawing"): "types",
        ("boxes", "world.other"): "top",
    }
    assert parsed.circles(found) == [["world.colours", "world.drawing"]]
    assert parsed.circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "e")]) == [["a", "b", "c"], ["e"]]
    assert set(loaded_with({("boxes", "world.drawing"), ("world.colours", "world.drawing")})) == {("boxes", "world")}


def test_what_a_relative_import_means_is_not_guessed():
    with pytest.raises(ValueError, match="line 2: a relative import"):
        list(parsed.imports(ast.parse("import os\nfrom . import boxes")))


def test_the_picture_counts_imports_between_rooms_and_marks_those_that_point_upward():
    texts = {
        "cli.main": "from ivgbench.runs import plan\ndef f():\n    import ivgbench.boxes, ivgbench.runs.score",
        "runs.plan": "from ivgbench import boxes\nfrom ivgbench.runs import score",
        "runs.score": "from ivgbench import boxes",
        "boxes": "import ivgbench.cli.main",
    }
    between = parsed.counts(parsed.edges(texts))
    assert parsed.table(between).splitlines() == [
        "cli             runs 1+1, ground 0+1",
        "runs            ground 2",
        "ground          cli 1 UPWARD",
    ]
    shown = {text.get_text(): text for text in parsed.draw(texts, "two rooms").axes[0].texts}
    assert {"two rooms", "cli", "runs", "ground", "1+1", "0+1", "2", "1"} <= set(shown)
    assert shown["1"].get_bbox_patch().get_facecolor() != shown["2"].get_bbox_patch().get_facecolor()


def test_the_picture_reads_the_working_tree_or_a_revision(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["imports.py", "--out", str(tmp_path / "own" / "imports.svg")])
    parsed.main()
    assert "circles of modules, with those inside functions: none" in capsys.readouterr().out
    assert (tmp_path / "own" / "imports.svg").read_text(encoding="utf-8").count("<svg") == 1
    with pytest.raises(SystemExit, match="no-such-revision: "):
        parsed.sources("no-such-revision")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("metrics.control", "from ivgbench.generator import generate"),
        ("generator.sampler", "import ivgbench.metrics.control"),
        ("generator.sampler", "def f():\n    from ivgbench.metrics import control"),
        ("runs.runner", "from ivgbench.report import tables"),
        ("report.tables", "from ivgbench.generator.sampler import generate"),
        ("report.tables", "from ivgbench.study import facts"),
        ("metrics.control", "from ivgbench.judges import detectors"),
        ("store.runs", "from ivgbench.runs import planning"),
        ("pocket.card", "from ivgbench.study.facts import load_facts"),
        ("study.facts", "from ivgbench.cli import options"),
        ("cases", "from ivgbench.suites import load_suite"),
        ("suites", "from ivgbench.pocket import train"),
        ("world", "from ivgbench import cli"),
        ("world.drawing", "from ivgbench.pocket import training"),
        ("pocket.training.loop", "from ivgbench.pocket.exams import samples"),
    ],
)
def test_a_wrong_import_would_be_seen(module, line):
    assert forbidden(module, line)


@pytest.mark.parametrize("module", [name for name in SOURCES if name.startswith("generator")])
def test_a_file_of_the_generator_is_one_idea(module):
    assert len(SOURCES[module].splitlines()) <= 250


#: Where the words of one family of backbones may stand: in its files, and where files and adapters are told apart.
FAMILY_WORDS = {"unet": ("generator.backbones.unet3d", "generator.backbones.layout", "generator.backbones.lora")}


def family_words(module: str, text: str) -> list[str]:
    """Lines of a module that speak of a family outside of it. Its class has a name that is no secret."""
    homes = tuple(home for homes in FAMILY_WORDS.values() for home in homes)
    if not module.startswith("generator") or module.startswith(homes):
        return []
    lines = [line for line in text.splitlines() if not line.strip().startswith(("#", '"unet3d', "FAMILIES ="))]
    return [line for line in lines if re.search(r"\bunet\b|UNet3DConditionModel", line)]


@pytest.mark.parametrize("module", SOURCES)
def test_the_generator_knows_a_familys_network_in_its_family_only(module):
    assert family_words(module, SOURCES[module]) == []


def test_a_familys_words_elsewhere_would_be_seen():
    assert family_words("generator.sampler", "with attached(bb.unet, on):")
    assert family_words("generator.cost", "from diffusers import UNet3DConditionModel")


LIGHT_ROOMS = ("cli", "suites", "ground")
LIGHT_MODULES = [name for name in SOURCES if parsed.room_of(name) in LIGHT_ROOMS]


@pytest.mark.parametrize("module", [*LIGHT_MODULES, "report.tables", "store.runs", "runs.identity"])
def test_no_light_module_names_a_heavy_one_at_its_top(module):
    at_its_top = {one.module.split(".")[0] for one in parsed.imports(ast.parse(SOURCES[module])) if one.where == "top"}
    assert not at_its_top & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["table", "--help"], ["run", "--help"]])
def test_the_command_line_loads_nothing_heavy_before_it_works(arguments):
    code = (
        "import sys; from ivgbench import cli\ntry: cli.main()\nexcept SystemExit: pass\n"
        "print(*sorted({'numpy', 'pandas', 'urllib.request'} & set(sys.modules)), file=sys.stderr)"
    )
    asked = [sys.executable, "-c", code, *arguments]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert answer.stderr.strip() == ""


def test_reading_results_loads_nothing_heavy():
    code = f"import {', '.join(LIGHT)}, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
