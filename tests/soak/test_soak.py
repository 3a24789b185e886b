"""Every fault of the soak once or twice: nothing whole is lost or made again, and the tables are the same."""

import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import disk
from scene import Scene, undisturbed
from soak import FAULTS


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "scene", small=True)


#: Faults whose small version is quick, and how often they strike in it. The others are slow tests.
QUICK = {"killed": 2, "terminated": 1, "read-only": 1, "disk full": 1, "damaged": 2}


@pytest.mark.parametrize("name", [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in FAULTS])
def test_a_fault_changes_nothing_in_the_end(tmp_path, expected, name):
    scene = Scene(tmp_path / "scene", expected, small=True)
    try:
        FAULTS[name][0](scene, Random(name), QUICK.get(name, 1))
    except disk.Impossible as why:
        pytest.skip(str(why))
    if any(scene.root.glob("*")):
        scene.finish()
    assert (scene.lost, scene.doubled, scene.faults) == (set(), set(), [])
    assert scene.times
