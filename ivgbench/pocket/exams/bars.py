"""What plain samples of a pocket base model must reach, and a table of all models against it, side by side."""

from __future__ import annotations

from collections.abc import Mapping

#: The captions that bars are put to; FID needs more.
FIRST = 256
PART = f"one subject, first {FIRST} captions"
#: What is measured -> the least share of clips, or of the way from CLIP-SIM's floor to its ceiling.
LEAST = {
    "coverage": 0.95,
    "colour right": 0.9,
    "shape right": 0.9,
    "background right": 0.9,
    "CLIP-SIM, share of the attainable": 0.95,
}
#: What is measured -> the same of the scenes as the world draws them.
MOTION = {
    "speed, px/frame": "speed in the world, px/frame",
    "acceleration, px/frame^2": "acceleration in the world, px/frame^2",
}
#: The model that others must come nearer to the world's motion than.
REFERENCE = "pocket"
MET, MISSED, OPEN = "met", "missed", "open"

Exam = Mapping[str, Mapping[str, float]]


def off(exam: Exam, what: str) -> float:
    """How far a model's motion is from the world's on the same captions, in `what`'s unit."""
    return abs(exam[PART][what] - exam[PART][MOTION[what]])


def verdict(name: str, what: str, exams: Mapping[str, Exam]) -> str:
    """Whether a model meets a bar; "" where it has none.

    It is open on fewer captions than `FIRST`, and for motion while the `REFERENCE` has not sat its exam.
    """
    own = exams[name]
    if what in MOTION and name == REFERENCE:
        return ""
    if own[PART]["clips"] < FIRST or (what in MOTION and REFERENCE not in exams):
        return OPEN
    met = own[PART][what] >= LEAST[what] if what in LEAST else off(own, what) < off(exams[REFERENCE], what)
    return MET if met else MISSED


def table(exams: Mapping[str, Exam]) -> str:
    """All models against their bars, in Markdown: a column a model."""
    lines = [["measured", "asked", *exams], ["---"] * (2 + len(exams))]
    lines.append(["captions", str(FIRST), *(f"{exam[PART]['clips']:.0f}" for exam in exams.values())])
    for what, least in LEAST.items():
        cells = [f"{exam[PART][what]:.1%}" for exam in exams.values()]
        lines.append([what, f"at least {least:.0%}", *_marked(cells, what, exams)])
    for what, drawn in MOTION.items():
        cells = [f"{exam[PART][what]:.2f} (the world's {exam[PART][drawn]:.2f})" for exam in exams.values()]
        lines.append([what, f"nearer to the world's than {REFERENCE}'s", *_marked(cells, what, exams)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _marked(cells: list[str], what: str, exams: Mapping[str, Exam]) -> list[str]:
    """Numbers, each with its verdict. Of what is missed the number is bold."""
    told = [verdict(name, what, exams) for name in exams]
    return [
        cell if not word else f"**{cell}**, {word}" if word == MISSED else f"{cell}, {word}"
        for cell, word in zip(cells, told, strict=True)
    ]
