"""Labels that say which settings and reading a row is of."""

from types import SimpleNamespace

import pytest

from ivgbench.errors import UserError
from ivgbench.study import variants
from ivgbench.study.variants import ALL, Variant


@pytest.mark.parametrize(
    ("label", "row", "bound"),
    [
        ("plain", "plain", ALL),
        ("a b, c", "a b, c", ALL),
        ("peekaboo@paper", "peekaboo", Variant("paper")),
        ("mask-norm@multiplicative", "mask-norm", Variant("", "multiplicative")),
        ("mask-norm@tuned+additive", "mask-norm", Variant("tuned", "additive")),
    ],
)
def test_a_label_is_a_row_and_what_it_is_bound_to(label, row, bound):
    assert variants.split(label) == (row, bound)


@pytest.mark.parametrize("label", ["a@", "@paper", "a@+", "a@paper+", "a@paper+x+additive", "a@additive+paper"])
def test_another_label_is_refused(label):
    with pytest.raises(UserError, match="write ROW, ROW@SETTINGS"):
        variants.split(label)


def test_a_mistyped_reading_is_named():
    with pytest.raises(UserError, match="did you mean 'multiplicative'"):
        variants.split("a@paper+multiplicativ")


LABELS = ["plain", "peekaboo@tuned", "peekaboo@paper", "mask-norm@tuned+additive", "mask-norm@paper+multiplicative"]


def test_variants_are_every_settings_in_every_reading():
    found = variants.of_labels(LABELS)
    assert [*map(str, found)] == [
        "tuned, additive", "tuned, multiplicative", "paper, additive", "paper, multiplicative"
    ]  # fmt: skip
    assert found[0].folder == "tuned-additive" and all(found)
    assert variants.of_labels(["plain", "peekaboo"]) == variants.of_labels([]) == [ALL] and not ALL


def test_a_variant_has_its_own_rows_and_those_of_all():
    assert variants.rows(LABELS, Variant("paper", "multiplicative")) == {
        "plain": "plain",
        "peekaboo@paper": "peekaboo",
        "mask-norm@paper+multiplicative": "mask-norm",
    }
    assert set(variants.rows(LABELS, Variant("tuned", "multiplicative")).values()) == {"plain", "peekaboo"}


def test_a_row_that_is_there_twice_is_refused():
    with pytest.raises(UserError, match="rows 'a' and 'a@paper' are both 'a' of paper; drop one"):
        variants.rows(["a", "a@paper"], Variant("paper"))


def test_the_view_of_a_plan_shares_its_jobs(monkeypatch):
    from ivgbench.runs.identity import Entry
    from ivgbench.runs.planning import Plan

    jobs = [SimpleNamespace(id=str(k)) for k in range(len(LABELS))]
    plan = Plan(
        None, None, {}, tuple(Entry(job, "s", None, label, "x") for job, label in zip(jobs, LABELS, strict=True))
    )
    seen = variants.view(plan, Variant("paper", "multiplicative"))
    assert [(entry.label, entry.job.id) for entry in seen.entries] == [
        ("plain", "0"),
        ("peekaboo", "2"),
        ("mask-norm", "4"),
    ]
    assert len(plan.entries) == 5
