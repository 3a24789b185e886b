"""The pocket text-to-video model: CLIPTextModel + UNet3DConditionModel, trained from scratch.

First together: single frames, then clips. Frames teach colour, shape and place at an eighth of the cost, clips add
time. Then the denoiser goes on alone, the text encoder frozen, on pairs of frames and again on clips: real
text-to-video models read a frozen encoder and find nothing in padding. At first it may still read the end token, whose
state has the whole caption in it; in the last stretch words alone, each of which then means itself (`own_words`,
`text_states`); at the end mostly on scenes of two subjects and at high noise, where a clip decides how many it shows.
Epsilon prediction on ZeroScope's noise schedule, min-SNR loss weights (Hang et al. 2023, gamma 5). In the second part
they lean towards high noise, where layout, motion and which colour goes with which shape are decided: halfway, as a
geometric mean, to the weights of velocity prediction. Under them every noise level has about the same loss.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ivgbench import world
from ivgbench.files import write_json
from ivgbench.generator.backbones.hashing import TEXT_STATES, weights_hash
from ivgbench.generator.backbones.text_states import emptied_after_words
from ivgbench.pocket.training import own_words
from ivgbench.pocket.training.bank import batches, load_bank
from ivgbench.pocket.training.loop import Schedule, fit, half_precision
from ivgbench.pocket.training.tokenizer import BOS, EOS, save_tokenizer, vocabulary
from ivgbench.pocket.training.vae import save as save_vae


class Phase(NamedTuple):
    """A stretch of the training: its schedule, batch and frames a clip.

    onward: the text encoder is frozen, its padding empty, and the loss leans towards high noise.
    words: nothing but words is read: the end token's state is empty, too, and the encoder's words mean themselves.
    two: how many of the scenes have two subjects, and then more of the noise levels are high; None: as the bank has
    them, and all levels alike.
    """

    schedule: Schedule
    batch: int
    frames: int
    onward: bool = False
    words: bool = False
    two: float | None = None


PHASES = {
    "frames": Phase(Schedule(steps=9000, learning_rate=1.2e-3, matrix_rate=4e-3, ema=0.999), 32, 1),
    "clips": Phase(Schedule(steps=1800, learning_rate=6e-4, matrix_rate=2e-3, warmup=50), 12, world.FRAMES),
}
#: What follows them, and goes on from finished weights.
ONWARD = {
    "pairs": Phase(Schedule(steps=700, learning_rate=8e-4, matrix_rate=2.5e-3, warmup=20, ema=0.995), 12, 2, True),
    "onward": Phase(Schedule(steps=1000, learning_rate=6e-4, matrix_rate=2e-3, warmup=50), 12, world.FRAMES, True),
    "words": Phase(
        Schedule(steps=1500, learning_rate=6e-4, matrix_rate=2e-3, warmup=20, ema=0.995), 12, world.FRAMES, True, True
    ),
    "two": Phase(
        Schedule(steps=3000, learning_rate=6e-4, matrix_rate=2e-3, warmup=20, ema=0.995),
        12, world.FRAMES, True, True, 0.75,
    ),
}  # fmt: skip
#: With `Phase.two`: a level is T u^this, u uniform in 0..1.
HIGH_NOISE = 0.6
MIN_SNR_GAMMA = 5.0
TEXT_WIDTH = 64
UNET_CONFIG = dict(
    sample_size=world.WIDTH // 4,
    in_channels=4,
    out_channels=4,
    down_block_types=("CrossAttnDownBlock3D",) * 2,
    up_block_types=("CrossAttnUpBlock3D",) * 2,
    block_out_channels=(32, 64),
    layers_per_block=1,
    norm_num_groups=8,
    cross_attention_dim=TEXT_WIDTH,
    attention_head_dim=16,
)
#: As published with ModelScope and ZeroScope.
SCHEDULER_CONFIG = dict(
    num_train_timesteps=1000,
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    clip_sample=False,
    set_alpha_to_one=False,
    steps_offset=1,
    prediction_type="epsilon",
)


class TrainingAttention:
    """Attention as plain matrix products, for training on a CPU.

    Backwards, the fused kernel takes three times as long there for heads as small as these. A single frame attends to
    itself alone, so its value passes through.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        value = attn.to_v(context)
        if context.shape[1] == 1:
            return attn.to_out[0](value.expand(-1, hidden_states.shape[1], -1))
        q, k, v = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in (attn.to_q(hidden_states), attn.to_k(context), value)
        )
        out = (q * attn.scale @ k.transpose(-1, -2)).softmax(-1).to(v.dtype) @ v
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


