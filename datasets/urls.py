"""Addresses of releases; included by arena/urls.py by name. Files of published releases are served in front of Django."""

from django.urls import path, re_path

from datasets import views

# The characters of paths that releases have, so that nothing else reaches the database or the disk.
FILE = r"^datasets/(?P<name>[a-z0-9][a-z0-9_-]{0,59})/(?P<path>[A-Za-z0-9][A-Za-z0-9._/-]{0,119})$"

urlpatterns = [
    path("datasets", views.index, name="datasets"),
    path("datasets/removals.txt", views.removed, name="removals"),
    path("datasets/<slug:name>/", views.detail, name="release"),
    re_path(FILE, views.file, name="release_file"),
]
