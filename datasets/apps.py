"""The Django app of releases. `datasets/__init__.py` stays empty: the name is also a Hugging Face package's."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "datasets"
    verbose_name = "Datasets"
