"""A second TrailBlazer, for tests only: the released edits frame by frame, sharing no code with ivgbench."""

from functools import partial
from math import gcd, isqrt

import numpy as np
import torch
from reference import attention, probabilities


def cells_of(box, height, width):
    """left, top, right, bottom of the edited region."""
    sides = zip(box, (width, height, width, height), (0.01, 0.01, -0.01, -0.01), strict=True)
    return [int((value + margin) * size) for value, size, margin in sides]


def window(height, width):
    """The bell over a region, float16, computed in float64 here."""
    bells = []
    for count in (height, width):
        at = np.array([k * count / (count - 1) for k in range(count)]) if count > 1 else np.zeros(1)
        bells.append(np.exp(-((at - count // 2) ** 2) / (2 * (count / 3) ** 2)))
    bell = np.outer(*bells)
    return torch.from_numpy(bell / bell.max()).half()


class TrailBlazer:
    """Functions for `reference.trajectory(layers=...)`.

    size: (h,w) of the latents; boxes: [F,4]; tokens: edited positions; spatial, temporal: (steps, strengthen, weaken);
    gate: as in ivgbench.
    """

    def __init__(self, unet, size, boxes, tokens, spatial, temporal, gate="official"):
        self.size, self.boxes, self.tokens, self.gate = size, np.asarray(boxes), sorted(tokens), gate
        self.spatial, self.temporal = spatial, temporal
        self.names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]

    def layers(self, step):
        return {name: partial(self.read, name, step) for name in self.names}

    def read(self, name, step, attn, hidden, text):
        probs = probabilities(attn, hidden, text)
        flat = probs.flatten(0, 1)
        half = len(flat) // 2
        own = ".temp_attentions." in name or (self.gate == "intent" and "transformer_in" in name)
        strengthen, weaken = (self.temporal if own else self.spatial)[1:]
        if text is not None:
            if step < self.spatial[0]:
                flat[half:] = self.spatial_edit(flat[half:], strengthen, weaken, attn.heads).abs()
        elif step < self.temporal[0] and (self.gate == "intent" or len(flat) == 65536):
            part = slice(half, None) if self.gate == "intent" else slice(None, half)
            flat[part] = self.temporal_edit(flat[part], strengthen, weaken, attn.heads).abs()
        return attention(attn, hidden, text, probs=flat.view_as(probs))

    def grid(self, cells):
        height, width = self.size
        common = gcd(height * 8, width * 8)
        rows, columns = height * 8 // common, width * 8 // common
        times = isqrt(cells // (rows * columns))
        return times * rows, times * columns

    def spatial_edit(self, probs, strengthen, weaken, heads):
        """[F*heads, cells, 77] of the conditional half."""
        height, width = self.grid(probs.shape[1])
        peak, edited = probs.max(), probs.clone()
        for frame, box in enumerate(self.boxes):
            left, top, right, bottom = cells_of(box, height, width)
            maps = torch.zeros(height, width, dtype=torch.float16)
            if right > left and bottom > top:
                maps[top:bottom, left:right] = window(bottom - top, right - left) * peak.to(torch.float32)
            factor = torch.where(maps != 0, torch.tensor(1.0).half(), torch.tensor(weaken).half())
            for token in self.tokens:
                rows = slice(frame * heads, (frame + 1) * heads)
                old = probs[rows, :, token].view(heads, height, width)
                edited[rows, :, token] = (old * factor + maps * strengthen).flatten(1)
        return edited

    def temporal_edit(self, probs, strengthen, weaken, heads):
        """[cells*heads, F, F] of one half."""
        frames = len(self.boxes)
        height, width = self.grid(len(probs) // heads)
        view = probs.view(height, width, heads, frames, frames)
        peak, edited = probs.max().to(torch.float32), torch.empty_like(view)
        for i in range(frames):
            for j in range(frames):
                maps, apart = torch.zeros(height, width, dtype=torch.float16), abs(i - j) / frames
                for frame in (i, j):
                    left, top, right, bottom = cells_of(self.boxes[frame], height, width)
                    if right > left and bottom > top:
                        bell = window(bottom - top, right - left) * peak
                        lowered = (bell - bell.max()) * apart + bell * (1 - apart)
                        maps[top:bottom, left:right] = lowered
                factor = torch.where(maps != 0, torch.tensor(1.0).half(), torch.tensor(weaken).half())
                edited[..., i, j] = view[..., i, j] * factor[:, :, None] + (maps * strengthen)[:, :, None]
        return edited.view_as(probs)


def compose(latents, subjects, tracks, share):
    """The blend after a step [1,C,F,h,w]: share of the joint latents in every region, later subjects over earlier."""
    blended, width = latents.clone(), latents.shape[-1]
    for own, track in zip(subjects, tracks, strict=True):
        for frame, box in enumerate(track):
            left, top, right, bottom = cells_of(box, width, width)
            left, top = left - (left > 0), top - (top > 0)
            for row in range(top, min(bottom, latents.shape[-2])):
                for column in range(left, min(right, width)):
                    at = (..., frame, row, column)
                    blended[at] = share * latents[at] + (1 - share) * own[at]
    return blended


def keyframes(keys):
    """Values of every frame from {frame: value}; a segment's weights are spelled out."""
    frames, values = sorted(keys), []
    for k in range(len(frames) - 1):
        start = frames[k] if k == 0 else frames[k] + 1
        count = frames[k + 1] - start + 1
        values += [
            (1 - q / (count - 1)) * keys[frames[k]] + (q / (count - 1)) * keys[frames[k + 1]] for q in range(count)
        ]
    return values
