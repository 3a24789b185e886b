"""Measures videos. Pure functions (control, clip_sim, stats) on what the models that look at frames (detectors,
features) return. Nothing here knows how a video was made, and importing the package loads no model library."""
