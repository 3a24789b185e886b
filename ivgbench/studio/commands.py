"""A request as command lines that make the same clips."""

from __future__ import annotations

import shlex
from pathlib import Path

from ivgbench.runs.option_text import seed_words
from ivgbench.studio.requests import Asked


def lines(asked: Asked, runs: Path | None = None) -> list[str]:
    """`ivgbench compare` for each seed, and `ivgbench generate` for each method and the first seed.

    Args:
        runs: the folder of runs, where it is not the default: what was made there is not made again.
    """
    every = [part for one in asked.methods for part in ("--method", one.method)]
    options = [part for text in asked.options for part in ("--option", text)]
    made = []
    for seed in asked.seeds:
        output = "compare.gif" if len(asked.seeds) == 1 else f"compare-{seed}.gif"
        made.append(_line("compare", asked, [*every, *options], seed, output, _runs(runs)))
    for one in asked.methods:
        own = [part for text in asked.options if text.startswith(f"{one.method}.") for part in ("--option", text)]
        made.append(_line("generate", asked, ["--method", one.method, *own], asked.seeds[0], f"{one.method}.mp4", []))
    return made


def run(suite: Path, asked: Asked, runs: Path | None = None) -> str:
    """`ivgbench run` of the request's methods on a suite's file, sampled as asked, with the same seeds."""
    every = [part for one in asked.methods for part in ("--method", one.method)]
    options = [part for text in asked.options for part in ("--option", text)]
    seeds = [] if asked.seeds == (0,) else seed_words(asked.seeds)
    asks = [*every, *options, *_backbone(asked), *_sampling(asked), *seeds, *_runs(runs)]
    return shlex.join(["ivgbench", "run", *asks, "--suite", str(suite)])


def _backbone(asked: Asked) -> list[str]:
    return [] if asked.backbone == "pocket" else ["--backbone", asked.backbone]


def _sampling(asked: Asked) -> list[str]:
    said = asked.sampling.said().items()
    return [part for name, value in said for part in (f"--{name.replace('_', '-')}", str(value))]


def _runs(runs: Path | None) -> list[str]:
    return [] if runs is None else ["--runs", str(runs)]


def _line(command: str, asked: Asked, methods: list[str], seed: int, output: str, where: list[str]) -> str:
    """One line, quoted for a shell. A text that begins like an option is no option."""
    parts = ["ivgbench", command]
    for phrase, keyframes in asked.keyframes:
        parts += [f"--subject={phrase}"] if phrase.startswith("-") else ["--subject", phrase]
        for frame, box in keyframes.items():
            parts += ["--box", f"{frame}:{','.join(f'{value:g}' for value in box)}"]
    parts += [*methods, *_backbone(asked)]
    parts += [*_sampling(asked), "--seed", str(seed), *where, "-o", output]
    prompt = asked.case.prompt
    if prompt.startswith("-"):
        return shlex.join([*parts, "--", prompt])
    return shlex.join([*parts[:2], prompt, *parts[2:]])
