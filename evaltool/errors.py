"""The one exception that means: the user's data or request cannot be used."""


class EvaltoolError(Exception):
    """A problem that its reader can mend; the message says what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """
