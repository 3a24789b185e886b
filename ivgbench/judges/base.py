"""What a judge is: the interfaces of the four kinds of models that look at videos.

`id` names everything that changes an answer (weights, preprocessing, threshold): what is cached of a judge is kept
under it. Whatever has these methods is such a judge; `ivgbench.judges.ids` tells an id without loading the model.
Videos are uint8 [F,H,W,3].
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Detector(Protocol):
    """Finds a phrase's thing in each frame."""

    id: str

    def detect(self, video: np.ndarray, phrase: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes float64 [F,4] xyxy in 0..1, a row of NaN where nothing is found, and scores [F].

        Raises:
            UserError: a phrase that it does not know.
        """
        ...


@runtime_checkable
class FrameEncoder(Protocol):
    """Features of single frames, for FID and KID."""

    id: str

    def embed_video(self, video: np.ndarray) -> np.ndarray:
        """Features [F,D] of the frames."""
        ...


@runtime_checkable
class Clip(FrameEncoder, Protocol):
    """A CLIP model: features of frames and texts in one space, of unit length."""

    def squashed(self) -> Clip:
        """The same model, given whole frames instead of their middle; it has another id."""
        ...

    def embed_text(self, texts: list[str]) -> np.ndarray:
        """Features [N,D] of texts."""
        ...

    def cuts(self, text: str) -> bool:
        """Whether a text is longer than the model reads."""
        ...


@runtime_checkable
class VideoEncoder(Protocol):
    """Features of whole clips, for JEDi."""

    id: str

    def embed_clip(self, video: np.ndarray) -> np.ndarray:
        """The feature [D] of a clip."""
        ...
