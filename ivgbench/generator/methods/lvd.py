"""LVD's control of boxes (LLM-grounded Video Diffusion, Lian et al., ICLR 2024, arXiv 2309.17444): gradient steps on
the latents until the subjects' words are attended to in their boxes. The language model that draws boxes is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ivgbench.errors import UserError
from ivgbench.generator import spans
from ivgbench.generator.backbones.sites import Offer, Site
from ivgbench.generator.edits import energy
from ivgbench.generator.edits.watched import Watch
from ivgbench.generator.levels import Schedule
from ivgbench.generator.methods.base import Method, Network, Run, Setup, option
from ivgbench.generator.words import Binding, Reader

Layer = tuple[Literal["down", "mid", "up"], int, int]
#: The release's layers: half of the latents' size, a quarter, and back.
OFFICIAL: tuple[Layer, ...] = (("down", 1, 0), ("down", 2, 0), ("down", 2, 1), ("up", 1, 0), ("up", 1, 1), ("up", 2, 2))
#: What the loss is taken for before the first: divided by loss_scale.
UNKNOWN = 10000.0


@dataclass(frozen=True)
class LVD(Method):
    """Backward guidance on text attention. Defaults are those of the release's code.

    loss_scale: of the loss, before its gradient is taken: the size of a step.
    loss_threshold: guidance goes on while the last loss was above it; once below, no later step is guided. The loss is
        a sum over frames and heads: of another backbone, or length, it has another size.
    threshold_fraction: if given, the threshold instead, as a fraction of fg_weight x frames x mean number of heads,
        the most that a loss without bg_weight can be. The release's thresholds are 0.75 to 0.94 of it.
    max_iter: gradient steps before a sampler step, at most; a list has a number for each guided step.
    max_index_step: the first so many sampler steps are guided.
    fg_top_p, bg_top_p, fg_weight, bg_weight, com_loss_scale: of the loss; see `energy.Weights`.
    maps: the layers whose maps are looked at: "official", the release's six; "half-and-quarter", all at half and at a
        quarter of the latents' size but the middle block's, for networks that have not these six; or a list of
        [place, block, attention], such as ["down", 1, 0].
    words: which tokens are a subject's: "place", where its phrase stands, of equal phrases the k-th where it stands
        for the k-th time; "official", as the release searches: the first place, which may be inside of a longer word,
        and is then one token too far.

    Costs half an evaluation and one backward pass for each gradient step.
    """

    name: ClassVar[str] = "lvd"
    version: ClassVar[int] = 1
    # Values are ranked, and the threshold is a clip's own.
    batches: ClassVar[bool] = False

    loss_scale: float = option(5.0, low=0)
    loss_threshold: float = option(200.0, low=0)
    threshold_fraction: float | None = option(None, low=0)
    max_iter: int | tuple[int, ...] = option(5, low=0)
    max_index_step: int = option(10, low=0)
    fg_top_p: float = option(0.75, low=0, high=1)
    bg_top_p: float = option(0.75, low=0, high=1)
    fg_weight: float = option(1.0, low=0)
    bg_weight: float = option(4.0, low=0)
    com_loss_scale: float = option(0.0, low=0)
    maps: Literal["official", "half-and-quarter"] | tuple[Layer, ...] = option("official", low=0)
    words: Binding = "place"

    def __post_init__(self) -> None:
        for name in ("loss_scale", "fg_top_p", "bg_top_p"):
            if getattr(self, name) == 0:
                raise UserError(f"{self.name}: {name} must be above 0")
        if isinstance(self.max_iter, tuple) and len(self.max_iter) < self.max_index_step:
            raise UserError(
                f"{self.name}: max_iter has {len(self.max_iter)} numbers for the {self.max_index_step} steps of "
                f"max_index_step; give one for each"
            )
        if self.maps == ():
            raise UserError(f"{self.name}: maps names no layer; give at least one")
        if self.threshold_fraction is None:
            self.check_threshold(self.loss_threshold)

    def check_threshold(self, threshold: float) -> None:
        """Refuses one that the loss is below before there is any."""
        if self.loss_scale * threshold >= UNKNOWN:
            raise UserError(
                f"{self.name}: loss_scale {self.loss_scale:g} times the threshold {threshold:g} is {UNKNOWN:g} or "
                f"more, with which the release guides no step; use a smaller one, or method 'plain'"
            )

    def iterations(self, step: int) -> int:
        """Gradient steps before a sampler step, at most."""
        if step >= self.max_index_step:
            return 0
        return self.max_iter[step] if isinstance(self.max_iter, tuple) else self.max_iter

    @property
    def acts(self) -> bool:
        """Whether any step is guided at all."""
        most = self.max_iter if isinstance(self.max_iter, tuple) else (self.max_iter,)
        return any(most[: self.max_index_step])

    def needs(self) -> frozenset[Offer]:
        return frozenset({"frames"})

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        if self.acts:
            self.spans(reader, prompt, suffix, phrases)

    def spans(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> list[range]:
        """Token positions of the subjects; see `spans.of_phrases`."""
        search = spelled_first if self.words == "official" else None
        return spans.of_phrases(reader, prompt, suffix, phrases, self.name, search)

    def check_schedule(self, schedule: Schedule, subjects: int) -> None:
        if not self.acts:
            return
        if schedule.levels is None or schedule.levels[0].prediction == "flow_prediction":
            raise UserError(
                f"{self.name} needs a variance-preserving scheduler with alphas_cumprod: use 'ddim' or 'dpm'"
            )
        schedule.check_hand(self.name)

    def start(self, setup: Setup) -> Run:
        return LVDRun(setup, self) if self.acts else Run()


class LVDRun(Run):
    """The gradient steps of one clip, and the last loss."""

    def __init__(self, setup: Setup, config: LVD):
        (clip,) = setup.clips
        if not clip.phrases:
            raise UserError(f"{config.name}: the case has no subject; give a phrase and boxes, or use method 'plain'")
        self._watch = Watch(watched(setup.backbone.sites(setup.shape), config))
        self._config, self._boxes = config, clip.boxes
        self._tokens = config.spans(setup.backbone.reader, clip.prompt, clip.suffix, clip.phrases)
        self._weights = energy.Weights(
            config.fg_top_p, config.bg_top_p, config.fg_weight, config.bg_weight, config.com_loss_scale
        )
        self._threshold = config.loss_threshold
        if config.threshold_fraction is not None:
            heads = sum(site.heads for site in self._watch.sites) / len(self._watch.sites)
            self._threshold = config.threshold_fraction * config.fg_weight * setup.shape[0] * heads
            config.check_threshold(self._threshold)
        self._loss = UNKNOWN / config.loss_scale

    def edits(self, step: int) -> dict[Site, Watch]:
        return dict.fromkeys(self._watch.sites, self._watch) if self._config.iterations(step) else {}

    def before_step(self, step: int, latents: torch.Tensor, network: Network) -> torch.Tensor:
        for _ in range(self._config.iterations(step)):
            if not self._loss > self._threshold:
                break
            latents = self._moved(latents, network)
        return latents

    def _moved(self, latents: torch.Tensor, network: Network) -> torch.Tensor:
        with torch.enable_grad():
            source = latents.detach().requires_grad_()
            with self._watch.looking():
                network.conditional(source)
            network.backward += 1
            if latents.is_meta:  # no content (see `cost`): no loss, and as many steps as there may be
                return latents
            maps = [(self._watch.maps[site], site.grid) for site in self._watch.sites]
            loss = energy.loss(maps, self._boxes, self._tokens, self._weights)
            gradient = torch.autograd.grad(self._config.loss_scale * loss, source)[0]
        self._watch.maps.clear()
        # Of the loss before this step: it is taken even where that was low enough.
        self._loss = loss.item()
        size = network.level.variance.float() ** 0.5  # in float32 whatever the latents are, as released
        return latents - size * gradient


def watched(sites: Sequence[Site], config: LVD) -> list[Site]:
    """The layers of `LVD.maps`, as the config has them. UserError where there are none, or not all."""
    texts = [site for site in sites if site.reads == "text" and site.over == "frame"]
    if config.maps == "half-and-quarter":
        if not (found := [site for site in texts if site.band in ("early", "late") and site.stride in (2, 4)]):
            raise UserError(f"{config.name}: the backbone has no text attention at half or a quarter of its size")
        return found
    wanted = OFFICIAL if config.maps == "official" else config.maps
    named = {layer_of(site): site for site in texts}
    if missing := [layer for layer in wanted if layer not in named]:
        raise UserError(
            f"{config.name}: the backbone lacks the layers {_spelled(missing)} of maps; set the option maps to "
            f"'half-and-quarter', or to a list of [place, block, attention] of {_spelled(named)}"
        )
    return [named[layer] for layer in dict.fromkeys(wanted)]


def layer_of(site: Site) -> tuple[str, int, int]:
    """(place, block, attention) of a layer, from the name that diffusers gives it; the middle block is number 0."""
    place, number, *_ = site.name.split(".")
    attention = int(site.name.partition("attentions.")[2].partition(".")[0])
    return ("mid", 0, attention) if place == "mid_block" else (place.removesuffix("_blocks"), int(number), attention)


def _spelled(layers: Iterable[tuple[str, int, int]]) -> str:
    return ", ".join(f"{place} {block} {attention}" for place, block, attention in layers)


def spelled_first(text: list[str], phrase: list[str]) -> int | None:
    """Where the release finds a phrase: it searches the tokens' spellings with spaces between, and counts the spaces
    before: from inside of a word it is one token too far."""
    at = " ".join(text).find(" ".join(phrase))
    return None if at < 0 or not phrase else len(" ".join(text)[: max(at - 1, 0)].split(" "))
