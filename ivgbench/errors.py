"""The one error a user's input can cause: the command line prints it as a single line and exits with code 2."""


class UserError(ValueError):
    """Something the user gave is wrong. The message says what, where and what to do, in one line whatever it quotes."""

    def __init__(self, message: str):
        super().__init__(" ".join(line.strip() for line in message.splitlines()))
