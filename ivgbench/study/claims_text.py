"""CLAIMS.md: verdicts in print. Carries no date: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ivgbench.files import write_text
from ivgbench.report import paper, settings_notes
from ivgbench.study import agreement
from ivgbench.study.agreement import TITLES, Order
from ivgbench.study.claims import METRICS, Claim, ClaimsSpec, Comparison, Judged
from ivgbench.study.resting import NOT_TESTABLE
from ivgbench.study.variants import Variant

#: Where the verdicts come from.
LAB = "on the pocket lab"
#: Around what the documentation quotes; a test compares the two.
QUOTE = ("<!-- quoted from results/{file} -->", "<!-- end of the quotation -->")
#: Lines that the quotation has at most, and letters of one that names claims.
QUOTED_LINES, QUOTED_WIDTH = 10, 300
VERDICTS = ("holds", "fails", "open", NOT_TESTABLE)


class Study(NamedTuple):
    """What is printed.

    judged: variant of the run -> verdicts on the claims, in the file's order. orders: variant -> pairs of the paper's
    Table 1 (`agreement.orders`). run, backbone: their names; cases, seeds: how many a split, and of each case.
    told: the settings of the run's rows, as `settings_notes.by_label`. remarks: what else a reader must know.
    calibration: the file of the facts that claims rest on.
    """

    spec: ClaimsSpec
    judged: Mapping[Variant, Sequence[Judged]]
    orders: Mapping[Variant, Sequence[Order]]
    run: str
    backbone: str
    cases: int
    seeds: int
    told: Mapping[str, tuple[str, str]] = MappingProxyType({})
    remarks: Sequence[str] = ()
    calibration: str = "CALIBRATION.md"

    def of(self, place: int) -> list[Judged]:
        """A claim's verdicts, one for each variant."""
        return [mine[place] for mine in self.judged.values()]


def markdown(study: Study, file: str = "CLAIMS.md") -> str:
    """The whole file: what is quoted, one table of verdicts, the readings, every number, the contradictions."""
    spec = study.spec
    parts = [
        "# The paper's claims, put to the test",
        f"Run `{study.run}`, backbone {study.backbone}; what its rows are set to stands below, and other "
        "settings can give other verdicts. Nothing here says anything of ZeroScope: there every claim is untested.",
        "\n".join([QUOTE[0].format(file=file), quotation(study), QUOTE[1]]),
        *study.remarks,
        "## The verdicts",
        *_legend(study),
        _table(study),
        *_readings(study),
        *_settings(study.told),
        "## The numbers",
        "Ranges are 95 % intervals of one difference alone: they describe it, and decide nothing.",
        *(_details(study, place) for place in range(len(spec.claims))),
        "## How the verdicts are made",
        _method(study),
    ]
    if any(one.rests for mine in study.judged.values() for one in mine):
        parts.append(
            f"A claim rests on facts that are known of real models (`{study.calibration}`). Where one of them fails on "
            f"this model or has no meaning on it, the verdict is *{NOT_TESTABLE}*: what comes out would be the "
            "model's doing, and not the method's. The numbers and the correction of p-values are the same with and "
            "without."
        )
    if spec.contradictions:
        parts += ["## Where the paper contradicts itself", "\n".join(f"- {line}" for line in spec.contradictions)]
    return "\n\n".join(parts) + "\n"


