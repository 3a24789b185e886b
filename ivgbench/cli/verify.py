"""The command that checks the real weights of a backbone."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from ivgbench.cli.options import Device, Offload, SamplingOptions, file, print_table, spreads
from ivgbench.registry import METHODS

#: Of a clip: enough for masks to act and to be seen acting.
FEW_STEPS = 4


@dataclass(frozen=True)
class FewSteps(SamplingOptions):
    """With defaults of its own: a check is no run."""

    steps: Annotated[int, typer.Option(help="Sampling steps.", min=1)] = FEW_STEPS
    dtype: Annotated[
        str | None,
        typer.Option(help="float32, float16 or bfloat16. (default: float32 on a CPU; on a GPU the family's half)"),
    ] = None


@spreads
def verify(
    backbone: Annotated[str, typer.Argument(help="zeroscope, modelscope, wan-1.3b, pocket, or a folder.")],
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Beside plain; repeat for several. (default: all there are)")
    ] = None,
    sampling: FewSteps = FewSteps(),
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The report. (default: results/verified/BACKBONE.md)", callback=file),
    ] = None,
    device: Device = "auto",
    offload: Offload = False,
) -> None:
    """Check real weights in one go, and write a report to send back.

    Looked at: files against their published hashes and configs; weights and text states, for NaN and for words that
    change nothing; a clip of each method, for black or constant frames, latents out of range and masks that touch no
    layer; Figure 2's variance; half precision; time and memory against `ivgbench plan`.

    Every check has passed, has FAILED, or was not run, with the reason. Exit code 1 if one failed.
    """
    from ivgbench.files import write_text
    from ivgbench.generator.backbones import sources
    from ivgbench.runs.lab import Lab
    from ivgbench.runs.progress import progress

    asked, names = sampling.asked(), [METHODS.canonical(name) for name in method or METHODS.names()]
    asked.check("verify")
    sources.place(backbone)  # before the seconds that torch takes
    from ivgbench.verify import text as verification_text
    from ivgbench.verify.verifying import HALF, Verifier

    lab = Lab(device, offload)
    if asked.dtype is None and lab.device() != "cpu":
        asked = replace(asked, dtype=HALF[sources.preset(backbone)[1].family])
    verifier = Verifier(backbone, lab, asked, names)
    with progress("verify", len(verifier.names())) as advance:
        verifier.advance = lambda one: advance()
        made = verifier.verify()
    output = output or Path("results/verified") / f"{made.backbone}.md"
    write_text(output, verification_text.markdown(made, " ".join(["ivgbench", *sys.argv[1:]])))
    print_table(["check", "verdict", "found"], [[one.what, one.verdict, one.told] for one in made.checks])
    print(f"{verification_text.summary(made)}; written: {output}")
    if made.failed:
        sys.exit(1)
