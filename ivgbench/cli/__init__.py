"""The command line. Results go to stdout, everything else to stderr. Nothing heavy is imported until it is needed.

Exit codes: 0; 1 when jobs failed; 2 for bad usage, told in one line.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ivgbench import __version__
from ivgbench.cli import (
    catalogue,
    claims,
    clip,
    compare,
    fetch,
    leaderboard,
    results,
    runs,
    snapshot,
    studio,
    study,
    verify,
)
from ivgbench.cli.placing import Placing
from ivgbench.cli.streams import steady
from ivgbench.errors import UserError
from ivgbench.extras import at_work, missing
from ivgbench.files import is_full, room_at
from ivgbench.texts import check_arguments, printable

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="""
Benchmarks training-free, box-controlled video generation: makes the clips, measures them, prints the tables.
""")  # fmt: skip


#: Commands that need one extra alone, where several bring what they lack.
EXTRAS = {"score": "metrics"}
#: What typer raises for wrong usage. It has a copy of click of its own, or uses the one that is installed.
UsageFault = next(one for one in typer.BadParameter.__mro__ if one.__name__ == "ClickException")


def main() -> None:
    """Entry point."""
    command = next((one for one in sys.argv[1:] if not one.startswith("-")), "")

    def work() -> None:
        with at_work(EXTRAS.get(command, "")):
            sys.exit(app(standalone_mode=False))

    in_one_line(work)


def in_one_line(task: Callable[[], object]) -> None:
    """Runs it; the errors that a user can cause, and a full disk, become one line on stderr and an exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    with steady(), stoppable() as signals:
        try:
            check_arguments(sys.argv[1:])
            task()
        except (typer.Abort, KeyboardInterrupt, SystemExit):
            if not signals and not isinstance(sys.exc_info()[1], typer.Abort):
                raise
            # typer makes an exit of its own of what a signal raises.
            print("ivgbench: stopped. All that was finished is kept: the same command goes on there", file=sys.stderr)
            sys.exit(128 + (signals or [signal.SIGINT])[0])
        except Exception as fault:
            told = _told(fault)
            if debug or told is None:
                raise
            print(f"ivgbench: {told[0]}", file=sys.stderr)
            sys.exit(told[1])


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """SIGTERM, which a scheduler of jobs sends, stops the work as Ctrl-C does: workers end, files are left whole.

    Yields the signals that came. A second one ends the process at once.
    """
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        came.append(number)
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        raise KeyboardInterrupt

    try:
        before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, which alone hears of signals
        yield came
        return
    try:
        yield came
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _told(fault: Exception) -> tuple[str, int] | None:
    """(line, exit code) for an error that needs no traceback; None for one that does."""
    from ivgbench.engines.base import DiskFull, StartFailed

    if isinstance(fault, ImportError):
        fault = missing(fault) or fault
    if isinstance(fault, UserError):
        return printable(" ".join(str(fault).split())), 2
    if isinstance(fault, UsageFault):
        return _usage(fault), 2
    if isinstance(fault, FloatingPointError):
        return f"{fault}; give another guidance scale or dtype, or other options", 1
    if isinstance(fault, DiskFull) or is_full(fault):
        room = fault if isinstance(fault, DiskFull) else room_at(fault)
        return f"the disk is full ({room}). All that was finished is kept: free some space and run the same again", 1
    if isinstance(fault, StartFailed):
        return f"the workers cannot start: {str(fault).splitlines()[0]} (--debug shows where)", 1
    if isinstance(fault, OSError) and fault.filename is not None:
        # Of a file that is renamed, the new name is the one that was asked for.
        return f"cannot use {fault.filename2 or fault.filename}: {fault.strerror} (--debug shows where)", 2
    return None


def _usage(fault: Any) -> str:
    """A usage error on one line, with the command whose --help says more."""
    command = fault.ctx.command_path if getattr(fault, "ctx", None) else "ivgbench"
    if type(fault).__name__ == "NoArgsIsHelpError":
        return f"no command given; see {command} --help"
    return f"{' '.join(fault.format_message().split()).rstrip('.')}; see {command} --help"


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ivgbench {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="The version, and nothing else.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks instead of one-line errors.")] = False,
) -> None:
    """Read in `main`, so that --debug may stand anywhere."""


app.command("run")(runs.run)
app.command("plan")(runs.plan_command)
app.command("score")(runs.score)
app.command("table")(results.table)
app.command("record")(results.record)
app.command("figure")(results.figure)
app.command("report")(results.report)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("claims")(claims.claims)
app.command("generate", cls=Placing)(clip.generate)
app.command("compare", cls=Placing)(compare.compare)
app.command("studio")(studio.studio)
app.add_typer(catalogue.suites_app, name="suites")
app.add_typer(snapshot.snapshot_app, name="snapshot")
app.add_typer(study.study_app, name="study")
app.command("list")(catalogue.list_command)
app.command("doctor")(catalogue.doctor)
app.command("fetch")(fetch.fetch)
app.command("verify")(verify.verify)
