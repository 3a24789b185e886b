"""What a family of text-to-video models offers, and how one is found and loaded.

The sampler and the methods know no more of a model than this. Latents are [N,C,f,h,w] everywhere; what a network wants
instead (frames first, packed tokens) is its family's own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.errors import UserError
from ivgbench.generator import schedulers
from ivgbench.generator.backbones import layout, sources
from ivgbench.generator.backbones.sites import Band, Offer, Site
from ivgbench.generator.backbones.video import Video
from ivgbench.texts import short


class Backbone(Video):
    """A text encoder, a denoiser and a VAE (`Parts`), their clip (`Video`), and a scheduler factory.

    Attributes:
        text_width: of the text states.
        decoder: what stands for a UNet's decoder, in words; "" for the decoder itself.
        masked_bands: where the released Peekaboo masks, in this family's terms.
        frame_prompts: whether each frame may have text states of its own.
        offers: what not all families have, and some methods need: see `OFFERED`.
        flow: whether the network was trained on flow matching's straight path, else on a variance-preserving one.
    """

    decoder: ClassVar[str] = ""
    masked_bands: ClassVar[frozenset[Band]]
    frame_prompts: ClassVar[bool]
    offers: ClassVar[frozenset[Offer]] = frozenset()
    flow: ClassVar[bool]

    @staticmethod
    def from_pretrained(
        source: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        offload: bool = False,
        lora: str | Path | None = None,
    ) -> Backbone:
        """Loads a backbone of the family that its files name.

        Args:
            source: "pocket" (ships with the package), another of `presets.PRESETS`, a folder in diffusers format, or a
                hub id that has been fetched. A folder may lack `vae`: then only output="latent" works.
            dtype: weights are cast to it, whatever they are on disk.
            offload: text encoder, denoiser and VAE wait on the CPU and are on the device only while they are used.
            lora: a file of low-rank adapters for the denoiser; see `lora.merge`.
        Raises:
            UserError: files are missing (named), the device is not there, or dtype is none for weights.
        """
        if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise UserError(f"dtype must be a floating-point dtype of torch, such as torch.float32, got {short(dtype)}")
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as fault:
            raise UserError(f"device {device!r} cannot be used: {str(fault).splitlines()[0]}") from None
        folder = sources.locate(source)
        cls = family(layout.family(folder))
        return cls(
            folder, *sources.preset(str(source)), device=device, dtype=dtype, offload=offload,
            lora=None if lora is None else Path(lora),
        )  # fmt: skip

    @property
    @abstractmethod
    def text_width(self) -> int:
        """Of the text states."""

    @property
    def start(self) -> int:
        """How many tokens stand before the words of a text; see `Reader`."""
        return self.reader.start

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a prompt, padded or cut to the length that the text encoder reads."""
        return self.reader.token_ids(text)

    def phrase_ids(self, text: str) -> list[int]:
        """Token ids of some words alone, with what the tokenizer puts around them; no padding, never cut."""
        return self.reader.phrase_ids(text)

    def places(self, text: str, phrase: str) -> list[range]:
        """Token positions of every place of a text where a phrase stands; see `Reader.places`."""
        return self.reader.places(text, phrase)

    @abstractmethod
    def encode_prompt(self, texts: Sequence[str]) -> torch.Tensor:
        """Text states [N,L,C], padded or cut to the reader's length L."""

    @abstractmethod
    def denoise(
        self, latents: torch.Tensor, timestep: torch.Tensor, negative: torch.Tensor, positive: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One guided network evaluation: the raw outputs (unconditional, conditional), each [N,C,f,h,w].

        Args:
            latents: [N,C,f,h,w], already scaled for the scheduler; the network is shown them in `dtype`.
            negative, positive: text states [N,L,C] of the two halves; [NF,L,C] with a row per frame where the family
                has `frame_prompts`. Their lengths may differ where it offers "positions".
        """

    @abstractmethod
    def denoise_conditional(
        self, latents: torch.Tensor, timestep: torch.Tensor, positive: torch.Tensor
    ) -> torch.Tensor:
        """The conditional half of an evaluation alone: its raw output [N,C,f,h,w]. Arguments as in `denoise`."""

    @abstractmethod
    def sites(self, shape: tuple[int, int, int]) -> list[Site]:
        """Every attention layer at latents of `shape` (f,h,w), in the network's order."""

    @abstractmethod
    def edited(self, edits: Mapping[Site, Any], clips: int) -> AbstractContextManager[None]:
        """While open, these layers attend as the edits say; afterwards the network is what it was, whatever happened.

        Args:
            edits: of `ivgbench.generator.edits`. clips: number N of clips in the batch.
        """

    def text_maps(self, site: Site, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> torch.Tensor | None:
        """Where cells look in the prompt: probabilities [F,heads,cells,L] of a clip alone in its batch.

        Of the conditional half; None while the other one is evaluated.

        Args:
            site: a layer of text attention. args, keywords: what it was called with.
        Raises:
            UserError: the family's cannot be watched.
        """
        raise UserError(f"backbone {self.name!r} has no text attention that can be watched")

    def placed(self, positions: torch.Tensor | None) -> AbstractContextManager[None]:
        """While open, tokens are at these positions, int64 [N,f,h,w,3]; None: where they lie. See `offers`."""
        if positions is not None:
            raise UserError(f"backbone {self.name!r} is not told where its tokens are: it cannot be told otherwise")
        return nullcontext()

    def scheduler(
        self, which: str | SchedulerMixin | None = None, shape: tuple[int, int, int] | None = None
    ) -> SchedulerMixin:
        """A fresh scheduler for latents of `shape` (f,h,w), None: of the default clip; see `scheduler_of`."""
        return self.scheduler_of(self.scheduler_config, which)

    @classmethod
    def scheduler_of(cls, config: Mapping[str, Any], which: str | SchedulerMixin | None = None) -> SchedulerMixin:
        """A fresh scheduler from a checkpoint's config; see `schedulers.make`.

        Raises:
            UserError: there is none of that name, or its noise path is not the one that the network was trained on.
        """
        named = {"ddim": False, "dpm": False, "flow": True}
        if isinstance(which, str) and named.get(which, cls.flow) != cls.flow:
            raise UserError(_of_another_path(which, PATHS[not cls.flow], cls.flow))
        made = schedulers.make(config, which)
        flow, name = schedulers.is_flow(made), schedulers.name_of(made)
        if not flow and made.config.get("prediction_type") == "flow_prediction":
            raise UserError(
                f"the scheduler {name} is {PATHS[flow]} and of flow_prediction at once; give it use_flow_sigmas=True"
            )
        if flow != cls.flow:
            known = flow or hasattr(made, "alphas_cumprod")
            path = PATHS[flow] if known else "of a path that is not known here"
            raise UserError(_of_another_path(name, path, cls.flow))
        return made


#: What `flow` of a backbone says of its network's noise path.
PATHS = ("variance-preserving", "of the straight path of flow matching")


def _of_another_path(scheduler: str, path: str, flow: bool) -> str:
    return (
        f"the scheduler {scheduler} is {path}, and the backbone's network is {PATHS[flow]}; use "
        f"{'flow' if flow else 'ddim'!r}, or the checkpoint's own"
    )


#: Family -> where its class is. Loaded on first use: one family's library classes are no other's business.
FAMILIES = {"unet3d": "unet3d:UNet3D", "wan": "wan:Wan", "cogvideox": "cogvideox:CogVideoX", "ltx": "ltx:Ltx"}


def family(name: str) -> type[Backbone]:
    """The class of a family, as `layout.family` names it."""
    module, _, cls = FAMILIES[name].partition(":")
    return getattr(import_module(f"ivgbench.generator.backbones.{module}"), cls)


def family_of(backbone: str) -> type[Backbone]:
    """The class of a backbone on this machine, by its name or folder. UserError where there is none."""
    return family(layout.family(sources.locate(backbone)))