def quotation(study: Study) -> str:
    """The verdicts in ten lines at most, blank ones not counted: to be quoted as they are."""
    several = any(study.judged)
    lines = [
        f"{len(study.spec.claims)} claims {LAB}, {study.cases} case{'s' if study.cases > 1 else ''} a split, "
        f"{study.seeds} seed{'s' if study.seeds > 1 else ''} a case{', in each variant' if several else ''}; "
        "p corrected over all:",
        "",
        f"| {'Settings, masks' if several else 'Run'} | {' | '.join(VERDICTS)} |",
        f"| --- |{' ---: |' * len(VERDICTS)}",
    ]
    for variant, mine in study.judged.items():
        counts = (str(sum(one.verdict == word for one in mine)) for word in VERDICTS)
        lines.append(f"| {variant or study.run} | {' | '.join(counts)} |")
    lines.append("")
    for word, title in zip(VERDICTS, ("Holds", "Fails"), strict=False):
        said = [
            claim.text
            for place, claim in enumerate(study.spec.claims)
            if all(one.verdict == word for one in study.of(place))
        ]
        lines.append(f"* {title}{' in every variant' if several else ''}: {_named(said)}")
    if told := agreement.verdict(study.judged, study.orders, study.spec.level):
        lines.append(f"* {told}")
    return "\n".join(lines)


def _named(texts: Sequence[str]) -> str:
    """As many claims as fit in a line, and how many more there are."""
    shown = [text for place, text in enumerate(texts) if len("; ".join(texts[: place + 1])) <= QUOTED_WIDTH]
    more = [f"and {len(texts) - len(shown)} more"] if len(shown) < len(texts) else []
    return f"{'; '.join([*shown, *more]) or 'none'}."


def write(path: Path, study: Study) -> Path:
    """Writes the file; returns its path."""
    write_text(path, markdown(study, path.name))
    return path


def _legend(study: Study) -> list[str]:
    lines = [
        "Under each verdict the difference that decides, with its own 95 % interval, which only describes it: the "
        "verdict is by p, two-sided and corrected over all claims and variants."
    ]
    if any(variant.settings for variant in study.judged):
        lines.append(
            "Settings: `tuned`, what `ivgbench study search` chose for control on other cases; `paper`, the paper's, "
            "with the baselines as released, and at documented defaults what it leaves open."
        )
    if any(variant.reading for variant in study.judged):
        lines.append(
            "Masks: `additive`, -10000 on a forbidden logit, as Peekaboo's release; `multiplicative`, the formula of "
            "section 2.1 to the letter, which leaves it at 0. Peekaboo itself keeps the masks of its release."
        )
    return lines


