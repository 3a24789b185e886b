"""The pocket video DiT: a WanTransformer3DModel on the pocket autoencoder's latents, trained from scratch.

A small UMT5 encoder comes first and is frozen from then on: it learns to say of each word what it means in its phrase
(`meanings`), so that nothing sums the caption up anywhere. Then the transformer learns single frames, an eighth of the
cost, and then clips; then mostly scenes of two subjects, then scenes of both kinds; these twice more at middle noise
levels, where shapes are decided, and in the end at high ones, where it is decided where a subject goes.
Flow matching (Lipman et al. 2023): z = (1-sigma) z0 + sigma n, and the network predicts n - z0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from ivgbench import world
from ivgbench.files import write_json
from ivgbench.generator.backbones.processors import heads_apart, heads_together
from ivgbench.generator.backbones.wan import rotated
from ivgbench.pocket.training import own_words
from ivgbench.pocket.training.bank import batches, load_bank
from ivgbench.pocket.training.loop import Schedule, fit, half_precision
from ivgbench.pocket.training.tokenizer import EXTRA_WORDS
from ivgbench.pocket.training.vae import save as save_vae

TEXT_WIDTH, TEXT_LENGTH = 64, 32
CONFIG = dict(
    patch_size=(1, 2, 2),
    num_attention_heads=4,
    attention_head_dim=32,
    in_channels=4,
    out_channels=4,
    text_dim=TEXT_WIDTH,
    freq_dim=64,
    ffn_dim=512,
    num_layers=6,
    rope_max_seq_len=32,
)
SCHEDULER_CONFIG = dict(num_train_timesteps=1000, shift=3.0)
TEXT_STEPS, TEXT_BATCH, TEXT_RATE = 1000, 64, 2e-3


class Phase(NamedTuple):
    """schedule; clips a step; frames of a clip; stream: of the random draws, another one for each phase on clips; two:
    share of scenes with two subjects, None: as the bank has them; logit: see `noise_levels`."""

    schedule: Schedule
    batch: int
    frames: int
    stream: int
    two: float | None = None
    logit: float | None = None


LONG = Schedule(steps=5000, learning_rate=6e-4, matrix_rate=2e-3, ema=0.998)
#: About 300 minutes of one core: 0.36 s a step on frames, 0.61 s on clips (AVX-512, bfloat16), 0.08 s of them Muon's.
PHASES = {
    "frames": Phase(Schedule(steps=4500, learning_rate=1e-3, matrix_rate=4e-3, warmup=200, ema=0.998), 32, 1, 0),
    "clips": Phase(Schedule(steps=4000, learning_rate=6e-4, matrix_rate=2e-3, ema=0.998), 8, world.FRAMES, 0),
    "two": Phase(Schedule(steps=1300, learning_rate=4e-4, matrix_rate=1.3e-3, ema=0.995), 8, world.FRAMES, 1, 0.75),
    "both": Phase(Schedule(steps=6000, learning_rate=6e-4, matrix_rate=2e-3, ema=0.998), 8, world.FRAMES, 2, 0.4),
    "middle": Phase(LONG, 8, world.FRAMES, 3, 0.3, 0.4),
    "again": Phase(LONG, 8, world.FRAMES, 4, 0.3, 0.4),
    "motion": Phase(replace(LONG, learning_rate=4e-4, matrix_rate=1.3e-3), 8, world.FRAMES, 5, 0.3, 1.2),
}


def tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word of the world, `</s>` at the end; any other word is `<unk>`."""
    words = dict.fromkeys([*EXTRA_WORDS, *world.COLOURS, *world.SHAPES, *world.BACKGROUNDS])
    vocabulary = {word: at for at, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=TEXT_LENGTH
    )


