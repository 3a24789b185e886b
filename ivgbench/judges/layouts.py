"""The layout of an ultralytics model, a dict in a config or checkpoint: only layers may be named in it.

ultralytics builds a model from it by looking names up in its own module, calling them, and evaluating the activation as
Python: a layout from elsewhere could run anything, or have other files loaded. What passes here is layers of torch and
ultralytics with plain arguments.
"""

from __future__ import annotations

import re
from typing import Any

import torch

#: An activation: a layer of torch with numbers, true or false for arguments.
_ACTIVATION = re.compile(r"(?:torch\.)?nn\.(\w+)\((?:\s*(?:\w+\s*=\s*)?(?:True|False|None|-?[\d.e-]+)\s*,?)*\)")
#: Layers of ultralytics that are models of other libraries, with weights from the network.
_BROUGHT = ("TorchVision",)


def check(layout: Any) -> dict[str, Any]:
    """The layout, if it names layers only.

    Raises:
        ValueError: it is no dict of layers, or what it names is none.
    """
    if not isinstance(layout, dict):
        raise ValueError("the model's layout must be a dict of its layers (yaml)")
    activation = layout.get("activation")
    if activation is not None:
        named = _ACTIVATION.fullmatch(activation) if isinstance(activation, str) else None
        if named is None or not _is_layer(getattr(torch.nn, named[1], None)):
            raise ValueError(f"refused: its activation is no layer of torch: {str(activation)[:80]!r}")
    for layer in (*layout["backbone"], *layout["head"]):
        name = layer[2]
        if not isinstance(name, str) or not _is_layer(_found(name)):
            raise ValueError(f"refused: {str(name)[:80]!r} in its layout is no layer of torch or ultralytics")
    return layout


def _found(name: str) -> Any:
    """What ultralytics would take for a name, as far as it may."""
    if name.startswith("nn."):
        return getattr(torch.nn, name.removeprefix("nn."), None)
    if name.startswith("torchvision.ops."):
        from torchvision import ops

        return getattr(ops, name.removeprefix("torchvision.ops."), None)
    from ultralytics.nn import tasks

    found = getattr(tasks, name, None)
    return found if getattr(found, "__module__", "").startswith("ultralytics.nn.modules.") else None


def _is_layer(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, torch.nn.Module) and found.__name__ not in _BROUGHT
