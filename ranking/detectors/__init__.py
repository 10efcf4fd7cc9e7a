"""Who votes oddly: tests of one voter's votes, or of a group's, against what everybody else said. Pure numpy/scipy, no Django.

All of them ask the same question: could these votes have come from the outcome probabilities of the history? What each may cost
honest voters (its nominal rate) stands in its header; docs/abuse.md has the table with the measured ones.
"""
