"""Estimators of pairwise comparison: numpy, scipy and statsmodels, no Django; usable as a library.

`tally.Tally` (battles folded into cells) goes in; logits in the mean-zero gauge, covariances and plain figures come out.
"""
