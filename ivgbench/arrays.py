"""Numbers from outside as arrays. numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from ivgbench.errors import UserError


def floats(values: Any, where: str) -> np.ndarray:
    """Real numbers in lists or arrays as float64; UserError where something else is among them, or rows differ."""
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex numbers")
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as fault:
        raise UserError(f"{where}: not numbers in rows of one length: {' '.join(str(fault).split())}") from None
