"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something that the user gave cannot be used.

    The message says what was given, what is allowed, and what to do next. Entry points print it
    without a traceback and exit with status 2; every other exception is a bug and keeps its traceback.
    """
