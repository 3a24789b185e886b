"""A second sampler, for tests only: naive, in float64, sharing no code with ivgbench.

It runs a library denoiser with other attention in chosen layers: `layers` maps a step to {layer name: function},
where function(attn, hidden, text) -> [B,N,C] takes the place of that layer's attention.
"""

import numpy as np
import torch
from diffusers import DDIMScheduler


def trajectory(unet, config, embeds, latents, steps, guidance, layers=lambda step: {}, sampler="ddim", blend=None):
    """Latents after every step, float64 [steps,C,F,h,w].

    embeds: [2,L,C] or [2F,L,C]; config: the scheduler's file; blend: (step, latents) -> latents to go on with.
    """
    scheduler = (Dpm if sampler == "dpm" else Ddim)(config, steps)
    states = []
    for step, timestep in enumerate(scheduler.timesteps):
        with torch.no_grad():
            uncond, cond = denoise(unet, latents, timestep, embeds, layers(step))
        latents = scheduler.step(step, uncond + guidance * (cond - uncond), latents)
        states.append(latents[0].numpy())
        if blend is not None:
            latents = blend(step, latents)
    return np.stack(states)


class Ddim:
    """The library's own DDIM, frame by frame as the release calls it."""

    def __init__(self, config, steps):
        self.library = DDIMScheduler.from_config({key: config[key] for key in config if not key.startswith("_")})
        self.library.set_timesteps(steps)
        self.timesteps = self.library.timesteps.tolist()

    def step(self, step, eps, latents):
        frames = [
            self.library.step(eps[:, :, f], self.timesteps[step], latents[:, :, f]).prev_sample
            for f in range(eps.shape[2])
        ]
        return torch.stack(frames, dim=2)


class Dpm:
    """DPM-Solver++ 2M (Lu et al. 2022, midpoint), epsilon prediction, ending at the smallest training sigma.

    As in diffusers 0.21.4: coefficients are float32, and those of the training schedule at each timestep.
    """

    def __init__(self, config, steps):
        ends = config["beta_start"] ** 0.5, config["beta_end"] ** 0.5
        alphas = torch.cumprod(1 - torch.linspace(*ends, 1000, dtype=torch.float32) ** 2, 0)
        if config.get("timestep_spacing", "linspace") == "leading":
            times = [k * (1000 // (steps + 1)) + config["steps_offset"] for k in range(steps, 0, -1)]
        else:
            times = [round(999 * k / steps) for k in range(steps, 0, -1)]
        self.timesteps, self.steps, self.previous = times, steps, None
        self.alpha, self.sigma = alphas.sqrt()[[*times, 0]], (1 - alphas).sqrt()[[*times, 0]]
        self.rate = torch.log(self.alpha) - torch.log(self.sigma)

    def step(self, step, eps, latents):
        a, s, rate = self.alpha, self.sigma, self.rate
        clean = (latents - s[step] * eps) / a[step]
        ahead = rate[step + 1] - rate[step]
        scale = a[step + 1] * (torch.exp(-ahead) - 1)
        moved = (s[step + 1] / s[step]) * latents - scale * clean
        last = step == self.steps - 1 and self.steps < 15
        if self.previous is not None and not last:
            ratio = (rate[step] - rate[step - 1]) / ahead
            moved = moved - 0.5 * scale * ((1 / ratio) * (clean - self.previous))
        self.previous = clean
        return moved


def denoise(unet, latents, timestep, embeds, layers):
    """(unconditional, conditional) outputs with the given attention layers replaced."""
    frames = latents.shape[2]
    rows = embeds if len(embeds) == 2 * frames else embeds.repeat_interleave(frames, 0)
    before = dict(unet.attn_processors)
    unet.set_attn_processor({name: Stand(layers.get(name), name, rows) for name in before})
    try:
        # The text goes to the layers by their processors, so what is passed here is never read.
        return unet(torch.cat([latents] * 2), timestep, torch.zeros(2, *embeds.shape[1:]).to(embeds)).sample.chunk(2)
    finally:
        unet.set_attn_processor(before)


class Stand:
    """A processor that runs a function, or plain attention, and hands the text of every frame to those that read it."""

    def __init__(self, function, name, rows):
        reads_text = name.endswith("attn2.processor") and ".attentions." in name
        self.function, self.rows = function or attention, rows if reads_text else None

    def __call__(self, attn, hidden, encoder_hidden_states=None, attention_mask=None, **_):
        return self.function(attn, hidden, self.rows)


def probabilities(attn, hidden, text, bias=None):
    """softmax(QK^T/sqrt(d) + bias) spelled out: [B,heads,N,M]; bias [B,N,M]."""
    text = hidden if text is None else text
    query, key = (x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (attn.to_q(hidden), attn.to_k(text)))
    logits = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    return torch.softmax(logits if bias is None else logits + bias[:, None], dim=-1)


def attention(attn, hidden, text, bias=None, probs=None):
    """Attention [B,N,C] under an additive bias, or with given probabilities [B,heads,N,M]."""
    probs = probabilities(attn, hidden, text, bias) if probs is None else probs
    value = attn.to_v(hidden if text is None else text).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
    return attn.to_out[0]((probs @ value).transpose(1, 2).flatten(2))
