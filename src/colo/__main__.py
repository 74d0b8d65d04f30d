"""`python -m colo`: the same as the command `colo`."""

from colo.cli import main

main()
