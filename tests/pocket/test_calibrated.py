"""The card's chapter on calibration."""

import json
from dataclasses import asdict, replace

from ivgbench import calibration
from ivgbench.calibration import Calibration, Finding
from ivgbench.pocket import WEIGHTS
from ivgbench.pocket.exams import calibrated
from ivgbench.pocket.exams.card_text import render

FOUND = Calibration(
    "pocket", "abc123", "run", 48, (0,), "ivgbench study calibrate", {"torch": "2"},
    (
        Finding(1, "a", "it controls", "paper", "mIoU: a less b above +5", "static +9.0 (+7.0 to +11.0)", "holds", 48,
                0.01, True, True),
        Finding(2, "b", "it does not", "paper", "", "static -1.0", "fails", 48, 0.0001, True, False),
    ),
)  # fmt: skip


def test_a_calibration_of_other_weights_is_none_of_the_cards(tmp_path):
    path = tmp_path / "calibration.json"
    assert calibrated.read(path, "abc", None) is None
    calibration.save(path, FOUND)
    assert calibrated.read(path, "abc", None) == asdict(FOUND)
    assert calibrated.read(path, "abd", None) is None
    # Without the file what the record kept of the same weights stays.
    assert calibrated.read(tmp_path / "gone.json", "abc", asdict(FOUND)) == asdict(FOUND)
    assert calibrated.read(tmp_path / "gone.json", "abd", asdict(FOUND)) is None


def test_the_card_tells_what_was_calibrated():
    record = json.loads((WEIGHTS / "card.json").read_text())

    def with_one(calibration):
        only = {"pocket": {**record["models"]["pocket"], "calibration": calibration}}
        return render({**record, "models": only})

    plain = with_one(None)
    assert "# Calibration" not in plain
    card = with_one(json.loads(json.dumps(asdict(FOUND))))
    assert "1 of 2 bars that a pocket model must meet are met." in card
    assert "| 1 | it controls (paper) | mIoU: a less b above +5 | static +9.0 (+7.0 to +11.0) | 48 | 0.010 |" in card
    assert "| **fails** | **missed** |" in card
    assert card.index("### pocket") < card.index("#### Calibration") < card.index("## The judges")


def test_a_calibration_of_another_model_lies_beside_the_first(tmp_path):
    path = tmp_path / "calibration.json"
    calibration.save(path, FOUND)
    other = replace(FOUND, backbone="pocket-dit", weights="0123456789abcdef")
    calibration.save(tmp_path / "calibration-01234567.json", other)
    assert calibrated.read(path, "0123456789ab", None)["backbone"] == "pocket-dit"
    assert calibrated.read(path, "abc123", None)["backbone"] == "pocket"
    assert calibrated.read(path, "0123456799ab", None) is None
