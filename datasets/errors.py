"""The one kind of error that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something outside the program is wrong: one line that says what, where and what to do about it.

    Stages print the message and exit with status 1; any other exception is a defect and keeps its traceback.
    """


class DataError(UserError):
    """A file is missing, truncated, altered or not what it claims to be."""
