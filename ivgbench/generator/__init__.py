"""Produces videos: a backbone (text encoder, denoiser, VAE, scheduler), one sampler, and the methods that hook into it.

    from ivgbench.generator import Backbone, generate

Both names are loaded on first use, so that importing `ivgbench.generator.backbones.sources` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ivgbench.extras import told

_HOMES = {
    "Backbone": "ivgbench.generator.backbones.base",
    "GeneratedClip": "ivgbench.generator.sampler",
    "generate": "ivgbench.generator.sampler",
    "generate_batch": "ivgbench.generator.sampler",
}
__all__ = ["Backbone", "GeneratedClip", "generate", "generate_batch"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with told():
        return getattr(import_module(_HOMES[name]), name)
