"""What a family of text-to-video models offers, and how one is found and loaded.

The sampler and the methods know no more of a model than this. Latents are [N,C,f,h,w] everywhere; what a network wants
instead (frames first, packed tokens) is its family's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ivgbench.errors import UserError
from ivgbench.generator import schedulers
from ivgbench.generator.allocator import keep_freed_memory
from ivgbench.generator.backbones import hashing, layout, limits, presets, sources
from ivgbench.generator.backbones import lora as adapters
from ivgbench.generator.backbones.sites import Band, Offer, Site
from ivgbench.generator.words import Reader
from ivgbench.texts import short


class Backbone(ABC):
    """A text encoder, a denoiser and a VAE in eval mode without gradients, and a scheduler factory.

    Attributes:
        name: its preset's (`presets.PRESETS`), or the folder's name.
        device, dtype: of the weights.
        latents_dtype: of the latents between evaluations.
        reader: what the text encoder reads of a text.
        folder: of the files it was loaded from.
        frames, height, width: default clip, in frames and pixels; other sizes work where the case gives them.
        latent_channels, latent_height, latent_width, vae_scale_factor: latents are [1,C,f,height/factor,width/factor].
        time_factor: pixel frames that a latent frame after the first stands for.
        text_width: of the text states.
        default_steps, default_guidance: used where `generate` is told nothing.
        decoder: what stands for a UNet's decoder, in words; "" for the decoder itself.
        masked_bands: where the released Peekaboo masks, in this family's terms.
        frame_prompts: whether each frame may have text states of its own.
        offers: what not all families have, and some methods need: see `OFFERED`.
        flow: whether the network was trained on flow matching's straight path, else on a variance-preserving one.
        wide_latents: whether latents are at least float32, whatever the weights are, as the family's pipeline has them.
    """

    #: Names of the parts that hold weights, in the order in which they work.
    parts: ClassVar[tuple[str, ...]]
    decoder: ClassVar[str] = ""
    masked_bands: ClassVar[frozenset[Band]]
    frame_prompts: ClassVar[bool]
    offers: ClassVar[frozenset[Offer]] = frozenset()
    flow: ClassVar[bool]
    wide_latents: ClassVar[bool] = False

    name: str
    reader: Reader
    # Parts of diffusers and transformers, and which of them there are is the family's.
    vae: Any
    frames: int
    height: int
    width: int
    latent_channels: int
    latent_height: int
    latent_width: int
    vae_scale_factor: int
    time_factor: int = 1

    def __init__(
        self,
        folder: Path,
        name: str,
        preset: presets.Preset,
        device: str,
        dtype: torch.dtype,
        offload: bool = False,
        lora: Path | None = None,
    ):
        self._start(name, preset, device, dtype, offload)
        self.reader = self.reader_of(folder)
        self._load(folder, preset)
        if lora is not None:
            adapters.merge(self.denoiser, lora)
        self.folder = folder
        self.scheduler_config = layout.read_config(layout.scheduler_file(folder))
        if not self.offload:
            for part in self.modules().values():
                part.to(self.device)
        self._measure(preset)

    def _start(self, name: str, preset: presets.Preset, device: str, dtype: torch.dtype, offload: bool) -> None:
        """What needs no files."""
        self.name, self.device, self.dtype, self.offload = name, torch.device(device), dtype, offload
        if self.device.type == "cpu":
            keep_freed_memory()
        self.default_steps, self.default_guidance = preset.steps, preset.guidance

    @abstractmethod
    def _load(self, folder: Path, preset: presets.Preset) -> None:
        """The family's parts, from a folder."""

    @abstractmethod
    def _build(self, architecture: Mapping[str, Mapping[str, Any]]) -> None:
        """The reader and the family's parts in the backbone's dtype, of these configs and without content."""

    @abstractmethod
    def _measure(self, preset: presets.Preset) -> None:
        """Sizes, from the parts' configs."""

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

    @classmethod
    def hollow(
        cls,
        architecture: Mapping[str, Mapping[str, Any]],
        preset: presets.Preset,
        dtype: torch.dtype,
        device: str = "meta",
    ) -> Backbone:
        """A backbone of these configs, made where torch's default device is: without content on the meta device, else
        with the random weights of its classes. All that a run asks of one works, but for reading prompts elsewhere."""
        self = cls.__new__(cls)
        self._start("hollow", preset, device, dtype, offload=False)
        self._build(architecture)
        for part in self.modules().values():
            part.eval().requires_grad_(False)
        self._measure(preset)
        return self

    @cached_property
    def weights_hash(self) -> str:
        """Identity of the files it was loaded from. Read when it is asked for: they may be tens of gigabytes."""
        return hashing.weights_hash(self.folder)

    @property
    def latents_dtype(self) -> torch.dtype:
        return torch.promote_types(self.dtype, torch.float32) if self.wide_latents else self.dtype

    @property
    @abstractmethod
    def text_width(self) -> int:
        """Of the text states."""

    @property
    @abstractmethod
    def denoiser(self) -> Any:
        """The network that `denoise` evaluates."""

    @property
    def cell(self) -> int:
        """Rows, and columns, of latents that are one cell to a method: what the network makes a token of."""
        return 1

    def latent_frames(self, frames: int) -> int:
        """Latent frames of so many pixel frames. UserError where the VAE has none for their number."""
        latent, rest = divmod(frames - 1, self.time_factor)
        if rest:
            raise UserError(
                f"backbone {self.name!r} makes clips of {self.time_factor}k+1 frames, not of {frames}: use "
                f"{frames - rest} or {frames - rest + self.time_factor}"
            )
        return latent + 1

    def latent_boxes(self, track: np.ndarray) -> np.ndarray:
        """A box for each latent frame [f,4] from those of the pixel frames [F,4].

        The first latent frame is the first frame; each other one stands for `time_factor` frames, and has their mean
        box.
        """
        later = track[1:].reshape(-1, self.time_factor, 4).mean(axis=1)
        return np.concatenate([track[:1], later])

    @property
    def limits(self) -> limits.Limits:
        """Which frames it can make."""
        return limits.of_parts(self._configs())

    def _configs(self) -> dict[str, dict[str, Any]]:
        """Those of the diffusion parts, each with its class, as their files have them."""
        return {
            name: {"_class_name": type(module).__name__, **module.config}
            for name, module in self.modules().items()
            if isinstance(module.config, Mapping)
        }

    @property
    def has_vae(self) -> bool:
        return getattr(self, "vae", None) is not None

    def modules(self) -> dict[str, torch.nn.Module]:
        """Part -> its module, of the parts that are there."""
        found = {name: getattr(self, name) for name in self.parts}
        return {name: module for name, module in found.items() if module is not None}

    def bring(self, wanted: str) -> None:
        """With offload: the wanted part to the device, and the others away from it first."""
        if self.offload:
            for name, part in self.modules().items():
                if name != wanted:
                    part.to("cpu")
            self.modules()[wanted].to(self.device)

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

    def check_video(self, frames: int) -> None:
        """Refuses where no video can be made of so many latent frames."""
        if not self.has_vae:
            raise UserError(f"backbone {self.name!r} has no VAE: only output='latent' works")

    def decode(self, latents: torch.Tensor, stream: torch.Generator | None = None) -> np.ndarray:
        """Frames uint8 [F,H,W,3] of latents [1,C,f,h,w], which the VAE decodes a slice at a time.

        stream: of the clip, for a VAE that is given noise; None: always the same.
        """
        self.check_video(latents.shape[2])
        self.bring("vae")
        with torch.no_grad():
            latents = self.prepared(latents.to(self.device, self.latents_dtype), stream)
            pixels = torch.cat([self.decoded(part) for part in self.slices(latents)])
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def prepared(self, latents: torch.Tensor, stream: torch.Generator | None) -> torch.Tensor:
        """Latents [1,C,f,h,w] as the VAE is to decode them."""
        return latents

    @abstractmethod
    def slices(self, latents: torch.Tensor) -> Sequence[torch.Tensor]:
        """Latents [1,C,f,h,w] cut into what the VAE decodes at a time: bounds its memory."""

    @abstractmethod
    def decoded(self, part: torch.Tensor) -> torch.Tensor:
        """Pixels [F,3,H,W] in -1..1, float32, of one slice."""

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
            raise UserError(_of_another_path(which, cls.flow))
        made = schedulers.make(config, which)
        if schedulers.is_flow(made) != cls.flow:
            raise UserError(_of_another_path(type(made).__name__, cls.flow))
        return made

    @classmethod
    @abstractmethod
    def reader_of(cls, folder: Path) -> Reader:
        """What the text encoder of a folder reads of a text; loads no weights."""


def _of_another_path(scheduler: str, flow: bool) -> str:
    paths = ("variance-preserving", "of the straight path of flow matching")
    return (
        f"the scheduler {scheduler} is {paths[not flow]}, and the backbone's network is {paths[flow]}; use "
        f"{'flow' if flow else 'ddim'!r}, or the checkpoint's own"
    )


#: Family -> where its class is. Loaded on first use: one family's library classes are no other's business.
FAMILIES = {"unet3d": "unet3d:UNet3D", "wan": "wan:Wan", "cogvideox": "cogvideox:CogVideoX", "ltx": "ltx:Ltx"}


def family(name: str) -> type[Backbone]:
    """The class of a family, as `layout.family` names it."""
    module, _, cls = FAMILIES[name].partition(":")
    return getattr(import_module(f"ivgbench.generator.backbones.{module}"), cls)
