"""Peekaboo (Jain et al. 2024): masked attention in the denoiser's decoder during the first steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ivgbench.errors import UserError
from ivgbench.generator import words
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.edits import rules
from ivgbench.generator.edits.masked import Mask
from ivgbench.generator.methods.base import Clip, Method, Run, Setup, option
from ivgbench.generator.words import Binding, Reader

Scope = Literal["official", "paper"]
Bind = Literal["all-words", "own-words"]
Part = Literal["self", "cross", "temporal", "mid", "bos"]
#: What each scope's masks are made of.
PARTS: dict[str, tuple[str, ...]] = {
    "official": ("self", "cross", "temporal", "mid", "bos"),
    "paper": ("self", "cross"),
}
#: What a layer that attends to cells and text at once is masked for.
PARTS_OF = {"joint": {"self", "cross"}}


@dataclass(frozen=True)
class Masking(Method):
    """What all masked methods share.

    frozen_steps: masks are on in the first so many steps (the release's demo: 2; the paper's Table 1: 4, ours).
    scope: "official", what the released code does: mid and up blocks; self-attention, text attention with BOS
        forbidden to everybody, and both temporal attentions. "paper", what the formulas of the Test-Time Domain
        Adaptation paper say (section 2.1): up blocks, self- and text attention only, BOS belongs to the background.
        Peekaboo's default is the release, because its published numbers are the release's.
    without: parts of the scope that are left out, for ablations: masks in "self"-attention, in text attention
        ("cross"), in "temporal" attention, in the "mid" block, and that "bos" is forbidden to everybody.
    mask: how a mask forbids a pair. "additive": -10000 is added to its logit, as released, and its weight is 0.
        "multiplicative": its logit is multiplied by 0, as softmax((QK^T/sqrt(d)) o M) V says where section 2.1 of the
        Test-Time Domain Adaptation paper is read to the letter; the pair then keeps a weight of exp(0).
    bind: with several subjects, whether a subject's cells see all subjects' words ("all-words", the release) or only
        their own ("own-words").
    words: which tokens are a subject's: "official", those with the ids of the phrase's tokens, anywhere in the prompt
        (the release), or "place", those where the phrase stands; see `words.Binding`.
    """

    frozen_steps: int = option(4, low=0)
    scope: Scope = "official"
    without: tuple[Part, ...] | None = None
    bind: Bind = "all-words"
    mask: Literal["additive", "multiplicative"] = "additive"
    words: Binding = "official"

    def __post_init__(self) -> None:
        if foreign := [part for part in self.without or () if part not in PARTS[self.scope]]:
            has = ", ".join(PARTS[self.scope])
            raise UserError(f"{self.name}: scope {self.scope!r} has no part {foreign[0]!r} to be without; it has {has}")

    def parts(self) -> set[str]:
        """The parts of the masks that are on."""
        return set(PARTS[self.scope]) - set(self.without or ())

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        if self.frozen_steps == 0 or "cross" not in self.parts():
            return
        for phrase in phrases:
            if phrase is not None:
                places = words.check(reader, prompt, suffix, phrase, self.name)
                bound = _tokens(reader, prompt + suffix, phrase, self.words)
                words.check_bound(places, set(bound.nonzero().flatten().tolist()), phrase, self.name)


@dataclass(frozen=True)
class Peekaboo(Masking):
    """Masked attention; the options are those of `Masking`."""

    name: ClassVar[str] = "peekaboo"
    version: ClassVar[int] = 1

    def start(self, setup: Setup) -> Run:
        return MaskedRun(setup, self)


class MaskedRun(Run):
    """The masks of the first steps; `norm_self`, `norm_cross`: those outputs are matched to the unmasked ones."""

    def __init__(self, setup: Setup, config: Masking, norm_self: bool = False, norm_cross: bool = False):
        self._frozen = config.frozen_steps
        self._on: dict[Site, Mask] = {}
        if self._frozen == 0:
            return
        backbone, clips, parts = setup.backbone, setup.clips, config.parts()
        if not all(clip.phrases for clip in clips):
            raise UserError(f"{config.name}: the case has no subject; give a phrase and boxes, or use method 'plain'")
        bands = backbone.masked_bands if "mid" in parts else {"late"}
        made: dict[tuple[str, bool], Mask] = {}
        for site in backbone.sites(setup.shape):
            kind = _kind(site)
            if site.band in bands and parts & PARTS_OF.get(kind, {kind}):
                if (kind, site.second) not in made:
                    made[kind, site.second] = _mask(kind, site.second, setup, config, norm_self, norm_cross)
                self._on[site] = made[kind, site.second]
        if not self._on:  # a mask that touches no layer must not pass for a result
            raise UserError(
                f"{config.name}: the backbone has no layer for scope {config.scope!r}, nothing would be masked; use "
                f"another scope"
            )

    def edits(self, step: int) -> dict[Site, Mask]:
        return self._on if step < self._frozen else {}


def _kind(site: Site) -> str:
    """What a layer is to the masks: one of their parts, or "joint"."""
    return "temporal" if site.over == "cell" else {"text": "cross"}.get(site.reads, site.reads)


def _mask(kind: str, second: bool, setup: Setup, config: Masking, norm_self: bool, norm_cross: bool) -> Mask:
    """The masks of one kind of layer; `second`: of the second attention between frames."""
    cells, multiply = [clip.masks for clip in setup.clips], config.mask == "multiplicative"
    if kind == "self":
        return Mask([rules.self_rule(one) for one in cells], multiply, norm_self)
    if kind == "temporal":
        return Mask([(rules.presence_rule if second else rules.temporal_rule)(one) for one in cells], multiply)
    own_words = config.bind == "own-words"
    bos = "bos" not in config.parts() if setup.backbone.start else None
    words = [_words(setup.backbone, clip, config.words) for clip in setup.clips]
    if kind == "joint":
        pairs = zip(cells, words, strict=True)
        found = [rules.joint_rule(one, said, own_words, config.parts()) for one, (said, _) in pairs]
        return Mask(found, multiply, norm_self)
    found = [
        rules.text_rule(one, None if wordless else said, bos, own_words)
        for one, (said, wordless) in zip(cells, words, strict=True)
    ]
    return Mask(found, multiply, norm_cross)


def _words(backbone: Backbone, clip: Clip, binding: Binding = "official") -> tuple[torch.Tensor, bool]:
    """The clip's words bool [K,L], and whether no subject has a phrase. A phrase not in the prompt has no tokens."""
    rows = [_tokens(backbone, clip.prompt + clip.suffix, phrase, binding) for phrase in clip.phrases]
    return torch.stack(rows), all(phrase is None for phrase in clip.phrases)


def _tokens(reader: Backbone | Reader, text: str, phrase: str | None, binding: Binding) -> torch.Tensor:
    """Which tokens of a text are a phrase's: bool [L]."""
    ids = reader.token_ids(text)
    if phrase is not None and binding == "place":
        return rules.placed_tokens(len(ids), reader.places(text, phrase))
    return rules.word_tokens(ids, None if phrase is None else reader.phrase_ids(phrase), reader.start)
