from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class RankingConfig(AppConfig):
    name = "ranking"
    verbose_name = gettext_lazy("Ranking")
    default_auto_field = "django.db.models.BigAutoField"
