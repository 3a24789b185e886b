"""Reading a golden fixture."""

import json
from functools import cache
from pathlib import Path

import numpy as np


@cache
def load(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Its arrays and its meta."""
    arrays = dict(np.load(path, allow_pickle=False))
    return arrays, json.loads(str(arrays.pop("meta")))
