from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_adapter")]

    operations = [
        migrations.AddField(
            model_name="generativemodel",
            name="companions",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="Files beside the weights: name, SHA-256 and bytes of each index of training cases.",
            ),
        ),
    ]
