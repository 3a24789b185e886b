"""Who may attend to whom: the mask rules as pure functions of boolean masks, and as a table of groups for one clip.

Source: the released Peekaboo (Jain et al. 2024, arXiv 2312.07509; commit 0aa5a86), rules R1 to R4, and section 2.1 of
the Test-Time Domain Adaptation paper for the "paper" scope. For one subject the rules for several reduce to theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from ivgbench.generator.edits.masked import Rule


def self_allowed(masks: torch.Tensor) -> torch.Tensor:
    """R1, cells [K,N] -> bool [N,N]: two cells see each other if a subject covers both, or none covers either.

    With one subject this is M_self = m m^T + (1-m)(1-m)^T. With several, cells with the same signature (the set of
    boxes they lie in) are interchangeable, and a signature sees those it shares a subject with.
    """
    shared = (masks[:, :, None] & masks[:, None, :]).any(0)
    background = ~masks.any(0)
    return shared | (background[:, None] & background[None, :])


def cross_allowed(masks: torch.Tensor, words: torch.Tensor, bos: bool | None, own_words: bool) -> torch.Tensor:
    """R2, cells [K,N] and words [K,L] -> bool [N,L]: subjects see their words, the background sees the rest.

    With one subject this is M_cross = m y^T + (1-m)(1-y)^T.

    Args:
        words: which tokens are each subject's, without BOS.
        bos: whether the background may see token 0 (the paper's formula); the released code forbids it to everybody.
            None: it is a word as any other.
        own_words: a subject's cells see its own words only; else all subjects' words, as in the released code.
    """
    covered = masks.any(0)
    own = (masks[:, :, None] & words[:, None, :]).any(0)
    seen = own if own_words else covered[:, None] & words.any(0)[None, :]
    others = ~words.any(0)
    if bos is not None:
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


def word_tokens(prompt_ids: Sequence[int], phrase_ids: Sequence[int] | None, start: int = 1) -> torch.Tensor:
    """Which tokens of a prompt are a phrase's: bool [L], by token id, so every occurrence counts; never the `start`
    tokens before the words.

    Args:
        phrase_ids: ids of the phrase alone with BOS and EOS around it; None for a subject without words.
    """
    wanted = set() if phrase_ids is None else set(phrase_ids[:-1])
    words = torch.tensor([token in wanted for token in prompt_ids])
    words[:start] = False
    return words


def placed_tokens(length: int, places: Sequence[range]) -> torch.Tensor:
    """The same as bool [length] from the places where the phrase stands, by position. What is cut is not there."""
    words = torch.zeros(length, dtype=torch.bool)
    for place in places:
        if place.stop < length:  # the last position is the end of the text
            words[place.start : place.stop] = True
    return words


def signatures(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells grouped by the subjects that cover them: (group of each cell [...], who covers a group [K,G]).

    Args:
        masks: bool [K,...]. The rules do not tell cells of one group apart.
    """
    flat = masks.flatten(1)
    labels = torch.zeros(flat.shape[1:], dtype=torch.long)
    for mask in flat:  # numbers sort a hundred times as fast as columns
        labels = torch.unique(labels * 2 + mask, return_inverse=True)[1]
    covered = torch.zeros(len(flat), int(labels.max()) + 1, dtype=torch.bool)
    covered[:, labels] = flat
    return labels.view(masks.shape[1:]), covered


def self_rule(masks: torch.Tensor) -> Rule:
    """R1 for cells [K,F,h,w]."""
    labels, covered = signatures(masks)
    return Rule(labels, sees=self_allowed(covered))


def text_rule(masks: torch.Tensor, words: torch.Tensor | None, bos: bool | None, own_words: bool) -> Rule:
    """R2 for cells [K,F,h,w] and words [K,L]; R2' without words: subjects' cells get no text."""
    labels, covered = signatures(masks)
    if words is None:
        return Rule(labels, updated=~covered.any(0))
    # Token 0 is a group of its own: the rule knows it by its place.
    groups, said = signatures(words[:, 1:])
    said = torch.cat([words[:, :1], said], dim=1)
    groups = torch.cat([groups.new_zeros(1), groups + 1])
    return Rule(labels, keys=groups, sees=cross_allowed(covered, said, bos, own_words))


def joint_rule(masks: torch.Tensor, words: torch.Tensor, own_words: bool, parts: Collection[str]) -> Rule:
    """R1 and R2 where text and cells are one sequence, for cells [K,F,h,w] and words [K,L].

    Cells see cells as by R1 and text as by R2; a word sees the cells that see it; text sees all text. No release masks
    such an attention: this is ours.

    Args:
        own_words: as in `cross_allowed`. parts: of "self" (R1) and "cross" (R2) what is on; the rest is free.
    """
    labels, covered = signatures(masks)
    groups, said = signatures(words)
    cells = self_allowed(covered)
    cross = cross_allowed(covered, said, None, own_words)
    cells, cross = (
        table if part in parts else torch.ones_like(table) for part, table in (("self", cells), ("cross", cross))
    )
    text = torch.ones(said.shape[1], said.shape[1], dtype=torch.bool)
    sees = torch.cat([torch.cat([cells, cross], dim=1), torch.cat([cross.T, text], dim=1)])
    return Rule(labels, keys=groups + len(cells), sees=sees)


def temporal_rule(masks: torch.Tensor) -> Rule:
    """R3 for cells [K,F,h,w], between the frames of each."""
    labels, covered = signatures(masks)
    return Rule(labels, sees=temporal_allowed(covered[:, :, None])[0])


def presence_rule(masks: torch.Tensor) -> Rule:
    """R4: only the frames in which the last subject covers the cell are updated."""
    labels, covered = signatures(masks)
    return Rule(labels, updated=covered[-1])
