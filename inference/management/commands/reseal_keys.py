"""manage.py reseal_keys: after AGON_SEAL_KEYS=new,old, seal every stored key under the new one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from inference.models import EngineEndpoint
from inference.sealed import WrongSealKey


class Command(BaseCommand):
    help = "Seal every stored endpoint key under the first key of AGON_SEAL_KEYS; then the old one can be dropped."

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            endpoints = list(EngineEndpoint.objects.select_for_update().exclude(sealed_key=""))
            for endpoint in endpoints:
                try:
                    endpoint.set_key(endpoint.open_key())
                except WrongSealKey as error:
                    raise CommandError(f"{endpoint}: {error}") from None
                endpoint.save(update_fields=["sealed_key"])
        self.stdout.write(f"{len(endpoints)} keys are sealed under the first key of AGON_SEAL_KEYS.")
