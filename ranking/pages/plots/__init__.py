"""Plots as SVG, made on the server from numbers: no script, colours from the page's stylesheet, the same figures in a table.

One file per plot; each makes a `Plot`, or None where the board has nothing to show in it. Sizes are bounded: a plot shows the
first models of the board and says how many it leaves out; the downloads hold all.
"""
