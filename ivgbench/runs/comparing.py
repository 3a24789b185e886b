"""What workers do for FID, KID and JEDi: embed videos, sum up references, and compare sets of features.

Features are cached per video, and the statistics of a reference as a whole, by content and the encoder's id.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ivgbench.files import digest
from ivgbench.metrics import jedi, kernel, kid
from ivgbench.metrics.fid import Gaussian, gaussian, interval
from ivgbench.metrics.jedi import SCALE, quadratic
from ivgbench.metrics.kid import cubic
from ivgbench.store.runs import Store

if TYPE_CHECKING:
    from ivgbench.runs.references import Video

#: Raised when a result of the same features changes.
SETS_VERSION = 2
KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000
#: Below this many frames on a side KID's subsets, half of the smaller side, have no two frames to compare.
KID_FRAMES = 4


class Encoder(NamedTuple):
    """An encoder of "frames" (FID, KID) or of the whole "video" (JEDi), by its name in the spec and its id."""

    of: str
    name: str
    id: str


class Comparison(NamedTuple):
    """A row to compute: the videos of a method against those of a reference, by their sorted keys.

    encoders: what is compared by. frames: how many frames a reference of statistics has; its key stands in `against`.
    """

    reference: str
    label: str
    method: str
    clips: tuple[str, ...]
    against: tuple[str, ...]
    encoders: tuple[Encoder, ...]
    frames: int | None = None

    def content(self) -> str:
        """Hash of all that the row's numbers depend on."""
        return digest([SETS_VERSION, self.clips, self.against, [encoder.id for encoder in self.encoders]])


class Embedder:
    """What an embedding worker holds: the store and one encoder."""

    def __init__(self, store: Store, lab: Any, encoder: Encoder, clip: str):
        lab.start_worker()
        self.store, self.encoder = store, encoder
        if encoder.of == "video":
            self.embed_video = lab.video_encoder(encoder.name).embed_clip
        else:
            self.embed_video = lab.frame_encoder(encoder.name, clip).embed_video

    def embed(self, item: tuple[str, Video | str]) -> None:
        """Caches the features of a video, or of a job's clip."""
        key, source = item
        video = self.store.clip(source) if isinstance(source, str) else source.load()
        self.store.save_arrays(self.encoder.id, key, {self.encoder.of: np.asarray(self.embed_video(video))})


class Comparer:
    """What a comparing worker holds: the store."""

    def __init__(self, store: Store, lab: Any):
        lab.start_worker()
        self.store = store

    def prepare(self, item: tuple[tuple[str, ...], Encoder]) -> None:
        """Caches the statistics of a reference that do not depend on what it is compared with."""
        keys, encoder = item
        x, owner = self._features(keys, encoder)
        if encoder.of == "video":
            statistics = {"sums": kernel.own_sums(x, owner, quadratic(x.shape[1]))}
        else:
            statistics = {"sums": kernel.own_sums(x, owner, cubic(x.shape[1])), **gaussian(x)._asdict()}
        self.store.save_arrays(encoder.id, set_key(keys), statistics)

    def compare(self, item: Comparison) -> dict[str, Any]:
        """A row: counts, and "metrics": those of "frames" by the encoder's name, and those of "video"."""
        metrics: dict[str, Any] = {"frames": {}}
        counts: dict[str, int | None] = {"n_videos": len(item.clips), "reference_videos": len(item.against)}
        for encoder in item.encoders:
            x, owner = self._features(item.clips, encoder)
            known = self.store.kept_arrays(encoder.id, set_key(item.against))
            if item.frames is not None:
                counts |= {"reference_videos": None, "n_frames": len(x), "reference_frames": item.frames}
                metrics["frames"][encoder.name] = fid_metrics(x, owner, Gaussian(**known))
                continue
            y, other = self._features(item.against, encoder)
            if encoder.of == "video":
                metrics["video"] = video_metrics(x, y, known["sums"], jedi_name(encoder.name))
            else:
                reference = Gaussian(known["mean"], known["root"])
                metrics["frames"][encoder.name] = {
                    **fid_metrics(x, owner, reference), **kid_metrics(x, owner, y, other, known["sums"])
                }  # fmt: skip
                counts |= {"n_frames": len(x), "reference_frames": len(y)}
        return {"content": item.content(), "metrics": metrics, **counts}

    def _features(self, keys: Sequence[str], encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
        """Features of all videos [N,D], and the number of the video that each row is of [N]."""
        parts = [np.atleast_2d(self.store.kept_arrays(encoder.id, key)[encoder.of]) for key in keys]
        return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def set_key(keys: Sequence[str]) -> str:
    """Where the statistics of a reference are cached."""
    return f"set-{digest(keys)[:32]}"


def fid_metrics(x: np.ndarray, owner: np.ndarray, reference: Gaussian) -> dict[str, float]:
    """FID of frames x against a reference; the interval is over x's videos."""
    value = interval(x, owner, reference)
    return {"fid": value.value, "fid_low": value.low, "fid_high": value.high, "dimension": x.shape[1]}


def kid_metrics(
    x: np.ndarray, owner: np.ndarray, y: np.ndarray, other: np.ndarray, sums: np.ndarray
) -> dict[str, float | None]:
    """KID of frames x against y, whose kernel sums are known; NaN without subsets where a side has too few frames."""
    size, mean, deviation = min(KID_SUBSET_SIZE, len(x) // 2, len(y) // 2), math.nan, math.nan
    if min(len(x), len(y)) >= KID_FRAMES:
        mean, deviation = kid(x, y, KID_SUBSETS, size)
    across = kernel.interval(kernel.video_sums(x, y, owner, other, cubic(x.shape[1]), sums))
    return {
        "kid": mean, "kid_std": deviation, "kid_subset_size": None if math.isnan(mean) else size,
        "kid_xvideo": across.value, "kid_xvideo_low": across.low, "kid_xvideo_high": across.high,
    }  # fmt: skip


def jedi_name(encoder: str) -> str:
    """What the distance is called with a video encoder: the published name is for the published network's layout."""
    return "jedi_v2" if encoder.partition(":")[0] == "vjepa2" else "jedi"


def video_metrics(x: np.ndarray, y: np.ndarray, sums: np.ndarray, name: str = "jedi") -> dict[str, float]:
    """JEDi of clips x against y, whose kernel sums are known, under a `name`."""
    k = quadratic(x.shape[1])
    value = kernel.interval(kernel.video_sums(x, y, range(len(x)), range(len(y)), k, sums))
    return {
        name: jedi(x, y), f"{name}_unbiased": SCALE * value.value, f"{name}_unbiased_low": SCALE * value.low,
        f"{name}_unbiased_high": SCALE * value.high, "dimension": x.shape[1],
    }  # fmt: skip
