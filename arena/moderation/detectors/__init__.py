"""Pure functions of text: no Django, no network, time linear in the text."""