def meanings(prompt: str) -> torch.Tensor:
    """What the words of one of the world's sentences, and `</s>`, are to say: [words + 1, TEXT_WIDTH], RMS 1.

    A sum of directions at right angles to each other: the word's part in the sentence, and for a subject's adjective
    and noun both the colour and the shape, for a background's words which one it is. Articles and what connects say
    nothing of it: a mask on a phrase would not reach them.
    """
    names = [*world.COLOURS, *world.SHAPES, *world.BACKGROUNDS]
    names += ["article", "adjective", "noun", "and", "on", "ground's", "ground", "</s>"]
    draw = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(TEXT_WIDTH, TEXT_WIDTH, generator=draw, dtype=torch.float64))[0]
    axis = dict(zip(names, axes, strict=False))

    pairs, background = world.parse_caption(prompt)
    said: list[tuple[str, ...]] = []
    for number, (colour, shape) in enumerate(pairs):
        said += [("and",)] * bool(number) + [("article",), ("adjective", colour, shape), ("noun", colour, shape)]
    said += [("on",), ("article",), ("ground's", background), ("ground", background), ("</s>",)]
    summed = torch.stack([torch.stack([axis[name] for name in word]).sum(0) for word in said])
    return (summed / summed.square().mean(-1, keepdim=True).sqrt()).float()


def text_encoder() -> UMT5EncoderModel:
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=64, d_model=TEXT_WIDTH, d_kv=16, d_ff=2 * TEXT_WIDTH, num_layers=2, num_heads=4, dropout_rate=0.0
        )
    )


def encode(encoder: UMT5EncoderModel, tokens: PreTrainedTokenizerFast, prompts: list[str]) -> torch.Tensor:
    """Text states [N,TEXT_LENGTH,C], zero after each `</s>`, as the family of Wan makes them."""
    given = tokens(prompts, padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_tensors="pt")
    read = given.attention_mask.to(encoder.device)
    return encoder(given.input_ids.to(encoder.device), read).last_hidden_state * read[:, :, None]


def train_text(work: Path, seed: int = 0, steps: int | None = None) -> UMT5EncoderModel:
    """The text encoder, in eval mode and frozen."""
    torch.manual_seed(seed)
    encoder, tokens = text_encoder(), tokenizer()
    ones, twos = own_words.all_prompts()
    wanted = {prompt: meanings(prompt) for prompt in (*ones, *twos)}

    def loss_of(step: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, step])
        losses = []
        for prompts in (ones, twos):  # sentences of one length together
            picked = [prompts[at] for at in rng.integers(len(prompts), size=TEXT_BATCH)]
            goal = torch.stack([wanted[prompt] for prompt in picked])
            losses.append((encode(encoder, tokens, picked)[:, : goal.shape[1]] - goal).square().mean())
        return torch.stack(losses).sum()

    schedule = Schedule(steps=TEXT_STEPS if steps is None else steps, learning_rate=TEXT_RATE, ema=0.99)
    encoder.load_state_dict(fit("dit-text", encoder, loss_of, schedule, work, log_every=200))
    return encoder.eval().requires_grad_(False)


