"""Let the database refuse to change or delete what readers said and did."""

from django.db import migrations

from webapp.core import append_only
from webapp.readings.append_only import GUARDS


def install(apps, schema_editor):
    append_only.install(schema_editor.connection, GUARDS)


def uninstall(apps, schema_editor):
    append_only.uninstall(schema_editor.connection, GUARDS)


class Migration(migrations.Migration):
    dependencies = [("readings", "0001_initial")]

    operations = [migrations.RunPython(install, uninstall)]
