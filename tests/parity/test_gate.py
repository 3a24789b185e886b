"""The regression gate sees every method and every metric that is perturbed, and names what moved."""

import gate
import pytest
from mutations import Mutation, mutated


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return gate.Gate(tmp_path_factory.mktemp("whole") / "runs")


@pytest.mark.slow
@pytest.mark.parametrize("perturbation", gate.PERTURBATIONS, ids=str)
def test_a_perturbation_fails_the_check_by_name(whole, perturbation):
    told = whole.told(perturbation)
    assert perturbation.column in {change.metric.column for change in told}
    for change in told:
        assert f"{change.metric.column}: was " in str(change) and "tolerance" in str(change)


def test_every_method_and_every_kind_of_metric_is_perturbed():
    assert {one.method for one in gate.PERTURBATIONS if one.method} == {row.method for row in gate.SPEC.methods}
    columns = {one.column for one in gate.PERTURBATIONS}
    kept = {metric.column for metric in gate.Gate(None).kept}
    assert kept - columns == {"kid_std"}  # deviations over subsets follow kid


@pytest.mark.parametrize("perturbation", gate.PERTURBATIONS, ids=str)
def test_what_is_perturbed_is_there(perturbation):
    for target, old, new in perturbation.edits:
        with mutated(Mutation("", "", target, old, new, "")):
            pass


@pytest.mark.slow
def test_nothing_perturbed_is_nothing_told(whole):
    assert whole.told(gate.Perturbation("nothing", "", "", ())) == []
