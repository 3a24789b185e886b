"""The checks on official numbers can fail: every rule broken in turn is seen by one of them."""

from pathlib import Path

import pytest
from golden import OTHERS, load
from mutations import mutated
from mutations_golden import MUTATIONS

GOLDEN = Path(__file__).parents[1] / "golden"


def check_of(name):
    """Made anew: a check may keep what it saw of a run."""
    folder, stem = name.partition(",")[0].split("/")
    path = GOLDEN / folder / f"{stem}.npz"
    (found,) = (one for one in OTHERS[folder](path, f"{folder}/{stem}", *load(path)) if one.name == name)
    return found


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: f"{one.seen_by.split('/')[0]}: {one.rule}: {one.what}")
def test_a_broken_rule_is_seen(mutation):
    check = check_of(mutation.seen_by)
    with mutated(mutation):
        try:
            _, relative, _ = check.errors()
        except AssertionError:  # another number of evaluations than the release's
            return
    assert relative > check.tolerance


@pytest.mark.parametrize("name", sorted({one.seen_by for one in MUTATIONS}))
def test_nothing_stays_broken(name):
    check = check_of(name)
    assert check.errors()[1] <= check.tolerance