def _table(study: Study) -> str:
    heads = [f"{str(variant) or f'Verdict {LAB}'} | p" for variant in study.judged]
    lines = [f"| Claim | {' | '.join(heads)} |", f"| --- |{' --- | ---: |' * len(heads)}"]
    for place, claim in enumerate(study.spec.claims):
        cells = (f"{_verdict(one)}{_deciding(one)} | {_p(one.p)}" for one in study.of(place))
        lines.append(f"| {claim.text}{_asked(claim)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _readings(study: Study) -> list[str]:
    """Which variant agrees with the order of the paper's rows, and in which reading more of the paper is found."""
    if not any(study.orders.values()):
        return []
    level = study.spec.level
    lines = [
        f"| Variant | {' | '.join(TITLES.values())} | all | surely as in the paper | surely the other way |",
        f"| --- |{' ---: |' * (len(TITLES) + 3)}",
    ]
    for variant, mine in study.orders.items():
        counts = [agreement.count(mine, level, column) for column in TITLES]
        total = agreement.count(mine, level)
        cells = [f"{one.agree} of {one.pairs}" for one in (*counts, total)]
        lines.append(f"| {variant or study.run} | {' | '.join(cells)} | {total.sure} | {total.sure_against} |")
    told = (
        "Pairs of rows that stand in the order of the paper's Table 1, on both splits; our mIoU is of all clips. Sure: "
        f"the difference is not chance at {100 * level:g} %, corrected over all pairs and variants (Holm)."
    )
    verdict = agreement.verdict(study.judged, study.orders, level)
    title = "Which reading agrees with the paper" if verdict else "The order of the paper's rows"
    return [f"## {title}", f"{verdict} {told}".strip(), "\n".join(lines)]


def _method(study: Study) -> str:
    spec = study.spec
    family = len(spec.claims) * len(study.judged)
    return (
        "Directions and margins were written down before the run. Differences are paired by case and seed, seeds are "
        "averaged within a case, and cases are what is independent (FID and KID: cases are resampled, all clips of a "
        f"case together, and the spread is taken). A claim needs {spec.cases} cases on each of its splits. It must be "
        "true on all of its splits and against all of its rivals; p-values are two-sided, by Student's t over cases, "
        f"and corrected over all {family} verdicts after Holm, at {100 * spec.level:g} %. *Fails* means that on some "
        "split, or against some rival, the difference is shown at that level to fall short of what is claimed, margin "
        "included; *open* that neither is shown. mIoU is `miou_all`: every clip counts, found or not. FID and KID are "
        "against the run's ground truth, the asked scenes as the pocket world draws them, both splits together, on the "
        "frame features of the named encoder (CLIP's say little of texture); KID leaves out pairs of frames of one "
        "video."
    )


def _verdict(one: Judged) -> str:
    return f"**{one.verdict}** ({one.why})" if one.why else f"**{one.verdict}**"


def _deciding(one: Judged) -> str:
    """What a verdict hangs on, below it."""
    found = one.deciding
    if found is None or any(part.missing for part in one.comparisons):
        return ""
    return f"<br>{_difference(one.claim, found)}, against {_name(found.rival)}, {found.split}"


def _difference(claim: Claim, one: Comparison) -> str:
    metric = METRICS[claim.metric]
    value, low, high = (f"{number:+.{metric.decimals}f}" for number in (one.value, one.low, one.high))
    return f"{metric.short} {value} ({f'{low} to {high}' if one.cases > 1 else 'one case'})"


def _asked(claim: Claim) -> str:
    """The margin: without it a difference in the claimed direction, but too small, would read as a contradiction."""
    if not claim.margin:
        return ""
    higher = claim.direction == "higher"
    limit = claim.margin if higher else -claim.margin
    return f" (claimed: {METRICS[claim.metric].short} {'above' if higher else 'below'} {limit:+g})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _details(study: Study, place: int) -> str:
    """A claim's numbers: a line for each split and rival, a column for each variant."""
    claim, judged = study.spec.claims[place], study.of(place)
    margin = f", by more than {claim.margin:g}" if claim.margin else ""
    heads = [str(variant) or "Difference" for variant in study.judged]
    lines = [f"| On | Against | {' | '.join(heads)} | Cases |", f"| --- | --- |{' ---: |' * (len(heads) + 1)}"]
    for same in zip(*(one.comparisons for one in judged), strict=True):
        cells = (_difference(claim, one) if one.cases else one.missing for one in same)
        cases = max(one.cases for one in same) or "–"
        lines.append(f"| {same[0].split} | {_name(same[0].rival)} | {' | '.join(cells)} | {cases} |")
    return "\n\n".join(
        [
            f"### {claim.text}",
            f"The paper: {claim.paper} Tested: {METRICS[claim.metric].title}, {_name(claim.row)} {claim.direction}"
            f"{margin}.{_rests(study, place)}",
            "\n".join(lines),
        ]
    )


def _rests(study: Study, place: int) -> str:
    told = [
        ", ".join(f"{rest.key} ({rest.verdict})" for rest in mine[place].rests) or "none"
        for mine in study.judged.values()
    ]
    if set(told) == {"none"}:
        return ""
    if len(set(told)) == 1:
        return f" Rests on facts of the calibration: {told[0]}."
    each = "; ".join(f"{variant}: {one}" for variant, one in zip(study.judged, told, strict=True))
    return f" Rests on facts of the calibration: {each}."


def _settings(told: Mapping[str, tuple[str, str]]) -> list[str]:
    """A table of the rows and what they were set to."""
    rows = [f"| {_name(label)} | {name} | {about} |" for label, (name, about) in told.items()]
    if not rows:
        return []
    head = ["| Row | Settings | What they are |", "| --- | --- | --- |"]
    return ["## The rows", settings_notes.NAMES, "\n".join([*head, *rows])]


def _name(row: str | float) -> str:
    return paper.print_name(row) if isinstance(row, str) else f"{row:g}"