class TrainingAttention:
    """The library's attention, quicker on a CPU, there and back: heads are put apart in front, a third; and queries and
    keys are normed in float32, an eighth of a clip's step, because in half precision the norm falls to pieces."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key = attn.norm_q(attn.to_q(hidden_states).float()), attn.norm_k(attn.to_k(context).float())
        query, key, value = (heads_apart(attn, one) for one in (query, key, attn.to_v(context)))
        if rotary_emb is not None:
            query, key = (rotated(one, *rotary_emb) for one in (query, key))
        query, key = query.to(value.dtype), key.to(value.dtype)
        return attn.to_out[0](heads_together(torch.nn.functional.scaled_dot_product_attention(query, key, value)))


def noise_levels(uniform: torch.Tensor, logit: float | None) -> torch.Tensor:
    """sigma in 0..1 from uniform numbers in 0..1.

    Args:
        logit: None: spread as the sampler's steps are, evenly, then shifted (`SCHEDULER_CONFIG`): half of all are
            above .75, where errors are largest and cannot be mended. Else sigma's logit is normal about this one
            (Esser et al. 2024): at .4 most are in the middle, where shapes are decided, at 1.2 where paths are.
    """
    if logit is not None:
        return torch.sigmoid(logit + torch.special.ndtri(uniform))
    shift = SCHEDULER_CONFIG["shift"]
    return shift * uniform / (1 + (shift - 1) * uniform)


def loss_function(
    model: WanTransformer3DModel,
    bank: tuple[torch.Tensor, list[str]],
    states: dict[str, torch.Tensor],
    phase: Phase,
    seed: int,
) -> Callable[[int], torch.Tensor]:
    """step -> flow-matching error on a batch of the bank, all noise levels in each batch.

    Args:
        states: caption -> its text states [L,C]; "" is among them.
    """
    draw = batches(bank, phase.batch, phase.frames, phase.two)
    device = next(model.parameters()).device

    def loss_of(step: int) -> torch.Tensor:
        drawn = draw(np.random.default_rng([seed, phase.frames, step, phase.stream]))
        clean, noise = drawn.clean.to(device), drawn.noise.to(device)
        sigma = noise_levels(drawn.levels, phase.logit).to(device)
        weight = sigma.view(-1, 1, 1, 1, 1)
        text = torch.stack([states[prompt] for prompt in drawn.captions]).to(device)
        with half_precision(device.type):
            velocity = model((1 - weight) * clean + weight * noise, 1000 * sigma, text, return_dict=False)[0]
        return (velocity.float() - (noise - clean)).square().mean()

    return loss_of


def train(
    work: Path, vae: AutoencoderKL, seed: int = 0, device: str = "cpu", steps: int | None = None
) -> tuple[WanTransformer3DModel, UMT5EncoderModel]:
    """All phases; each resumes from its own checkpoint. Returns the averaged transformer and the text encoder."""
    encoder, tokens = train_text(work, seed, steps), tokenizer()
    bank = load_bank(work, vae.to(device).eval())
    unique = ["", *dict.fromkeys(bank[1])]
    with torch.no_grad():
        parts = [encode(encoder, tokens, unique[at : at + 1000]) for at in range(0, len(unique), 1000)]
    states = dict(zip(unique, torch.cat(parts), strict=True))
    torch.manual_seed(seed)
    model = WanTransformer3DModel(**CONFIG).to(device)
    model.set_attn_processor(TrainingAttention())
    weights = model.state_dict()
    for name, phase in PHASES.items():
        schedule = phase.schedule if steps is None else replace(phase.schedule, steps=steps)
        loss_of = loss_function(model, bank, states, phase, seed)
        weights = fit(f"dit-{name}", model, loss_of, schedule, work, start_from=weights)
    model.load_state_dict(weights)
    return model.eval(), encoder


def save(model: WanTransformer3DModel, encoder: UMT5EncoderModel, vae: AutoencoderKL, folder: Path) -> None:
    """Writes a diffusers pipeline folder in half precision."""
    model.half().save_pretrained(folder / "transformer")
    encoder.half().save_pretrained(folder / "text_encoder")
    save_vae(vae, folder / "vae")
    FlowMatchEulerDiscreteScheduler(**SCHEDULER_CONFIG).save_pretrained(folder / "scheduler")
    tokenizer().save_pretrained(folder / "tokenizer")
    classes = {
        "transformer": ("diffusers", "WanTransformer3DModel"),
        "text_encoder": ("transformers", "UMT5EncoderModel"),
        "vae": ("diffusers", "AutoencoderKL"),
        "scheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler"),
        "tokenizer": ("transformers", "PreTrainedTokenizerFast"),
    }
    write_json(folder / "model_index.json", {"_class_name": "WanPipeline", **{k: list(v) for k, v in classes.items()}})
