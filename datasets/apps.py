"""The Django app of releases. `datasets/__init__.py` stays empty: the name is also a Hugging Face package's."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DatasetsConfig(AppConfig):
    name = "datasets"
    verbose_name = _("Datasets")
