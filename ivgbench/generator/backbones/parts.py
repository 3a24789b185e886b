"""The networks of a backbone: made of files or of configs, frozen, and brought to the device when they are used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from ivgbench.generator.allocator import keep_freed_memory
from ivgbench.generator.backbones import hashing, layout, presets
from ivgbench.generator.backbones import lora as adapters
from ivgbench.generator.words import Reader

Made = TypeVar("Made", bound="Parts")


class Parts(ABC):
    """A text encoder, a denoiser and a VAE in eval mode without gradients.

    Attributes:
        name: its preset's (`presets.PRESETS`), or the folder's name.
        device, dtype: of the weights.
        reader: what the text encoder reads of a text.
        folder: of the files it was loaded from.
        default_steps, default_guidance: used where `generate` is told nothing.
    """

    #: Names of the parts that hold weights, in the order in which they work.
    parts: ClassVar[tuple[str, ...]]

    name: str
    reader: Reader
    # Parts of diffusers and transformers, and which of them there are is the family's.
    vae: Any

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
        self.scheduler_config = layout.read_scheduler(folder)
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

    @classmethod
    def hollow(
        cls: type[Made],
        architecture: Mapping[str, Mapping[str, Any]],
        preset: presets.Preset,
        dtype: torch.dtype,
        device: str = "meta",
    ) -> Made:
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
    @abstractmethod
    def denoiser(self) -> Any:
        """The network that `denoise` evaluates."""

    def _configs(self) -> dict[str, dict[str, Any]]:
        """Those of the diffusion parts, each with its class, as their files have them."""
        return {
            name: {"_class_name": type(module).__name__, **module.config}
            for name, module in self.modules().items()
            if isinstance(module.config, Mapping)
        }

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

    @classmethod
    @abstractmethod
    def reader_of(cls, folder: Path) -> Reader:
        """What the text encoder of a folder reads of a text; loads no weights."""
