"""From counts to stored boards: which are fitted, from what, and what is kept beside them."""
