"""The one exception type for input that a user can mend."""


class SubcoreError(ValueError):
    """Bad input: the message names the file, line or knob and says what to do. The command line prints it, exits 1."""
