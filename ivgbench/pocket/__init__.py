"""The pocket lab: small models of its own world. `train`, `exam` and `card` are commands; `training/` and `exams/` are
what they run, `weights/` what they made."""

from pathlib import Path

#: What ships.
WEIGHTS = Path(__file__).parent / "weights"
