"""Measures videos. Pure functions (control, clip_sim, stats) on what the models that look at frames (detectors,
features) return. Nothing here knows how a video was made, and importing the package loads no model library.

`fid`, `kid` and `jedi` are the functions; what else their modules have is imported from there."""

from ivgbench.metrics.fid import fid
from ivgbench.metrics.jedi import jedi
from ivgbench.metrics.kid import kid

__all__ = ["fid", "jedi", "kid"]
