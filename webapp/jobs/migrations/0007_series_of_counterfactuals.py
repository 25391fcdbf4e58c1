from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0006_heartbeat_memory"),
    ]

    operations = [
        migrations.AddField(
            model_name="edited",
            name="original",
            field=models.BinaryField(
                default=bytes,
                help_text="Of a series: its source on the same grid, [slices, rows, columns]; empty: one slice.",
            ),
        ),
    ]
