"""What protecting a VM takes, from what it does: docs/sizing.md has the formulas and their sources.

`inputs.py` has what is put in, `costs.py` what one checkpoint costs, `rhythm.py` how often there is one,
`plan.py` all of it together.
"""
