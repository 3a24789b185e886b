"""Standard output and error that never stop the work: whatever their encoding, and whoever has stopped listening."""

from __future__ import annotations

import codecs
import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: What ivgbench prints beyond ASCII, in ASCII. Anything else that an encoding lacks is escaped, as JSON does it.
LOOK_ALIKES = {
    "–": "-", "—": "-", "×": "x", "±": "+-", "↑": "^", "↓": "v", "≥": ">=", "≤": "<=", "…": "...", "’": "'", "•": "*",
}  # fmt: skip


def _spelled(fault: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: other characters for those that an encoding does not have."""
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    return "".join(map(spell, fault.object[fault.start : fault.end])), fault.end


def spell(character: str) -> str:
    """A character in ASCII."""
    if character in LOOK_ALIKES:
        return LOOK_ALIKES[character]
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


codecs.register_error("ivgbench", _spelled)


#: Characters that tell a terminal to do something, or turn a text around: prompts, labels and files' names may bring
#: them. Colours, and what progress bars move by, stay.
_COMMANDS = re.compile(
    "\x1b(?!\\[[0-9;?]*[mKAhl])|[\0-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


class Steady:
    """A text stream whose writes do not fail. What cannot be written is dropped; `fault` is the first reason.

    What would command a terminal is written as an escape.
    """

    def __init__(self, stream: Any):
        self._stream = stream
        self.fault: OSError | None = None
        # A stream of somebody else's (a notebook's, a test's) may have no encoding of its own.
        with suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="ivgbench")

    def write(self, text: str) -> int:
        try:
            self._stream.write(_COMMANDS.sub(lambda found: spell(found[0]), text))
        except OSError as fault:
            self._drop(fault)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as fault:
            self._drop(fault)

    def _drop(self, fault: OSError) -> None:
        self.fault = self.fault or fault
        # What is still in the buffer, and all that comes, goes nowhere: Python itself flushes once more when it ends.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def steady() -> Iterator[None]:
    """While open, printing does not fail.

    A reader that left early (`| head -1`) wanted no more, and is no error. Output that a full disk swallowed is told
    on stderr and is exit code 1, once the work is done.
    """
    _open_all()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, _ = Steady(before[0]), Steady(before[1])
    try:
        yield
    finally:
        ended, lost = sys.exc_info()[1], _lost(out)
        sys.stdout, sys.stderr = before
        if lost and (ended is None or (isinstance(ended, SystemExit) and not ended.code)):
            sys.exit(1)


def _lost(out: Steady) -> bool:
    """Whether what was printed is gone for another reason than that nobody reads it, which is then told."""
    sys.stdout.flush()
    if out.fault is None or out.fault.errno in (errno.EPIPE, errno.EINVAL):  # EINVAL: a closed pipe on Windows
        lost = False
    else:
        print(f"ivgbench: the output could not be printed: {out.fault.strerror}", file=sys.stderr)
        lost = True
    sys.stderr.flush()
    return lost


def _open_all() -> None:
    """Opens what was closed by the caller (`>&-`): the next file would get its number, and be printed into."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one; workers inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if number and getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
