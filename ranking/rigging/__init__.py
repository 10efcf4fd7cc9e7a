"""The red team: published ways to rig a board, replayed against the counts with the watch's rules off and on. Django-free."""