@contextlib.contextmanager
def spatial_only(unet: UNet3DConditionModel) -> Iterator[None]:
    """Inside, the layers that mix frames pass their input through: on single frames they are most of the cost."""
    skipped = [m for m in unet.modules() if isinstance(m, TransformerTemporalModel | TemporalConvLayer)]
    for module in skipped:
        tensor = isinstance(module, TemporalConvLayer)
        module.forward = (lambda hidden, *_, **__: hidden) if tensor else (lambda hidden, *_, **__: (hidden,))
    try:
        yield
    finally:
        for module in skipped:
            del module.forward


@torch.no_grad()
def start_still(unet: UNet3DConditionModel) -> None:
    """Zeroes the last map of every layer that mixes frames: clips start as the frames that were learned."""
    for module in unet.modules():
        if isinstance(module, TransformerTemporalModel):
            module.proj_out.weight.zero_()
            module.proj_out.bias.zero_()
        elif isinstance(module, TemporalConvLayer):
            module.conv4[-1].weight.zero_()
            module.conv4[-1].bias.zero_()


class TextToVideo(torch.nn.Module):
    """The two trained halves as one module, so that one optimiser, one average and one checkpoint hold both.

    Attributes:
        frozen_text: the text encoder is not trained, and the states of its padding are zero.
        words_only: the end token's state is zero, too.
    """

    def __init__(self, tokenizer: CLIPTokenizer):
        super().__init__()
        words = vocabulary()
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(words),
                hidden_size=TEXT_WIDTH,
                intermediate_size=2 * TEXT_WIDTH,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=77,
                projection_dim=TEXT_WIDTH,
                bos_token_id=words[BOS],
                eos_token_id=words[EOS],
                pad_token_id=words[EOS],
                attn_implementation="eager",
            )
        )
        self.unet = UNet3DConditionModel(**UNET_CONFIG)
        self.tokenizer = tokenizer
        self.frozen_text = self.words_only = False

    def freeze_text(self, frozen: bool, words_only: bool = False) -> None:
        self.frozen_text, self.words_only = frozen, words_only
        self.text_encoder.requires_grad_(not frozen)

    def forward(self, latents: torch.Tensor, timesteps: torch.Tensor, captions: list[str]) -> torch.Tensor:
        """Noise prediction for latents [B,4,F,h,w]."""
        unique = list(dict.fromkeys(captions))
        ids = self.tokenizer(
            unique, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        ).input_ids.to(latents.device)
        text = self.text_encoder(ids).last_hidden_state
        if self.frozen_text:
            text = emptied_after_words(text, ids, self.tokenizer.eos_token_id, keep_end=not self.words_only)
        return self.unet(latents, timesteps, text[[unique.index(c) for c in captions]]).sample


