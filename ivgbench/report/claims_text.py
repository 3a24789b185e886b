"""CLAIMS.md: verdicts in print. Carries no date: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ivgbench.files import write_text
from ivgbench.report import paper
from ivgbench.report.claims import METRICS, ClaimsSpec, Comparison, Judged
from ivgbench.report.resting import NOT_TESTABLE

#: Where the verdicts come from, and where they do not.
LAB, ELSEWHERE = "on the pocket lab", "untested"


def markdown(spec: ClaimsSpec, judged: Sequence[Judged], run: str, backbone: str) -> str:
    """The whole file: the verdicts to quote and in a table, the numbers behind each, the paper's contradictions."""
    parts = [
        "# The paper's claims, put to the test",
        f"Run `{run}`, backbone {backbone}; the settings of its rows stand in `{spec.run.name}`, and other settings "
        f"can give other verdicts. Nothing here says anything certain about ZeroScope: there every claim is "
        f"{ELSEWHERE}.",
        summary(judged),
        "\n".join(
            [
                f"| Claim | Verdict {LAB} | p (Holm) | ZeroScope |",
                "| --- | --- | ---: | --- |",
                *(f"| {one.claim.text} | {_verdict(one)} | {_p(one.p)} | {ELSEWHERE} |" for one in judged),
            ]
        ),
        "## The numbers",
        *(_details(one) for one in judged),
        "## How the verdicts are made",
        f"Directions and margins were written down before the run. Differences are paired by case, seeds are averaged "
        f"within a case, and cases are resampled (FID and KID: whole videos, all clips of a case together). A claim "
        f"needs {spec.cases} cases on each of its splits. It must be true on all of its splits and against all of its "
        f"rivals; p-values are two-sided and corrected over all {len(judged)} claims after Holm, at "
        f"{100 * spec.level:g} %. *Fails* means that on some split, or against some rival, the difference is shown at "
        f"that level to fall short of what is claimed, margin included; *open* that neither is shown. mIoU is "
        f"`miou_all`: every clip counts, found or not. FID and KID are against the run's ground truth, the asked "
        f"scenes as the pocket world draws them, both splits together, on the frame features of the named "
        f"encoder (CLIP's say little of texture); KID leaves out pairs of frames of one video.",
    ]
    if any(one.rests for one in judged):
        parts.append(
            "A claim rests on facts that are known of real models (`CALIBRATION.md`). Where one of them fails on this "
            f"model, the verdict is *{NOT_TESTABLE}*: what comes out would be the model's doing, and not the method's. "
            "The numbers and the correction of p-values are the same with and without."
        )
    if spec.contradictions:
        parts += ["## Where the paper contradicts itself", "\n".join(f"- {line}" for line in spec.contradictions)]
    return "\n\n".join(parts) + "\n"


def summary(judged: Sequence[Judged]) -> str:
    """The verdicts in a few lines, each with the difference that it hangs on: to be quoted as they are."""
    groups = {word: [one for one in judged if one.verdict == word] for word in ("holds", "fails", "open", NOT_TESTABLE)}
    hold, fail, undecided, untestable = map(len, groups.values())
    counts = f"{hold} hold, {fail} fail and {undecided} are open"
    if untestable:
        counts = f"{hold} hold, {fail} fail, {undecided} are open and {untestable} are not testable"
    lines = [f"Of {len(judged)} claims {counts} {LAB}. In brackets the difference that decides, with its 95 % range."]
    for word, mine in groups.items():
        if mine:
            lines += [f"**{word.capitalize()}:**", "\n".join(f"* {_short(one)}" for one in mine)]
    return "\n\n".join(lines)


def write(path: Path, spec: ClaimsSpec, judged: Sequence[Judged], run: str, backbone: str) -> Path:
    """Writes the file; returns its path."""
    write_text(path, markdown(spec, judged, run, backbone))
    return path


def _verdict(one: Judged) -> str:
    return f"**{one.verdict}** ({one.why})" if one.why else f"**{one.verdict}**"


def _short(one: Judged) -> str:
    found, metric = one.deciding, METRICS[one.claim.metric]
    if one.why:
        return f"{one.claim.text} ({one.why})"
    value, low, high = (f"{number:+.{metric.decimals}f}" for number in (found.value, found.low, found.high))
    numbers = f"{metric.short} {value}, {low} to {high}, against {_name(found.rival)}, {found.split}"
    higher = one.claim.direction == "higher"
    margin = one.claim.margin if higher else -one.claim.margin
    # Without it, a difference in the claimed direction, but too small, would read as a contradiction.
    asked = f"; claimed: {'above' if higher else 'below'} {margin:+g}" if margin else ""
    return f"{one.claim.text} ({numbers}{asked})"


def _rests(one: Judged) -> str:
    if not one.rests:
        return ""
    told = ", ".join(f"{rest.key} ({rest.verdict})" for rest in one.rests)
    return f" Rests on facts of the calibration: {told}."


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _details(one: Judged) -> str:
    claim, metric = one.claim, METRICS[one.claim.metric]
    margin = f", by more than {claim.margin:g}" if claim.margin else ""
    lines = [
        f"### {claim.text}",
        f"The paper: {claim.paper} Tested: {metric.title}, {_name(claim.row)} {claim.direction}{margin}. "
        f"Verdict {LAB}: {_verdict(one)}.{_rests(one)}",
        "\n".join(
            [
                "| On | Against | Difference | 95 % | Cases | p for | p against |",
                "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
                *(_line(comparison, metric.decimals) for comparison in one.comparisons),
            ]
        ),
    ]
    return "\n\n".join(lines)


def _line(one: Comparison, decimals: int) -> str:
    head = f"| {one.split} | {_name(one.rival)} |"
    if not one.cases:
        return f"{head} – | {one.missing} | – | – | – |"
    value, low, high = (f"{number:+.{decimals}f}" for number in (one.value, one.low, one.high))
    return f"{head} {value} | {low} to {high} | {one.cases} | {_p(one.p_for)} | {_p(one.p_against)} |"


def _name(row: str | float) -> str:
    return paper.print_name(row) if isinstance(row, str) else f"{row:g}"
