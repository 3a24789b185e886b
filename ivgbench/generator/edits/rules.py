"""Who may attend to whom: the mask rules as pure functions of boolean masks, and a cache of their biases per level.

Source: the released Peekaboo (Jain et al. 2024, arXiv 2312.07509; commit 0aa5a86), rules R1 to R4, and section 2.1 of
the Test-Time Domain Adaptation paper for the "paper" scope. For one subject the rules for several reduce to theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ivgbench.generator.backbones.unet3d_attention import FORBIDDEN, Level


def level_masks(masks: torch.Tensor, level: Level) -> torch.Tensor:
    """Masks [...,H,W] at a level's resolution: every stride-th cell from the top left, no average."""
    return masks[..., :: level.stride, :: level.stride][..., : level.height, : level.width]


def self_allowed(masks: torch.Tensor) -> torch.Tensor:
    """R1, cells [K,N] -> bool [N,N]: two cells see each other if a subject covers both, or none covers either.

    With one subject this is M_self = m m^T + (1-m)(1-m)^T. With several, cells with the same signature (the set of
    boxes they lie in) are interchangeable, and a signature sees those it shares a subject with.
    """
    shared = (masks[:, :, None] & masks[:, None, :]).any(0)
    background = ~masks.any(0)
    return shared | (background[:, None] & background[None, :])


def cross_allowed(masks: torch.Tensor, words: torch.Tensor, bos: bool, own_words: bool) -> torch.Tensor:
    """R2, cells [K,N] and words [K,L] -> bool [N,L]: subjects see their words, the background sees the rest.

    With one subject this is M_cross = m y^T + (1-m)(1-y)^T.

    Args:
        words: which tokens are each subject's, without BOS.
        bos: whether the background may see token 0 (the paper's formula); the released code forbids it to everybody.
        own_words: a subject's cells see its own words only; else all subjects' words, as in the released code.
    """
    covered = masks.any(0)
    own = (masks[:, :, None] & words[:, None, :]).any(0)
    seen = own if own_words else covered[:, None] & words.any(0)[None, :]
    others = ~words.any(0)
    others[0] = bos
    return seen | (~covered[:, None] & others[None, :])


def temporal_allowed(masks: torch.Tensor) -> torch.Tensor:
    """R3, frames of cells [K,F,N] -> bool [N,F,F]: a subject is absent from both frames, or all are in both.

    With one subject: the same class at both times. The rule for several is the released code's, kept as it is: it
    cuts almost nothing for disjoint subjects.
    """
    over_time = masks.transpose(1, 2)
    absent = (~over_time[:, :, :, None] & ~over_time[:, :, None, :]).any(0)
    present = over_time.all(0)
    return absent | (present[:, :, None] & present[:, None, :])


def word_tokens(prompt_ids: Sequence[int], phrase_ids: Sequence[int] | None) -> torch.Tensor:
    """Which tokens of a prompt are a phrase's: bool [L], by token id, so every occurrence counts; never BOS.

    Args:
        phrase_ids: ids of the phrase alone with BOS and EOS around it; None for a subject without words.
    """
    wanted = set() if phrase_ids is None else set(phrase_ids[:-1])
    words = torch.tensor([token in wanted for token in prompt_ids])
    words[0] = False
    return words


def placed_tokens(length: int, places: Sequence[range]) -> torch.Tensor:
    """The same as bool [length] from the places where the phrase stands, by position. What is cut is not there."""
    words = torch.zeros(length, dtype=torch.bool)
    for place in places:
        if place.stop < length:  # the last position is the end of the text
            words[place.start : place.stop] = True
    return words


@dataclass(frozen=True, eq=False)
class ClipMasks:
    """One clip's part: masks bool [K,F,H,W] on latent cells, words bool [K,L]; no words at all: `wordless`."""

    masks: torch.Tensor
    words: torch.Tensor
    wordless: bool


class Biases:
    """The rules for a batch of clips as biases of the logits, made once per level and kept for the run.

    Each is for one guidance half, rows (clip, frame) or (clip, cell): the other half has the same. multiply: as factors
    of the logits, 1 or 0, instead of what is added to them.
    """

    def __init__(
        self,
        clips: Sequence[ClipMasks],
        levels: dict[int, Level],
        device: torch.device,
        dtype: torch.dtype,
        bos: bool,
        own_words: bool,
        multiply: bool = False,
    ):
        self.clips, self.levels, self.device, self.dtype = list(clips), levels, device, dtype
        self.bos, self.own_words, self.multiply = bos, own_words, multiply
        self._made: dict[tuple[str, int], torch.Tensor | None] = {}

    def _once(
        self, kind: str, cells: int, make: Callable[[ClipMasks, torch.Tensor], list[torch.Tensor]]
    ) -> torch.Tensor:
        if (kind, cells) not in self._made:
            level = self.levels[cells]
            rows = [row for clip in self.clips for row in make(clip, level_masks(clip.masks, level).flatten(2))]
            self._made[kind, cells] = torch.stack(rows).to(self.device)
        return self._made[kind, cells]

    def _bias(self, allowed: torch.Tensor) -> torch.Tensor:
        if self.multiply:
            return allowed.to(self.dtype)
        # Where a row has every pair forbidden (a subject whose words are not in the prompt), the release shifts all
        # its logits alike, which is ordinary attention. Here without the rounding of the shift: 2^-10 in float32.
        some = allowed.any(-1, keepdim=True)
        return torch.zeros(allowed.shape, dtype=self.dtype).masked_fill_(~allowed & some, FORBIDDEN)

    def spatial_self(self, cells: int) -> torch.Tensor:
        """R1: [NF,hw,hw]."""
        return self._once("R1", cells, lambda _, m: [self._bias(self_allowed(frame)) for frame in m.unbind(1)])

    def spatial_cross(self, cells: int) -> torch.Tensor | None:
        """R2: [NF,hw,L]; None if no clip has words. A clip without words is blanked instead (`cross_keep`)."""
        if all(clip.wordless for clip in self.clips):
            return None

        def rows(clip: ClipMasks, masks: torch.Tensor) -> list[torch.Tensor]:
            if clip.wordless:
                free = torch.full((masks.shape[2], clip.words.shape[1]), float(self.multiply), dtype=self.dtype)
                return [free] * masks.shape[1]
            return [self._bias(cross_allowed(frame, clip.words, self.bos, self.own_words)) for frame in masks.unbind(1)]

        return self._once("R2", cells, rows)

    def cross_keep(self, cells: int) -> torch.Tensor | None:
        """R2': bool [NF,hw], false on subjects' cells of clips without words, which get no text; None if all have."""
        if not any(clip.wordless for clip in self.clips):
            return None
        return self._once("R2'", cells, lambda clip, m: list((~(m.any(0) & clip.wordless)).unbind(0)))

    def temporal_self(self, cells: int) -> torch.Tensor:
        """R3: [N hw,F,F]."""
        return self._once("R3", cells, lambda _, m: list(self._bias(temporal_allowed(m)).unbind(0)))

    def temporal_keep(self, cells: int) -> torch.Tensor:
        """R4: bool [N hw,F], the frames in which the last subject covers the cell."""
        return self._once("R4", cells, lambda _, m: list(m[-1].T.unbind(0)))
