"""`python -m subcore`: the command line without the installed script."""

from subcore.cli import main

main()
