"""Key frames as two releases read them: TrailBlazer's (commit de2696e), boxes and prompts at few frames by one rule,
and FreeTraj's (commit 1e0f64b), whose path goes on beyond its keys.

Boxes of `ivgbench.boxes.interpolate` are linear between keys and rest beyond them; parity with either starts here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
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


def trajectory(keys: Mapping[int, Sequence[float]], frames: int = 16) -> np.ndarray:
    """FreeTraj's path as boxes float64 [frames,4], xyxy as fractions of the frame.

    Linear between keys. Before the first and after the last the box moves on, rigidly, by what its top left corner
    moved in the nearest step; nothing keeps it inside the frame.

    Args:
        keys: frame -> (x0, y0, x1, y1).
    Raises:
        UserError: fewer than two keys, or one below frame 0.
    """
    at = sorted(keys)
    if len(at) < 2 or at[0] < 0:
        raise UserError(f"key frames: give at least two, from frame 0 on; got {at}")
    path = {at[0]: np.array(keys[at[0]], dtype=np.float64)}
    for first, last in pairwise(at):
        start, end = (np.array(keys[one], dtype=np.float64) for one in (first, last))
        for step in range(1, last - first + 1):
            path[first + step] = step * ((end - start) / (last - first)) + start
    for wanted, behind in ((range(at[0] - 1, -1, -1), 1), (range(at[-1] + 1, frames), -1)):
        for frame in wanted:
            # Both corners by what the first one moves: the size is kept.
            moved = path[frame + behind][:2] - path[frame + 2 * behind][:2]
            path[frame] = path[frame + behind] + np.tile(moved, 2)
    return np.stack([path[frame] for frame in range(frames)])
