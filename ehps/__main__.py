"""``python -m ehps``: the command line."""

from ehps.cli import main

main(prog_name="ehps")
