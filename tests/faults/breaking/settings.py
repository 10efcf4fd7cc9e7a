"""The site's settings, with the app that breaks things."""

from arena.settings import *  # noqa: F403
from arena.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.breaking.apps.Breaking"]
