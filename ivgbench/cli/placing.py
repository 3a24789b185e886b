"""What `generate` and `compare` are asked to show: a prompt, its subjects, and the boxes of each, as options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from ivgbench.errors import UserError
from ivgbench.texts import short

if TYPE_CHECKING:
    from ivgbench.cases import Case

#: Under this name a command's context has the order in which its options were given.
_ORDER = "ivgbench.order"

Prompt = Annotated[str, typer.Argument(help="What the clip shows.")]
Subjects = Annotated[
    list[str],
    typer.Option("--subject", help="Words of the prompt to place; its boxes follow. Repeat for another subject."),
]
Boxes = Annotated[
    list[str],
    typer.Option(
        "--box", help="FRAME:x0,y0,x1,y1 in fractions of the frame, of the subject before it; repeat. Linear between."
    ),
]
Keyframes = dict[int, tuple[float, ...]]


class Placing(TyperCommand):
    """A command with --subject and --box. Which box stands after which subject is lost once options are lists."""

    # Of any type: the class of contexts that typer's commands are parsed with is not part of its interface.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        *_, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[_ORDER] = [one.name for one in order]
        return super().parse_args(ctx, args)


def case_of(ctx: typer.Context, prompt: str, subjects: Sequence[str], boxes: Sequence[str], frames: int) -> Case:
    """The case that a `Placing` command was asked for, one box per frame.

    Args:
        subjects, boxes: values of its options, in their order.
    Raises:
        UserError: a box before any subject, a subject without a box or named twice, what is no box, two boxes for one
            frame, a frame that the clip has not, and all that `check_case` refuses.
    """
    from ivgbench.boxes import interpolate
    from ivgbench.cases import Case, Subject, check_case

    made = []
    for phrase, keyframes in _keyframes(ctx.meta[_ORDER], subjects, boxes):
        try:
            made.append(Subject(phrase, interpolate(keyframes, frames)))
        except UserError as fault:
            raise UserError(f"--box of --subject {short(phrase)}: {fault}") from None
    return check_case(Case("clip", prompt, tuple(made)), str(ctx.info_name))


def _keyframes(order: Sequence[str], subjects: Sequence[str], boxes: Sequence[str]) -> list[tuple[str, Keyframes]]:
    """Each subject with the boxes that follow it."""
    from ivgbench.cases import spelling

    phrases, texts = iter(subjects), iter(boxes)
    found: list[tuple[str, Keyframes]] = []
    for name in order:
        if name == "subject":
            phrase = next(phrases)
            if spelling(phrase) in [spelling(other) for other, _ in found]:
                raise UserError(f"--subject {short(phrase)} is given twice; give all its boxes after one --subject")
            found.append((phrase, {}))
        elif name == "box":
            _add(next(texts), found)
    for phrase, keyframes in found:
        if not keyframes:
            raise UserError(f"--subject {short(phrase)} has no box; write --box FRAME:x0,y0,x1,y1 after it")
    return found


def _add(text: str, found: list[tuple[str, Keyframes]]) -> None:
    """A box to the last subject."""
    if not found:
        raise UserError(f"--box {short(text)} is no subject's; write --subject before its boxes")
    frame, values = _keyframe(text)
    phrase, keyframes = found[-1]
    if frame in keyframes:
        of = f" of {short(phrase)}" if len(found) > 1 else ""
        raise UserError(f"--box {short(text)}: frame {frame}{of} has a box already; give each frame one")
    keyframes[frame] = values


def _keyframe(text: str) -> tuple[int, tuple[float, ...]]:
    """FRAME:x0,y0,x1,y1."""
    frame, colon, numbers = text.partition(":")
    try:
        values = tuple(float(number) for number in numbers.split(","))
        if not colon or len(values) != 4:
            raise ValueError
        return int(frame), values
    except ValueError:
        raise UserError(f"--box {short(text)}: write FRAME:x0,y0,x1,y1, e.g. 0:0.1,0.2,0.4,0.6") from None
