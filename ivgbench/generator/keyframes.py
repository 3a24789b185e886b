"""Key frames as TrailBlazer's release reads them (commit de2696e): boxes and prompts at few frames, by one rule.

Boxes of `ivgbench.boxes.interpolate` are linear between keys; the release is not quite, so parity with it starts here.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from ivgbench.errors import UserError
from ivgbench.generator.backbones.base import Backbone


def at_every_frame(keys: Mapping[int, Any]) -> list[Any]:
    """The value of every frame from 0 to the last key's, from values at key frames.

    A segment runs linearly from key to key, both ends hit exactly. Every segment but the first starts one frame after
    its key, with the key's value: a key in between stands in two frames.

    Args:
        keys: frame -> array, tensor or number; the first frame is 0.
    Raises:
        UserError: fewer than two keys, no key at frame 0, or a later segment of one frame (the release stops there).
    """
    frames = sorted(keys)
    if len(frames) < 2 or frames[0] != 0:
        raise UserError(f"key frames: give at least two, the first at frame 0; got {frames}")
    values = []
    for first, last in pairwise(frames):
        start = first + 1 if first > 0 else 0
        if start == last:
            raise UserError(f"key frames {first} and {last}: keys after the first must be two frames apart or more")
        for frame in range(start, last + 1):
            share = (frame - start) / (last - start)
            values.append((1 - share) * keys[first] + share * keys[last])
    return values


def prompt_embeds(
    bb: Backbone, prompts: Mapping[int, str], negative_prompt: str = "", prompt_suffix: str = ""
) -> torch.Tensor:
    """Text states [2F,L,C] for `generate(prompt_embeds=...)`, moving from prompt to prompt through the clip.

    Args:
        prompts: frame -> prompt, as in `at_every_frame`; prompt_suffix is appended to each before encoding.
    """
    at = sorted(prompts)
    texts = [prompts[frame] + prompt_suffix for frame in at]
    encoded = bb.encode_prompt([negative_prompt, *texts])
    conditional = torch.stack(at_every_frame(dict(zip(at, encoded[1:], strict=True))))
    return torch.cat([encoded[:1].expand_as(conditional), conditional])
