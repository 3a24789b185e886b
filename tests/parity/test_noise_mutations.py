"""The official numbers of FreeInit and FreeTraj can be missed: every rule broken in turn is seen."""

from pathlib import Path

import golden_noise
import pytest
from golden import golden_checks
from mutations import mutated
from noise_mutations import NOISE_MUTATIONS

CHECKS = {
    check.name: check
    for check in golden_checks(Path(__file__).parents[1] / "golden")[0]
    if check.name.startswith(("freeinit/", "freetraj/"))
}
#: Seconds each; the default run takes the others.
WHOLE_RUNS = ("path", "where")


@pytest.fixture(autouse=True)
def nothing_remembered():
    golden_noise.loop.cache_clear()
    golden_noise.edited.cache_clear()
    yield
    golden_noise.loop.cache_clear()
    golden_noise.edited.cache_clear()


@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param(one, id=f"{one.rule}: {one.what}", marks=pytest.mark.slow if one.rule in WHOLE_RUNS else ())
        for one in NOISE_MUTATIONS
    ],
)
def test_a_broken_rule_is_seen(mutation):
    with mutated(mutation):
        try:
            seen = CHECKS[mutation.seen_by].errors()[1] > CHECKS[mutation.seen_by].tolerance
        except (AssertionError, ValueError, RuntimeError):  # of another shape, or of another number of steps
            seen = True
    assert seen
