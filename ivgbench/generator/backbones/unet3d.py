"""A text-to-video model behind one small interface: encode a prompt, denoise, decode, make a scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from transformers import CLIPTextModel
from transformers.utils import logging as transformers_logging

from ivgbench.errors import UserError
from ivgbench.generator import schedulers
from ivgbench.generator.allocator import keep_freed_memory
from ivgbench.generator.backbones import lora as adapters
from ivgbench.generator.backbones import sources
from ivgbench.generator.backbones.text_states import emptied_after_end
from ivgbench.generator.words import Reader
from ivgbench.texts import short

#: Frames decoded at a time: bounds the VAE's memory.
DECODE_SLICE = 8


class Backbone:
    """Tokenizer, text encoder, denoiser and VAE in eval mode without gradients, and a scheduler factory.

    Attributes:
        name: "pocket", "zeroscope", "modelscope", or the folder's name.
        device, dtype: of the weights and the latents.
        reader, tokenizer: what the text encoder reads of a text.
        weights_hash: identity of the files it was loaded from.
        frames, height, width: default clip, in frames and pixels; other sizes work where the case gives them.
        latent_channels, latent_height, latent_width, vae_scale_factor: latents are [1,C,F,height/factor,width/factor].
        empty_padding: text states after the end token are zero; only of the pocket lab's weights.
        default_steps, default_guidance: used where `generate` is told nothing.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        preset: sources.Preset,
        device: str,
        dtype: torch.dtype,
        offload: bool = False,
        lora: Path | None = None,
    ):
        self.name, self.device, self.dtype, self.offload = name, torch.device(device), dtype, offload
        if self.device.type == "cpu":
            keep_freed_memory()
        self.weights_hash = sources.weights_hash(folder)
        self.reader = Reader(folder)
        self.tokenizer = self.reader.tokenizer
        self.empty_padding = sources.empty_padding(folder, preset)
        self.text_encoder = _text_encoder(folder, dtype)
        self.unet = _diffusion_part(UNet3DConditionModel, folder, "unet", dtype)
        if lora is not None:
            adapters.merge(self.unet, lora)
        has_vae = (folder / "vae").is_dir()
        self.vae = _diffusion_part(AutoencoderKL, folder, "vae", dtype) if has_vae else None
        if not offload:
            for part in self._parts().values():
                part.to(self.device)
        self.scheduler_config = sources.read_config(sources.scheduler_file(folder))

        vae_config = self.vae.config if has_vae else None
        # Without a VAE the factor only names the pixel size of a latent cell; 8 is the family's.
        self.vae_scale_factor = 2 ** (len(vae_config.block_out_channels) - 1) if has_vae else 8
        self.frames = preset.frames
        self.height, self.width = sources.frame_size(preset, self.unet.config, self.vae_scale_factor)
        self.latent_channels = self.unet.config.in_channels
        self.latent_height = self.height // self.vae_scale_factor
        self.latent_width = self.width // self.vae_scale_factor
        self.default_steps, self.default_guidance = preset.steps, preset.guidance

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        offload: bool = False,
        lora: str | Path | None = None,
    ) -> Backbone:
        """Loads a backbone.

        Args:
            source: "pocket" (ships with the package), "zeroscope", "modelscope", a folder in diffusers format, or a
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
        return cls(
            folder, *sources.preset(str(source)), device=device, dtype=dtype, offload=offload,
            lora=None if lora is None else Path(lora),
        )  # fmt: skip

    def _parts(self) -> dict[str, torch.nn.Module]:
        parts = {"text_encoder": self.text_encoder, "unet": self.unet, "vae": self.vae}
        return {name: part for name, part in parts.items() if part is not None}

    def _bring(self, wanted: str) -> None:
        """With offload: the wanted part to the device, and the others away from it first."""
        if self.offload:
            for name, part in self._parts().items():
                if name != wanted:
                    part.to("cpu")
            self._parts()[wanted].to(self.device)

    @torch.no_grad()
    def encode_prompt(self, texts: Sequence[str]) -> torch.Tensor:
        """Last hidden states [N,L,C], padded or cut to the tokenizer's length L (77); no text attention mask.

        With `empty_padding` the states after the end token are zero.
        """
        self._bring("text_encoder")
        ids = torch.tensor([self.token_ids(text) for text in texts], device=self.device)
        states = self.text_encoder(ids).last_hidden_state.to(self.dtype)
        return emptied_after_end(states, ids, self.tokenizer.eos_token_id) if self.empty_padding else states

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a prompt, padded or cut to the length that the text encoder reads, BOS first."""
        return self.reader.token_ids(text)

    def phrase_ids(self, text: str) -> list[int]:
        """Token ids of some words alone: BOS, words, EOS; no padding, never cut."""
        return self.reader.phrase_ids(text)

    def places(self, text: str, phrase: str) -> list[range]:
        """Token positions of every place of a text where a phrase stands; see `Reader.places`."""
        return self.reader.places(text, phrase)

    def denoise(
        self, latents: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One guided network evaluation: the raw outputs (unconditional, conditional), each [N,C,F,h,w].

        Args:
            latents: [N,C,F,h,w], already scaled for the scheduler.
            context: text states [2N,L,C], or [2NF,L,C] with a row per frame; all unconditional rows first.
        """
        self._bring("unet")
        clips, frames = latents.shape[0], latents.shape[2]
        per_frame = len(context) != 2 * clips
        # The denoiser repeats one row per clip over its frames; per-frame rows are put back in after that.
        with _context_in_blocks(self.unet, context) if per_frame else nullcontext():
            shown = context[::frames] if per_frame else context
            output = self.unet(torch.cat([latents, latents]), timestep, encoder_hidden_states=shown, return_dict=False)[
                0
            ]
        unconditional, conditional = output.chunk(2)
        return unconditional, conditional

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Frames uint8 [F,H,W,3] of latents [1,C,F,h,w], a few frames at a time."""
        if self.vae is None:
            raise UserError(f"backbone {self.name!r} has no VAE: only output='latent' works")
        self._bring("vae")
        frames = latents[0].transpose(0, 1).to(self.device, self.dtype) / self.vae.config.scaling_factor
        pixels = torch.cat([self.vae.decode(part, return_dict=False)[0].float() for part in frames.split(DECODE_SLICE)])
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def scheduler(self, which: str | SchedulerMixin | None = None) -> SchedulerMixin:
        """A fresh scheduler; see `schedulers.make`."""
        return schedulers.make(self.scheduler_config, which)


def _diffusion_part(cls: type, folder: Path, part: str, dtype: torch.dtype) -> torch.nn.Module:
    return _load(cls, folder, part, dtype, torch_dtype=dtype, low_cpu_mem_usage=False)


def _text_encoder(folder: Path, dtype: torch.dtype) -> CLIPTextModel:
    # Its progress bar for a second's work would land in the middle of the run's own.
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        return _load(CLIPTextModel, folder, "text_encoder", dtype, dtype=dtype)
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _load(cls: type, folder: Path, part: str, wanted: torch.dtype, **how: Any) -> Any:
    """A part of the backbone on the CPU. From a .bin file both libraries read tensors and nothing else."""
    weights = sources.weights_file(folder, part)
    safe = weights.suffix == ".safetensors"
    try:
        model, info = cls.from_pretrained(
            folder / part, use_safetensors=safe, local_files_only=True, output_loading_info=True, **how
        )
    except ImportError:  # a package that is not installed
        raise
    except Exception as fault:  # damaged files and configs fail in any way
        line = (str(fault).splitlines() or [""])[0][:200]
        raise UserError(f"{weights}: cannot be loaded as {cls.__name__}: {type(fault).__name__}: {line}") from None
    if missing := info["missing_keys"]:
        raise UserError(
            f"{weights}: the weights lack {len(missing)} tensors, e.g. {sorted(missing)[0]}; wrong or damaged file"
        )
    if any(parameter.dtype != wanted for parameter in model.parameters()):
        raise UserError(f"{weights}: some weights cannot be cast to {wanted}")
    return model.eval().requires_grad_(False)


@contextmanager
def _context_in_blocks(unet: UNet3DConditionModel, context: torch.Tensor) -> Iterator[None]:
    """While open, every block that takes text states gets `context` instead of the repeated rows."""

    def replace(_module: torch.nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
        return (args, {**kwargs, "encoder_hidden_states": context}) if "encoder_hidden_states" in kwargs else None

    blocks = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    handles = [block.register_forward_pre_hook(replace, with_kwargs=True) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
