"""Figures 2 and 3 from recorded numbers: the drawn values are the right ones, and drawing needs no display."""

import numpy as np
import pandas as pd
import pytest

from ivgbench.study import activations
from ivgbench.study.recording import BASELINE, LEVELS, MASKED, NORMALISED, Activations


@pytest.fixture
def seen():
    steps = np.linspace(1, 2, 6)
    base = np.stack([steps, 2 * steps, 3 * steps])
    base = np.stack([base, 10 * base, 100 * base], axis=1)  # the three tensors
    variance = {BASELINE: base, MASKED: base * 0.5, NORMALISED: base + 0.1}
    quantiles = np.broadcast_to(np.stack([LEVELS, 2 * LEVELS, 2 * LEVELS]), (3, 2, 3, len(LEVELS)))
    # Two seeds of the first case: they count once together.
    cases = (("static", "s", "a", 0), ("static", "s", "a", 1), ("static", "s", "b", 0))
    return Activations(variance, "up_blocks.0", quantiles, 2, cases)


def test_variance_and_error_are_means_over_cases(seen):
    table = activations.variance_table(seen)
    assert len(table) == 3 * 3 * 6
    text = table[table["tensor"] == "text attention"]
    table = table[table["tensor"] == "transformer's output"]
    both = ["variance", "variance_low", "variance_high"]
    np.testing.assert_allclose(text[text["row"] == MASKED][both], 100 * table[table["row"] == MASKED][both])
    last = table[(table["row"] == MASKED) & (table["step"] == 6)].iloc[0]
    assert last["cases"] == 2
    assert last["variance"] == pytest.approx(((2 + 4) / 2 * 0.5 + 6 * 0.5) / 2)
    assert last["error"] == pytest.approx(last["variance"])
    assert not last["masked"] and table[table["step"] == 2]["masked"].all()
    ours = table[table["row"] == NORMALISED]
    np.testing.assert_allclose(ours["error"], 0.1)
    np.testing.assert_allclose(ours["error_high"] - ours["error_low"], 0, atol=1e-12)


def test_relative_variance_is_in_units_of_the_baseline(seen):
    np.testing.assert_allclose(seen.relative(MASKED), 0.5)


def test_drawing_works_without_a_display(seen, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    for draw in (activations.figure2, activations.figure3):
        first = draw(seen, tmp_path / "one", "a $ title")
        again = draw(seen, tmp_path / "two", "a $ title")
        assert [path.suffix for path in first] == [".png", ".svg", ".csv"]
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    drawn = pd.read_csv(tmp_path / "one" / "figure3.csv")
    np.testing.assert_allclose(drawn["matched"], drawn["unmasked"])


def test_a_layer_that_is_not_normalised_is_not_drawn(seen, tmp_path):
    quantiles = seen.quantiles.copy()
    quantiles[:, 0] = np.nan
    assert set(activations.distribution_table(seen)["layer"]) == set(activations.LAYER_NAMES)
    activations.figure3(seen._replace(quantiles=quantiles), tmp_path, "a title")
    assert set(pd.read_csv(tmp_path / "figure3.csv")["layer"]) == {"text attention"}


def test_the_shift_is_what_masking_adds_to_the_share_below_a_value(seen):
    layer = activations.distribution_table(seen).query("layer == 'self-attention'")
    # Half as large values: of them twice the share lies below any value, or all.
    expected = 100 * (np.minimum(2 * LEVELS, LEVELS[-1]) - LEVELS)
    np.testing.assert_allclose(activations._shift(layer, "masked"), expected, atol=1e-9)
    np.testing.assert_allclose(activations._shift(layer, "matched"), 0, atol=1e-9)
