"""Which files to train on: where files, cards, disks, rankings and finished runs meet the rules of selection.

``pool``: what may be chosen; ``small_runs``: what finished runs say; ``choice``: the choice; ``predictions``: what
rules lead to under other budgets. The command line, the report and the demo call the same functions.
"""
