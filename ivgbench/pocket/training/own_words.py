"""A text encoder whose words mean themselves: the pocket lab's, after it was trained along with the denoiser.

A text encoder that is trained along learns to sum the caption up in its last tokens: in this one the states of "on a
grey background" varied more with the subject before them than with their own colour (`leak`). Then a method that keeps
the subject's words out of a region does not keep the subject out, and one that strengthens them strengthens little. In
real models the maps of words show where the things are that they name (DAAM, arXiv 2210.04885).

So the encoder learns, before it is frozen, to give each part of a sentence one state, whatever stands before it and
wherever it stands: subjects the one that they have in the first place, where nothing comes before them, other parts the
mean of theirs. Within a part words still know of each other: the colour goes with its shape.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import CLIPTextModel, CLIPTokenizer

from ivgbench import world

STEPS, BATCH, RATE = 1500, 64, 2e-3
#: The last token of a first subject: what stands up to there has seen nothing but itself.
FIRST_SUBJECT = 3


def clauses(prompts: list[str]) -> list[list[tuple[str, int, int]]]:
    """Per sentence of the world its parts: (what decides the meaning there, first token, behind the last token).

    BOS is token 0, and every word one token. Words that only connect ("and", "on") are parts of their own.
    """
    found = []
    for prompt in prompts:
        pairs, background = world.parse_caption(prompt)
        parts, place = [], 1
        for number, (colour, shape) in enumerate(pairs):
            if number:
                parts.append(("and", place, place + 1))
                place += 1
            # An adjective cannot know the noun that follows it: the encoder reads from left to right.
            parts += [("article", place, place + 1), (colour, place + 1, place + 2)]
            parts.append((f"{colour} {shape}", place + 2, place + 3))
            place += 3
        parts += [("on", place, place + 2), (background, place + 2, place + 4)]
        found.append(parts)
    return found


def meanings(states: torch.Tensor, prompts: list[str]) -> dict[str, torch.Tensor]:
    """Part -> its one state [words of it,L], from the states [N,L,C] of sentences with two subjects.

    There the background is told most clearly. A mean is as long as what it was taken of.
    """
    places: dict[str, list[tuple[int, int, int]]] = {}
    for row, parts in enumerate(clauses(prompts)):
        for meaning, first, behind in parts:
            places.setdefault(meaning, []).append((row, first, behind))
    found = {}
    for meaning, where in places.items():
        earliest = min(first for _, first, _ in where)
        if earliest <= FIRST_SUBJECT:  # a subject's word, or its article
            where = [one for one in where if one[1] == earliest]
        here = torch.stack([states[row, first:behind] for row, first, behind in where])
        mean = here.mean(0)
        found[meaning] = mean * here.norm(dim=-1, keepdim=True).mean(0) / mean.norm(dim=-1, keepdim=True)
    return found


def wanted(prompts: list[str], known: dict[str, torch.Tensor]) -> torch.Tensor:
    """The states of sentences of one length, from after BOS to the last word: [N,words,C]."""
    return torch.stack([torch.cat([known[meaning] for meaning, _, _ in parts]) for parts in clauses(prompts)])


def leak(states: torch.Tensor, prompts: list[str]) -> float:
    """How much the states of the background's words vary with the subjects before them, as a multiple of how much they
    vary with the background itself. Prompts of one length in words."""
    backgrounds, firsts, behinds = zip(*(parts[-1] for parts in clauses(prompts)), strict=True)
    first, behind = firsts[0], behinds[0]
    here, own = states[:, first:behind], torch.empty_like(states[:, first:behind])
    for background in set(backgrounds):
        rows = [row for row, one in enumerate(backgrounds) if one == background]
        own[rows] = here[rows].mean(0)
    return float((here - own).square().mean() / (own - own.mean(0)).square().mean())


def all_prompts() -> tuple[list[str], list[str]]:
    """Every sentence of the world with one subject, and every one with two."""
    phrases = [f"{colour} {shape}" for colour in world.COLOURS for shape in world.SHAPES]
    twos = [
        world.caption([one, other], background)
        for one in phrases for other in phrases if one != other for background in world.BACKGROUNDS
    ]  # fmt: skip
    return world.all_captions(), twos


def train(encoder: CLIPTextModel, tokenizer: CLIPTokenizer, steps: int | None = None, seed: int = 0) -> None:
    """Trains the encoder in place until its words mean themselves. One whose words do is left as it is, nearly."""

    def states(prompts: list[str]) -> torch.Tensor:
        ids = tokenizer(prompts, padding="max_length", max_length=16, return_tensors="pt").input_ids
        return encoder(ids.to(encoder.device)).last_hidden_state

    encoder.requires_grad_(True)
    steps = STEPS if steps is None else steps
    ones, twos = all_prompts()
    with torch.no_grad():
        before = torch.cat([states(twos[i : i + 1000]) for i in range(0, len(twos), 1000)])
        print(f"words: the background's vary {leak(states(ones), ones):.2g} times as much with the subject", flush=True)
    known = meanings(before, twos)
    asked = [(prompts, wanted(prompts, known)) for prompts in (ones, twos)]
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps + 1)
    for step in range(steps):
        loss = torch.zeros(())
        for share, (prompts, goal) in zip((1, 3), asked, strict=True):
            rows = rng.integers(len(prompts), size=share * BATCH)
            seen = states([prompts[row] for row in rows])[:, 1 : 1 + goal.shape[1]]
            loss = loss + (seen - goal[torch.from_numpy(rows)]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            print(f"words: step {step + 1}/{steps} loss {loss.item():.2e}", flush=True)
