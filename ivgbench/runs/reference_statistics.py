"""References as statistics: FID needs no more of a set of frames than the mean and covariance of their features.

A file in numpy's .npz format with four arrays: `mean` [D] (or `mu`), `covariance` [D,D] (or `sigma`), unbiased;
`count`, of frames; and `encoder`, the id of the frame encoder whose features they are (Table 2 prints it), as a text:

    np.savez("animals.npz", mean=x.mean(0), covariance=np.cov(x, rowvar=False), count=len(x), encoder=model.id)
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ivgbench.errors import UserError
from ivgbench.files import file_sha256
from ivgbench.metrics.fid import Gaussian, from_moments

SUFFIX = ".npz"
#: Of all arrays: a covariance of 10,000 features has 0.8 GB. A small file can hold far more of what is all the same.
MOST_BYTES = 2 * 10**9
#: What an array may be called.
NAMES = {
    "mean": ("mean", "mu"),
    "covariance": ("covariance", "sigma", "cov"),
    "count": ("count", "n", "num_samples"),
    "encoder": ("encoder", "extractor", "extractor_id"),
}


class Statistics(NamedTuple):
    """A reference of which only the statistics are kept. `encoder`: the id of what computed them; `frames`: how many;
    `key`: hash of the file."""

    gaussian: Gaussian
    frames: int
    encoder: str
    key: str


def is_meant(source: str) -> bool:
    """Whether a reference is a file of statistics by its ending, in any letter case; a folder is none."""
    return source.lower().endswith(SUFFIX) and not Path(source).is_dir()


def load(path: Path) -> Statistics:
    """Reads a file of statistics; nothing in it is executed.

    Raises:
        UserError: no such file, an array that is missing or has another shape, or that is no covariance.
    """
    where = f"--reference {path}"
    try:
        if not zipfile.is_zipfile(path) and path.exists():  # numpy would take it for another of its formats
            raise ValueError("it is another kind of file, or was cut")
        with zipfile.ZipFile(path) as archive:
            if (size := sum(one.file_size for one in archive.infolist())) > MOST_BYTES:
                raise ValueError(f"its arrays are {size / 1e9:.1f} GB, more than a covariance can need")
        with np.load(path, allow_pickle=False) as data:
            known = {name: data[name] for name in data.files}
        key = file_sha256(path)
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file") from None
    except Exception as fault:  # a file of any other kind fails in any other way
        raise UserError(f"{where}: not statistics that can be read (.npz): {' '.join(str(fault).split())}") from None
    found = {what: _array(known, what, names, where) for what, names in NAMES.items()}
    count, encoder = _count(found["count"], where), _text(found["encoder"], where)
    mean, covariance = found["mean"], found["covariance"]
    for what, array in (("mean", mean), ("covariance", covariance)):
        if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
            raise UserError(f"{where}: the {what} must be of real numbers, got {array.dtype}")
    try:
        return Statistics(from_moments(mean, covariance), count, encoder, key)
    except UserError as fault:
        raise UserError(f"{where}: {fault}") from None


def _array(known: dict[str, np.ndarray], what: str, names: tuple[str, ...], where: str) -> np.ndarray:
    found = [name for name in names if name in known]
    if len(found) != 1:
        told = f"two of {what}: {' and '.join(found)}" if found else f"no {what} (one of {', '.join(names)})"
        raise UserError(f"{where}: it holds {told}; its arrays are {', '.join(sorted(known)) or 'none'}")
    return known[found[0]]


def _count(array: np.ndarray, where: str) -> int:
    if array.size != 1 or array.dtype.kind not in "iuf" or not float(array.item()).is_integer() or array.item() < 2:
        raise UserError(f"{where}: count must be a whole number of frames, at least 2")
    return int(array.item())


def _text(array: np.ndarray, where: str) -> str:
    value: Any = array.item() if array.size == 1 else None
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    if not isinstance(value, str) or not value:
        raise UserError(f"{where}: encoder must be a text, the id of the frame encoder behind the features")
    return value
