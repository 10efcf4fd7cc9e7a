#!/usr/bin/env python
"""Every operator job is one command: `python manage.py help` lists them."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # says what to write; where it was noticed helps nobody
        sys.exit(f"{error}")