def loss_function(
    model: TextToVideo,
    bank: tuple[torch.Tensor, list[str]],
    scheduler: DDIMScheduler,
    batch: int,
    frames: int,
    seed: int,
    lean: bool = False,
    words: bool = False,
    two: float | None = None,
) -> Callable[[int], torch.Tensor]:
    """step -> min-SNR weighted noise error on `batch` clips of the bank, or on some random frames of each, in order.

    lean: see the module; words, two: as in `Phase`.
    """
    device = next(model.parameters()).device
    signal = scheduler.alphas_cumprod.to(device)
    snr = signal / (1 - signal)
    weights = snr.clamp(max=MIN_SNR_GAMMA) / snr
    if lean:
        weights = weights * (1 + 1 / snr).sqrt()
    draw = batches(bank, batch, frames, two)

    # Stretches on as many frames draw other batches.
    stream = [1 + words + (two is not None)] if lean else []

    def loss_of(step: int) -> torch.Tensor:
        drawn = draw(np.random.default_rng([seed, frames, step, *stream]))
        clean, noise = drawn.clean.to(device), drawn.noise.to(device)
        levels = drawn.levels if two is None else drawn.levels**HIGH_NOISE
        last = scheduler.config.num_train_timesteps
        timesteps = (levels * last).long().clamp(max=last - 1).to(device)
        # On a CPU torch 2.14's bfloat16 gradients of the convolutions over time are NaN for two frames.
        half = contextlib.nullcontext() if frames == 2 else half_precision(device.type)
        with half:
            noisy = scheduler.add_noise(clean, noise, timesteps)
            predicted = model(noisy, timesteps, drawn.captions)
        error = (predicted.float() - noise).square().mean((1, 2, 3, 4))
        return (weights[timesteps] * error).mean()

    return loss_of


def train(
    work: Path,
    vae: AutoencoderKL,
    seed: int = 0,
    device: str = "cpu",
    steps: int | None = None,
    start: Path | None = None,
) -> TextToVideo:
    """All phases; each resumes from its own checkpoint. Returns the averaged model in eval mode.

    start: a finished model's folder to go on from, with the phases of `ONWARD` and checkpoints of its own.
    """
    torch.manual_seed(seed)
    save_tokenizer(work / "tokenizer")
    model = TextToVideo(CLIPTokenizer.from_pretrained(work / "tokenizer")).to(device)
    model.eval()  # UNet3D's only dropout sits in its temporal convolutions; this small world needs none
    if device == "cpu":
        model.unet.set_attn_processor(TrainingAttention())
    bank = load_bank(work, vae.to(device).eval())
    scheduler = DDIMScheduler(**SCHEDULER_CONFIG)
    phases = {**PHASES, **ONWARD}
    if start is None:
        start_still(model.unet)
    else:
        model.unet.load_state_dict(load_file(start / "unet" / "diffusion_pytorch_model.safetensors"))
        model.text_encoder.load_state_dict(load_file(start / "text_encoder" / "model.safetensors"))
        phases = {f"{name}-{weights_hash(start)[:8]}": phase for name, phase in ONWARD.items()}
    weights, taught = model.state_dict(), False
    for name, (schedule, batch, frames, onward, words, two) in phases.items():
        if steps is not None:
            schedule = replace(schedule, steps=steps)
        if words and not taught:
            taught = True
            model.load_state_dict(weights)
            if not (work / f"text-to-video-{name}.pt").exists():  # which has the encoder in it
                own_words.train(model.text_encoder, model.tokenizer, steps, seed)
            weights = model.state_dict()
        model.freeze_text(onward, words)
        loss_of = loss_function(model, bank, scheduler, batch, frames, seed, lean=onward, words=words, two=two)
        with spatial_only(model.unet) if frames == 1 else contextlib.nullcontext():
            weights = fit(f"text-to-video-{name}", model, loss_of, schedule, work, start_from=weights)
    model.load_state_dict(weights)
    return model


def save(model: TextToVideo, vae: AutoencoderKL, folder: Path) -> None:
    """Writes a diffusers pipeline folder in half precision, and beside it how its text states are prepared."""
    model.half().unet.save_pretrained(folder / "unet")
    model.text_encoder.save_pretrained(folder / "text_encoder")
    save_vae(vae, folder / "vae")
    DDIMScheduler(**SCHEDULER_CONFIG).save_pretrained(folder / "scheduler")
    save_tokenizer(folder / "tokenizer")
    write_json(folder / TEXT_STATES, {"empty_padding": model.words_only})
