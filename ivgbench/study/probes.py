"""Probes of a pocket model: what is known of real models and stands in no table, measured on a clip without control.

One clip is made as any run makes it, and watched: where its words look, what takes their attention, and how early its
layout is set. A second clip has the same noise and words, but another caption's states after its end token.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from ivgbench import boxes
from ivgbench.engines.base import Failure
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.methods.trailblazer import phrase_positions
from ivgbench.generator.sampler import generate
from ivgbench.runs.identity import Job
from ivgbench.runs.progress import progress
from ivgbench.store.runs import Store
from ivgbench.study import drawn
from ivgbench.study.watching import watching

#: Where probes are cached; the number is raised when they mean something else.
KIND = "probes-1"
#: The layout is looked at after this share of the steps: 4 of the pocket's 20, the length of the methods' edits.
EARLY = 5
#: A state that a caption changes by less than this share of its largest state is the same for all captions.
SAME = 1e-3


class Prober:
    """What a probing worker holds: the store, and the backbone of the jobs."""

    def __init__(self, store: Store, lab: Any, source: tuple[str, str, str]):
        lab.start_worker()
        self.store, self.backbone = store, lab.backbone(*source)

    def look(self, item: tuple[Job, str]) -> None:
        """Probes a plain job's clip and caches what was found. The text: the caption that lends its padding."""
        job, other = item
        self.store.save_arrays(KIND, key(job, other), probe(self.backbone, job, other))


def key(job: Job, other: str) -> str:
    """Under what the probes of a job are cached: its id stands for weights, case, seed and settings."""
    return f"{job.id}-{digest(other)[:12]}"


def measure(store: Store, lab: Any, engine: Any, items: Sequence[tuple[Job, str]]) -> list[dict[str, np.ndarray]]:
    """The probes of plain jobs, each with the caption that lends its padding; what is cached is not measured again.

    Raises:
        UserError: a probe failed, with its reason. What was measured before is kept.
    """
    missing = [item for item in items if store.arrays(KIND, key(*item)) is None]
    with progress("probe", len(items), len(items) - len(missing)) as advance:
        sources = {(job.source, job.sampling.dtype, job.lora_file) for job, _ in missing}
        start = partial(Prober, store, lab, *sources)
        for index, outcome in engine.run(start, Prober.look, missing):
            if isinstance(outcome, Failure):
                raise UserError(f"probe of {missing[index][0].describe()}: {outcome.reason}")
            advance()
    return [store.kept_arrays(KIND, key(*item)) for item in items]


def partner(prompt: str, prompts: Sequence[str], length: Any) -> str:
    """The caption whose padding is lent to `prompt`: the next in the list that shares no word of three and is as long.

    length: prompt -> its number of tokens.
    """
    at = prompts.index(prompt)
    own = drawn.words(prompt)
    for other in (*prompts[at + 1 :], *prompts[:at]):
        if not any(a == b for a, b in zip(own, drawn.words(other), strict=True)) and length(other) == length(prompt):
            return other
    raise UserError(f"no caption of the suite shares neither background, colour nor shape with {prompt!r}")


def probe(backbone: Backbone, job: Job, other: str) -> dict[str, np.ndarray]:
    """What is found on one plain job.

    map_ap, map_chance: average precision of the subject's words' maps against the drawn sprite, and the sprite's share
    of the picture: mean over frames; NaN where no sprite is drawn. sink: shares of text attention on BOS (NaN where
    there is none) and on all tokens without content [2]. early: IoU of the box in the clean estimate after a fifth of
    the steps with the final box, mean over frames that have one. right: share of frames with the caption's background,
    colour and shape, of the clip and of the one with lent padding [2,3].
    """
    case, caption, sampling = job.case, drawn.words(job.case.prompt), job.sampling
    made = partial(generate, backbone, case, "plain", seed=job.seed, **sampling.arguments())
    tokens = sorted(phrase_positions(backbone, case.prompt, case.subjects[0].phrase))
    cells = (backbone.latent_height, backbone.latent_width)
    with watching(backbone, tokens, sampling.guidance_scale, max(sampling.steps // EARLY, 1), cells) as seen:
        video = made().pixels
    masks, found = drawn.sprite(video, caption)
    _, early = drawn.sprite(backbone.decode(seen.early), caption)
    there = np.isfinite(found).all(1)
    maps = seen.maps.numpy()
    own, lent, empty = backbone.encode_prompt(
        [case.prompt + sampling.prompt_suffix, other + sampling.prompt_suffix, ""]
    )
    end = len(backbone.phrase_ids(case.prompt + sampling.prompt_suffix)) - 1
    context = torch.stack([backbone.encode_prompt([sampling.negative_prompt])[0], with_padding(own, lent, end)])
    swapped = made(prompt_embeds=context).pixels
    mass, free = seen.mass.numpy(), content_free(own, empty).numpy()
    return {
        "map_ap": _mean(np.array([drawn.average_precision(*pair) for pair in zip(maps, masks, strict=True)])[there]),
        "map_chance": _mean(masks.mean((1, 2))[there]),
        "sink": np.array([mass[0] if backbone.start else np.nan, mass[free].sum()]),
        "early": _mean(np.nan_to_num(boxes.iou(early, found))[there]),
        "right": np.stack([drawn.share_right(one, caption) for one in (video, swapped)]),
    }


def with_padding(states: torch.Tensor, lent: torch.Tensor, end: int) -> torch.Tensor:
    """States [L,C] up to the end token, which is at position `end`, and another caption's after it."""
    return torch.cat([states[: end + 1], lent[end + 1 :]])


def content_free(states: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
    """Which states [L,C] a caption has in common with the empty prompt, bool [L]: they say nothing of it.

    BOS always, under causal attention; padding where its states are no longer the encoder's own.
    """
    return (states - empty).norm(dim=-1) <= SAME * states.norm(dim=-1).max()


def _mean(values: np.ndarray) -> np.ndarray:
    return np.array(values.mean() if len(values) else np.nan)
