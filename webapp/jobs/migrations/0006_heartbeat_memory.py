from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0005_counterfactuals"),
    ]

    operations = [
        migrations.AddField(
            model_name="workerheartbeat",
            name="memory",
            field=models.PositiveBigIntegerField(
                blank=True, help_text="Bytes of the device, in all.", null=True
            ),
        ),
    ]
