"""What a project may spend, and what a model costs."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0015_release'),
    ]

    operations = [
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(max_length=200, unique=True)),
                ('tokens_in', models.FloatField(default=0)),
                ('cached', models.FloatField(blank=True, help_text='Empty: as all that is sent.', null=True)),
                ('tokens_out', models.FloatField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name='batch',
            name='money_held',
            field=models.BigIntegerField(default=0, help_text='In millionths.'),
        ),
        migrations.AddField(
            model_name='batch',
            name='tokens_held',
            field=models.BigIntegerField(default=0),
        ),
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tokens_a_day', models.BigIntegerField(blank=True, help_text='Empty: no cap.', null=True)),
                ('tokens_in_all', models.BigIntegerField(blank=True, help_text='Empty: no cap.', null=True)),
                ('money_a_day', models.BigIntegerField(blank=True, help_text='In millionths.', null=True)),
                ('money_in_all', models.BigIntegerField(blank=True, help_text='In millionths.', null=True)),
                ('day', models.DateField(blank=True, help_text='The last one with a call, in UTC.', null=True)),
                ('day_tokens', models.BigIntegerField(default=0)),
                ('day_money', models.BigIntegerField(default=0)),
                ('all_tokens', models.BigIntegerField(default=0)),
                ('all_money', models.BigIntegerField(default=0)),
                ('project', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='budget', to='review.project')),
            ],
        ),
    ]
