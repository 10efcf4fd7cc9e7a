"""A site that breaks where a text asks for it, quoting the text in the error: settings for `Stack`, never for the product."""
