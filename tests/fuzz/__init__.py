"""Broken inputs of every kind that a user may hand over, through the commands and functions that read them.

`python -m tests.fuzz --minutes 60 --seed N` from the project's root. The rule: an input ends as a right result, or as
one line that says what is wrong with it; never as a failure of pixcore, a hang, or memory without bound.
"""
