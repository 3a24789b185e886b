"""The parity checks can fail: every rule broken in turn is seen by the check that is there for it."""

import pytest
from mutations import MUTATIONS, mutated
from requested import reference_checks

CHECKS = reference_checks()
#: A second each: the default run takes the others.
SLOW = {"trailblazer, gate of a level", "trailblazer, gate of transformer_in", "trailblazer, two subjects"}


@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param(one, id=f"{one.rule}: {one.what}", marks=pytest.mark.slow if one.seen_by in SLOW else ())
        for one in MUTATIONS
    ],
)
def test_a_broken_rule_is_seen(mutation):
    check = CHECKS[mutation.seen_by]
    check.theirs()  # before anything is broken
    with mutated(mutation):
        assert check.errors()[1] > check.tolerance


def test_nothing_stays_broken():
    check = CHECKS["peekaboo, one subject"]
    with mutated(next(one for one in MUTATIONS if one.seen_by == check.name)):
        pass
    assert check.errors()[1] <= check.tolerance


def test_every_check_is_needed_for_some_rule_or_names_a_door():
    """A check that no mutation needs guards an argument of `generate`, not a rule of a method."""
    doors = {"plain", "peekaboo, frozen throughout", "peekaboo, 25 frames", "peekaboo, dpm, 16 steps"}
    doors |= {"peekaboo, paper scope, two subjects", "trailblazer, dpm", "trailblazer, no phrase"}
    doors |= {"trailblazer, per-frame prompts"}
    assert set(CHECKS) - doors == {one.seen_by for one in MUTATIONS}
