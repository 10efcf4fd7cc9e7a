"""Where we print dates differently from Django's own formats of a language; the rest is Django's."""
