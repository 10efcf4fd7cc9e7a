"""From counts to a board: everything that the leaderboard shows, as `ranking.board.board_format` describes it. No Django.

The board names models by the ids it was given; the pages put names to them when they are shown, so that a model under a
codename needs no new fit on the day it is revealed. The same inputs give the same board, to the last bit.
"""
