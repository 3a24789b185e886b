"""Direct-a-Video, its control of objects (Yang et al., SIGGRAPH 2024, arXiv 2402.03162): words amplified in their boxes
and hidden outside, in the text attention of the conditional half. Its camera needs trained weights and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ivgbench.errors import UserError
from ivgbench.generator import spans
from ivgbench.generator.backbones.sites import Offer
from ivgbench.generator.edits import amplified
from ivgbench.generator.edits.biased import Bias
from ivgbench.generator.methods.base import Clip, Method, Run, Setup, option
from ivgbench.generator.words import Binding, Reader
from ivgbench.phrases import occurrences, spelling

#: What the release adds to the prompt where no word is marked for the background, and which of it is the background's.
#: It adds them for its masks alone: what is encoded does not have them.
USUAL_SUFFIX, USUAL_BACKGROUND = ", in a beautiful place", "beautiful place"


@dataclass(frozen=True)
class DirectAVideo(Method):
    """Words amplified and hidden by boxes. Defaults are the release's, but for its faults.

    amplify: what a subject's words gain inside its box, times `amplified.evenness` (the release's attn_lambda); 0
        hides them outside all the same.
    tau: they gain it while 1 - step/steps is at least this; they are hidden outside in every step.
    background: words of the prompt, or of its suffix, that are amplified where no subject is, and hidden where one is.
        None: there are none.
    others: "hidden": words that are nobody's are hidden from every cell in every step, as released; "open": they are
        left alone, as the paper has it.
    prompt: "clean": what is encoded is the prompt, whose tokens the masks are for. "marked", as released: a star stands
        behind the subjects' and the background's words there, or brackets around several, and each is a token more, so
        that the masks hit other tokens than those that they are for; and without `background` the release's usual words
        for it are in the masks' prompt, and not in what is encoded.
    words: which tokens are a subject's: "place", where its phrase stands, of equal phrases the k-th where it stands
        for the k-th time; "official", the first where the same tokens stand in a row, of equal phrases too (the last
        one's box counts).
    """

    name: ClassVar[str] = "direct-a-video"
    version: ClassVar[int] = 1

    amplify: float = option(25.0, low=0)
    tau: float = option(0.95, low=0, high=1)
    background: str | None = None
    others: Literal["hidden", "open"] = "hidden"
    prompt: Literal["clean", "marked"] = "clean"
    words: Binding = "place"

    def needs(self) -> frozenset[Offer]:
        return frozenset({"frames"})

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        if phrases:
            self.spans(reader, prompt, suffix, phrases)

    def text(self, clip: Clip) -> str:
        text = clip.prompt + clip.suffix
        if self.prompt == "clean":
            return text
        every = [*clip.phrases, *([self.background] if self.background else [])]
        places = {_place(text, every, index) for index in range(len(every))}
        # From the end: what is put in moves what comes after it.
        for first, stop in sorted(places, reverse=True):
            own = text[first:stop]
            text = text[:first] + (f"{own}*" if re.fullmatch(r"\w+", own) else f"({own})") + text[stop:]
        return text

    def spans(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> list[range]:
        """Token positions of the subjects, and of the background if it has words; see `spans.of_phrases`."""
        suffix, background = self.for_masks(suffix)
        search = spans.first_in_a_row if self.words == "official" else None
        every = [*phrases, *([background] if background else [])]
        return spans.of_phrases(reader, prompt, suffix, every, self.name, search)

    def for_masks(self, suffix: str) -> tuple[str, str | None]:
        """The suffix of the prompt that the masks are for, and the background's words in it."""
        if self.prompt == "marked" and not self.background:
            return suffix + USUAL_SUFFIX, USUAL_BACKGROUND
        return suffix, self.background

    def start(self, setup: Setup) -> Run:
        return DirectAVideoRun(setup, self)


class DirectAVideoRun(Run):
    """The two edits: amplified and hidden in the first steps, hidden alone in the others."""

    def __init__(self, setup: Setup, config: DirectAVideo):
        if not all(clip.phrases for clip in setup.clips):
            raise UserError(f"{config.name}: the case has no subject; give a phrase and boxes, or use method 'plain'")
        self._sites = [one for one in setup.backbone.sites(setup.shape) if one.reads == "text" and one.over == "frame"]
        coarsest, (height, width) = max(site.stride for site in self._sites), setup.shape[1:]
        if height % coarsest or width % coarsest:
            raise UserError(
                f"{config.name}: the frame has {height} x {width} latents, and the coarsest map takes {coarsest} x "
                f"{coarsest} for a cell; use a frame of whole cells"
            )
        reader, words = setup.backbone.reader, []
        for clip in setup.clips:
            text = clip.prompt + config.for_masks(clip.suffix)[0]
            end = min(len(reader.phrase_ids(text)), reader.length) - 1
            own = config.spans(reader, clip.prompt, clip.suffix, clip.phrases)
            words.append(amplified.Words(own, reader.length, end, config.others == "hidden"))
        grids = {site.grid: site.stride for site in self._sites}
        self._amplified, self._hidden = (
            Bias({
                grid: torch.cat([
                    amplified.logits(clip.boxes, said, grid, stride, amplify)
                    for clip, said in zip(setup.clips, words, strict=True)
                ])
                for grid, stride in grids.items()
            })
            for amplify in (config.amplify, 0.0)
        )  # fmt: skip
        # In doubles and in this order, as released: 1 - 2/40 is 0.95, and counts.
        self._first = [1 - step / setup.steps >= config.tau for step in range(setup.steps)]

    def edits(self, step: int) -> dict:
        return dict.fromkeys(self._sites, self._amplified if self._first[step] else self._hidden)


def _place(text: str, phrases: Sequence[str | None], index: int) -> tuple[int, int]:
    """First and last character of a phrase's place: of equal ones the next, while there is one."""
    phrase = phrases[index]
    if phrase is None:
        raise ValueError(f"subject {index} has no phrase")
    before = sum(other is not None and spelling(phrase) == spelling(other) for other in phrases[:index])
    found = occurrences(text, phrase)
    return found[min(before, len(found) - 1)]
