"""What a result was made with: versions, machine, and the state of the code. Imports no model library."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ivgbench import __version__

#: Packages whose version can change a number.
PACKAGES = (
    "torch", "diffusers", "transformers", "open-clip-torch", "ultralytics", "torchvision", "numpy", "av",
    "pandas", "safetensors",
)  # fmt: skip


def installed(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def environment() -> dict[str, str | int | None]:
    """Python, machine, package versions and the checkout's commit ("...-dirty" with uncommitted changes)."""
    return {
        "ivgbench": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "commit": _commit(),
        **{package: installed(package) for package in PACKAGES},
    }


def arithmetic() -> dict[str, str | int | None]:
    """The environment, and which vector instructions torch uses: on another kind sums round differently."""
    import torch

    return {**environment(), "instructions": torch.backends.cpu.get_cpu_capability()}


def differences(then: dict[str, str | int | None], now: dict[str, str | int | None]) -> list[str]:
    """A line for each part of two environments that can change a number and is not the same."""
    return [
        f"{name} {now.get(name)} here, {then.get(name)} when the snapshot was made"
        for name in ("python", "machine", "instructions", *PACKAGES)
        if then.get(name) != now.get(name)
    ]


def _commit() -> str | None:
    """The commit of the checkout this code lies in; None for an installed package or without git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
