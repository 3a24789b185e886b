"""The calibration of a pocket model: its run, its probes, and the facts judged on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ivgbench.calibration import Calibration
from ivgbench.errors import UserError
from ivgbench.runs import runner
from ivgbench.runs.environment import environment
from ivgbench.runs.identity import GROUND_TRUTH, Entry
from ivgbench.runs.planning import Plan, make_plan
from ivgbench.runs.progress import log
from ivgbench.runs.spec import RunSpec
from ivgbench.store.runs import Store
from ivgbench.study import evidence, measures, recording
from ivgbench.study.claims import Sample
from ivgbench.study.facts import PROBES, FactsSpec, findings

#: The row whose tokens are each case's end token and what follows it, as many as TrailBlazer's release edits.
PADDING_ONLY, TRAILING = "padding-only", 15
#: Masks read to the letter, recorded as the others are: label -> the label that recordings know.
LITERAL = {"masks-alone-literal": recording.MASKED, "mask-norm-literal": recording.NORMALISED}

Tokens = Callable[[str], int]


def token_counter(source: str) -> Tokens:
    """prompt -> its number of tokens without those around the words, by the tokenizer of a backbone. Loads no
    weights."""
    from ivgbench.generator.backbones import layout, sources
    from ivgbench.generator.backbones.base import family

    folder = sources.locate(source)
    reader = family(layout.family(folder)).reader_of(folder)
    return lambda prompt: len(reader.phrase_ids(prompt)) - reader.start - 1


def plan_of(spec: RunSpec, lab: Any, tokens: Tokens | None) -> Plan:
    """A run's plan, in which the row `PADDING_ONLY` edits the end token of each case's prompt and the 14 after it."""
    plan = make_plan(spec, lab)
    return plan._replace(entries=tuple(_on_padding(entry, lab, tokens) for entry in plan.entries))


def _on_padding(entry: Entry, lab: Any, tokens: Tokens | None) -> Entry:
    if entry.label != PADDING_ONLY:
        return entry
    if tokens is None:
        raise ValueError(f"the row {PADDING_ONLY} needs a counter of tokens")
    end = tokens(entry.case.prompt + entry.job.sampling.prompt_suffix) + 1
    options = {**entry.job.changed, "token_indices": tuple(range(end, end + TRAILING)), "trailing_length": 0}
    job = replace(entry.job, **lab.resolve(entry.job.method, options)._asdict())
    return replace(entry, job=job, settings=f"{entry.settings}, token_indices by case")


def run_of(asked: RunSpec, weights: str, cases: int | None) -> RunSpec:
    """The run with a name of its own for each model, so that calibrations of several stand side by side."""
    name = f"{asked.name}-{weights[:8]}{'' if cases is None else f'-{cases}'}"
    return replace(asked, name=name, cases=asked.cases if cases is None else cases)


def calibrate(
    spec: FactsSpec,
    plan: Plan,
    store: Store,
    lab: Any,
    engine: Any,
    tokens: Tokens | None,
    command: str,
    lacking: Mapping[str, str] | None = None,
) -> tuple[Calibration, dict[tuple[str, str], Sample]]:
    """Makes what is missing of the run and the probes, and judges every fact; also returns the samples behind it.

    Args:
        command: what to type to make it again. lacking: rows that the backbone cannot make -> why.
    Raises:
        UserError: a clip or a probe could not be made.
    """
    log(f"run {plan.spec.name}: {len(plan.jobs)} clips in all")
    # First the recordings, which bring their clips along.
    seen, literal = (_recorded(one, store, lab, engine) for one in (plan, _literal(plan)))
    outcome = runner.run(plan, store, lab, engine)
    samples = evidence.samples(store.root, outcome.run, {})
    if seen is not None:
        samples |= evidence.activation_samples(seen)
    if literal is not None:
        named = {recording.BASELINE: recording.BASELINE, **{known: label for label, known in LITERAL.items()}}
        samples = measures.joined(samples, evidence.renamed(evidence.activation_samples(literal), named))
    samples |= measures.across_splits(samples) | measures.attained_sim(store.root, outcome.run)
    if any(fact.metric in PROBES for fact in spec.used()):
        from ivgbench.study import probes

        if tokens is None:
            raise ValueError("probes need a counter of tokens")
        items = probe_items(plan, tokens)
        samples |= measures.of_probes(probes.measure(store, lab, engine, items))
    made = Calibration(
        plan.facts.backbone, plan.facts.weights, outcome.run, spec.cases, plan.spec.seeds, command,
        environment(), tuple(findings(spec, samples, lacking)),
    )  # fmt: skip
    return made, samples


def _recorded(plan: Plan, store: Store, lab: Any, engine: Any) -> recording.Activations | None:
    return recording.record(plan, store, engine, lab.device()) if recording.in_plan(plan) else None


def _literal(plan: Plan) -> Plan:
    """The unmasked row and the rows under literal masks, as recordings call them."""
    entries = [
        replace(entry, label=LITERAL.get(entry.label, entry.label))
        for entry in plan.entries
        if entry.label in (recording.BASELINE, *LITERAL)
    ]
    return plan._replace(entries=tuple(entries))


def probe_items(plan: Plan, tokens: Tokens) -> list[tuple[Any, str]]:
    """The plain jobs of the plan's first seed, each with the caption that lends its padding."""
    from ivgbench.study.probes import partner

    found = []
    for entry in plan.entries:
        if entry.label == recording.BASELINE and entry.seed == plan.spec.seeds[0]:
            prompts = [case.prompt for case in plan.suites[entry.suite].cases]
            found.append((entry.job, partner(entry.case.prompt, prompts, tokens)))
    if not found:
        raise UserError(f"run {plan.spec.name!r} has no row {recording.BASELINE!r}: there is nothing to probe")
    return found


def rows(
    plan: Plan, samples: Mapping[tuple[str, str], Sample], metrics: tuple[str, ...]
) -> list[tuple[str, str, list[float]]]:
    """(row, split, values of the metrics) of every method, in the plan's order."""
    shown = dict.fromkeys((entry.split, entry.label) for entry in plan.entries if entry.label != GROUND_TRUTH)
    return [(label, split, [samples[metric, split].values[label] for metric in metrics]) for split, label in shown]
