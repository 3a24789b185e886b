"""A second Peekaboo, for tests only: the released rules cell by cell with sets, sharing no code with ivgbench."""

from functools import cache, partial
from math import isqrt

import numpy as np
import torch
from reference import attention


class Peekaboo:
    """Functions for `reference.trajectory(layers=...)`.

    masks: bool [K,F,H,W]; prompt_ids: of the padded prompt; phrases: ids of each subject's phrase with BOS and EOS, or
    None; scope and bind as in ivgbench.
    """

    def __init__(self, unet, masks, prompt_ids, phrases, frozen_steps, scope="official", bind="all-words"):
        self.masks, self.frozen, self.scope, self.bind = np.asarray(masks) != 0, frozen_steps, scope, bind
        self.tokens, self.wordless = len(prompt_ids), all(ids is None for ids in phrases)
        found = [set() if ids is None else set(ids[:-1]) for ids in phrases]
        self.words = [{j for j, token in enumerate(prompt_ids) if token in ids} for ids in found]
        self.layers_on = {name: self.function(unet, name) for name in unet.attn_processors if self.masked(name)}
        # An instance's cache: levels and rules repeat over layers, halves and steps.
        self.bias = cache(self.bias)

    def layers(self, step):
        return self.layers_on if step < self.frozen else {}

    def masked(self, name):
        if self.scope == "paper":
            return name.startswith("up_blocks") and ".attentions." in name
        return name.startswith(("mid_block", "up_blocks"))

    def function(self, unet, name):
        blank = unet.get_submodule(name.removesuffix(".attn2.processor")).norm2.bias if "attn2" in name else None
        temporal, first = ".temp_attentions." in name, "attn1" in name
        if temporal:
            return partial(self.under, "R3") if first else partial(self.blanked, blank, True)
        if first:
            return partial(self.under, "R1")
        return partial(self.blanked, blank, False) if self.wordless else partial(self.under, "R2")

    def covers(self, cells):
        """[frame][cell] -> set of the subjects that cover it, on the map of so many cells."""
        subjects, frames, height, width = self.masks.shape
        stride = isqrt(height * width // cells)
        level = self.masks[:, :, ::stride, ::stride].reshape(subjects, frames, -1)
        return [[{k for k in range(subjects) if level[k, f, p]} for p in range(cells)] for f in range(frames)]

    def under(self, rule, attn, hidden, text):
        cells = len(hidden) // 2 if rule == "R3" else hidden.shape[1]
        bias = self.bias(rule, cells).to(hidden)
        return attention(attn, hidden, text, torch.cat([bias, bias]))

    def bias(self, rule, cells):
        over_time = self.covers(cells)
        if rule == "R3":
            over_frames = [[over_time[f][p] for f in range(len(over_time))] for p in range(cells)]
            allowed = [[[self.same_time(a, b) for b in row] for a in row] for row in over_frames]
        elif rule == "R1":
            allowed = [[[bool(a & b) or not (a or b) for b in row] for a in row] for row in over_time]
        else:
            allowed = [[[self.reads(a, j) for j in range(self.tokens)] for a in row] for row in over_time]
        return torch.where(torch.tensor(allowed), 0.0, -10000.0)

    def same_time(self, a, b):
        subjects = set(range(len(self.masks)))
        return bool((subjects - a) & (subjects - b)) or (a == subjects and b == subjects)

    def reads(self, covering, token):
        """Whether a cell under these subjects reads a token."""
        if token == 0:
            return self.scope == "paper" and not covering
        everyone = token in set().union(*self.words)
        if not covering:
            return not everyone
        return token in set().union(*(self.words[k] for k in covering)) if self.bind == "own-words" else everyone

    def blanked(self, blank, temporal, attn, hidden, text):
        """R4: frames without the last subject. R2': cells under any subject. They enter blank and get no update."""
        cells = len(hidden) // 2 if temporal else hidden.shape[1]
        over_time, last = self.covers(cells), len(self.masks) - 1
        if temporal:
            kept = [[last in over_time[f][p] for f in range(len(over_time))] for p in range(cells)]
        else:
            kept = [[not covering for covering in row] for row in over_time]
        kept = torch.tensor(kept * 2)[:, :, None]
        return attention(attn, torch.where(kept, hidden, blank), text) * kept
