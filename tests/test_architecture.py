"""The shape of the house: imports point downward, generator and metrics are strangers, reading needs no torch."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ivgbench"
#: What each part may import, of the other parts. The parts of the ground floor may import each other.
GROUND = {
    "arrays", "boxes", "calibration", "cases", "errors", "extras", "files", "hub", "phrases", "plugins", "reading",
    "registry", "shipped", "texts",
}  # fmt: skip
ALLOWED = {
    "ground": set(),
    # What is drawn, with captions and boxes known exactly: it trains nothing and judges nothing.
    "world": GROUND,
    "suites": GROUND | {"world"},
    "__init__": GROUND | {"suites"},
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


def modules() -> list[tuple[str, Path]]:
    """(dotted name below ivgbench, file) of every module."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path))
    return found


def part_of(module: str) -> str:
    """The part a module belongs to. The rooms of the pocket lab are parts of their own."""
    head = module.split(".")[0]
    room = module.split(".")[1:2]
    if head == "pocket" and room and room[0] in ("training", "exams"):
        return f"pocket.{room[0]}"
    return {"__main__": "cli"}.get(head, "ground" if head in GROUND else head)


def imports(tree: ast.AST, top: bool = False) -> set[str]:
    """Dotted names imported in a module; with `top` only those that importing the module imports."""
    names = set()
    nodes = list(_top_level(tree)) if top else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _top_level(tree: ast.AST):
    for node in ast.iter_child_nodes(tree):
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not checking and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from _top_level(node)


def forbidden(module: str, tree: ast.AST) -> list[str]:
    """Imports of a module that point upward or sideways."""
    inside = {name.removeprefix("ivgbench.") for name in imports(tree) if name.startswith("ivgbench.")}
    # "from ivgbench.pocket import card" names the package too: what counts is the module behind it.
    inside = {name for name in inside if not any(other.startswith(f"{name}.") for other in inside)}
    part = part_of(module)
    allowed = {part} | ALLOWED[part]
    # What is no part is an attribute of the package itself, such as its version.
    bad = {name for name in inside if part_of(name) in ALLOWED and not {part_of(name), name.split(".")[0]} & allowed}
    return sorted(bad)


def test_every_part_is_in_the_picture():
    assert {part_of(name) for name, _ in modules()} <= set(ALLOWED)
    assert len(modules()) > 20


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_downward(module, path):
    assert forbidden(module, ast.parse(path.read_text(encoding="utf-8"))) == []


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
    assert forbidden(module, ast.parse(line))


#: Where the words of one family of backbones may stand: in its files, and where files and adapters are told apart.
FAMILY_WORDS = {"unet": ("generator.backbones.unet3d", "generator.backbones.layout", "generator.backbones.lora")}


def family_words(module: str, text: str) -> list[str]:
    """Lines of a module that speak of a family outside of it. Its class has a name that is no secret."""
    homes = tuple(home for homes in FAMILY_WORDS.values() for home in homes)
    if not module.startswith("generator") or module.startswith(homes):
        return []
    lines = [line for line in text.splitlines() if not line.strip().startswith(("#", '"unet3d', "FAMILIES ="))]
    return [line for line in lines if re.search(r"\bunet\b|UNet3DConditionModel", line)]


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_generator_knows_a_familys_network_in_its_family_only(module, path):
    assert family_words(module, path.read_text(encoding="utf-8")) == []


def test_a_familys_words_elsewhere_would_be_seen():
    assert family_words("generator.sampler", "with attached(bb.unet, on):")
    assert family_words("generator.cost", "from diffusers import UNet3DConditionModel")


LIGHT_PARTS = [f"{part}.{path.stem}" for part in ("cli", "suites") for path in sorted((PACKAGE / part).glob("*.py"))]


@pytest.mark.parametrize("module", [*sorted(GROUND), *LIGHT_PARTS, "report.tables", "store.runs", "runs.identity"])
def test_no_light_module_names_a_heavy_one_at_its_top(module):
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    assert not {name.split(".")[0] for name in imports(tree, top=True)} & HEAVY


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
