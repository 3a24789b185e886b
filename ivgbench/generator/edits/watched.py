"""Maps of text attention that a method looks at, and goes back through; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from ivgbench.generator.backbones.sites import Site


class Watch:
    """An edit of text attention within frames that keeps its maps, of the conditional half, while `looking`.

    Otherwise the layers attend as they do without it.

    sites: the layers. maps: site -> probabilities [NF,heads,cells,L] after softmax, with their gradient.
    """

    def __init__(self, sites: Sequence[Site]):
        self.sites, self.on = list(sites), False
        self.maps: dict[Site, torch.Tensor] = {}

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While open, the maps of an evaluation are kept. It ends behind the last of them: what the network would do
        after that is not done, and takes no memory."""
        self.maps, self.on = {}, True
        try:
            yield
        except AllSeen:
            pass
        finally:
            self.on = False

    def see(self, site: Site, probs: torch.Tensor) -> None:
        """Called by the layer. Raises AllSeen after the last one."""
        self.maps[site] = probs
        if len(self.maps) == len(self.sites):
            raise AllSeen


class AllSeen(Exception):
    """Every map that is looked at is there: leaves the network's evaluation."""
