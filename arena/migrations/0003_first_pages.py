"""The first versions of the operator's pages, and the one row of site switches."""

from django.db import migrations

from arena import pages


def write(apps, schema_editor):
    pages.install(apps.get_model("arena", "Page"), apps.get_model("arena", "PageVersion"))
    apps.get_model("arena", "SiteConfig").objects.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("arena", "0002_revision_immutable")]
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
