"""The one error a user's input can cause: the command line prints it as a single line and exits with code 2."""


class UserError(ValueError):
    """Something the user gave is wrong. The message says what, where and what to do, in one line whatever it quotes.

    Reasons are stored and hashed: what is in no encoding (names of files may be any bytes) is written as an escape.
    """

    def __init__(self, message: str):
        line = " ".join(line.strip() for line in message.splitlines())
        super().__init__(line.encode(errors="backslashreplace").decode())


def first_line(fault: BaseException, length: int = 200) -> str:
    """The first line of what a library's error says, cut where it would hide the message; "" where it says nothing."""
    return (str(fault).splitlines() or [""])[0][:length]


def named_line(fault: BaseException, length: int = 200) -> str:
    """The same behind the error's kind."""
    return f"{type(fault).__name__}: {first_line(fault, length)}"
