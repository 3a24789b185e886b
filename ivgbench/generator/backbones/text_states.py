"""Text states of words alone: what the pocket lab's denoiser is trained on and given.

The end token of a CLIP text encoder, and the padding behind it, have attended to the whole prompt. A denoiser that was
trained along with its text encoder may learn to read the prompt there; one with a frozen text encoder ignores it
("Padding Tone", Toker et al. 2025, arXiv 2501.06751). Zero states make the pocket lab one of the second kind:
cross-attention's maps to keys and values have no bias, so such a token takes attention (its logit is 0) and gives
nothing, as BOS does in Stable Diffusion.
"""

from __future__ import annotations

import torch


def emptied_after_words(states: torch.Tensor, ids: torch.Tensor, end: int, keep_end: bool = False) -> torch.Tensor:
    """States [N,L,C] with zeros from each row's first end token on.

    Args:
        ids: token ids [N,L] that the states belong to.
        end: the id of the end token. A row without one (a prompt cut to length) stays as it is.
        keep_end: the first end token's own state stays.
    """
    ends = (ids == end).long()
    after = (ends.cumsum(1) - ends * keep_end) > 0
    return states.masked_fill(after[..., None], 0.0)
