"""Text states whose padding is empty: what the pocket lab's denoiser is trained on and given.

Every padded position of a CLIP text encoder has attended to the whole prompt. A denoiser that was trained along with
its text encoder may learn to read the prompt there; one with a frozen text encoder ignores it ("Padding Tone",
Toker et al. 2025, arXiv 2501.06751). Zero states make the pocket lab one of the second kind: cross-attention's maps to
keys and values have no bias, so padding takes attention (its logit is 0) and gives nothing.
"""

from __future__ import annotations

import torch


def emptied_after_end(states: torch.Tensor, ids: torch.Tensor, end: int) -> torch.Tensor:
    """States [N,L,C] with zeros after each row's first end token; that token's own state stays.

    Args:
        ids: token ids [N,L] that the states belong to.
        end: the id of the end token. A row without one (a prompt cut to length) stays as it is.
    """
    ends = (ids == end).long()
    after = (ends.cumsum(1) - ends) > 0
    return states.masked_fill(after[..., None], 0.0)
