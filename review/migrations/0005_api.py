"""What programs ask through, and what they are told; the triggers make a delivery for each
webhook, in the transaction that reviews or fails a document (docs/decisions/0008).
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# The columns of a Delivery. An event is named "document." and the new state.
DELIVERY = """
    INSERT INTO review_delivery
        (webhook_id, event, document_id, body, state, attempts, created_at, next_at)
    SELECT id, 'document.' || NEW.state, NEW.id, '', 'pending', 0, {now}, {now}
    FROM review_webhook
    WHERE project_id = NEW.project_id AND switched_off_at IS NULL AND {wanted};
"""
POSTGRESQL = [
    f"""
    CREATE FUNCTION review_announce() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        {DELIVERY.format(now="clock_timestamp()", wanted="events ? ('document.' || NEW.state)")}
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER review_announce_update AFTER UPDATE OF state ON review_document FOR EACH ROW
    WHEN (NEW.state IN ('reviewed', 'failed') AND NEW.state <> OLD.state)
    EXECUTE FUNCTION review_announce()
    """,
    """
    CREATE TRIGGER review_announce_insert AFTER INSERT ON review_document FOR EACH ROW
    WHEN (NEW.state IN ('reviewed', 'failed')) EXECUTE FUNCTION review_announce()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER review_announce_update ON review_document",
    "DROP TRIGGER review_announce_insert ON review_document",
    "DROP FUNCTION review_announce()",
]
HERE = DELIVERY.format(
    now="CURRENT_TIMESTAMP",
    wanted="EXISTS (SELECT 1 FROM json_each(events) WHERE value = 'document.' || NEW.state)",
)
SQLITE = [
    f"""
    CREATE TRIGGER review_announce_update AFTER UPDATE OF state ON review_document
    WHEN NEW.state IN ('reviewed', 'failed') AND NEW.state <> OLD.state BEGIN {HERE} END
    """,
    f"""
    CREATE TRIGGER review_announce_insert AFTER INSERT ON review_document
    WHEN NEW.state IN ('reviewed', 'failed') BEGIN {HERE} END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER review_announce_update",
    "DROP TRIGGER review_announce_insert",
]


def forwards(apps, schema_editor):
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in POSTGRESQL if on_postgresql else SQLITE:
        schema_editor.execute(statement)


def backwards(apps, schema_editor):
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in POSTGRESQL_BACK if on_postgresql else SQLITE_BACK:
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0004_find'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('started_at', models.DateTimeField()),
                ('milliseconds', models.PositiveIntegerField()),
                ('status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('answer', models.CharField(blank=True, max_length=500)),
                ('problem', models.CharField(blank=True, max_length=500)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event', models.CharField(choices=[('document.reviewed', 'A document is reviewed'), ('document.failed', 'A document has failed'), ('vocabulary.changed', 'The tag list has changed'), ('webhook.test', 'A test')], max_length=30)),
                ('body', models.TextField(blank=True)),
                ('state', models.CharField(choices=[('pending', 'Waits to be sent'), ('delivered', 'Delivered'), ('failed', 'Given up')], default='pending', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='Since it was made, or replayed by hand.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('next_at', models.DateTimeField(help_text='While it waits: not before this moment.')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
            },
        ),
        migrations.CreateModel(
            name='Token',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='What it is for.', max_length=100)),
                ('scopes', models.JSONField(help_text='A list: ["read", "write"].')),
                ('prefix', models.CharField(help_text='Its beginning, to tell it from others.', max_length=20)),
                ('sha256', models.CharField(max_length=64, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, help_text='To about a minute.', null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.CharField(max_length=2000)),
                ('events', models.JSONField(help_text='A list: ["document.reviewed"].')),
                ('secret', models.CharField(help_text='Signs what is sent: whsec_ and base64.', max_length=100)),
                ('vocabulary', models.CharField(blank=True, help_text='The sha256 of the tag list that was last announced.', max_length=64)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('failing_since', models.DateTimeField(blank=True, help_text='When the first attempt failed of those since a success.', null=True)),
                ('switched_off_at', models.DateTimeField(blank=True, null=True)),
                ('off_reason', models.CharField(blank=True, choices=[('hand', 'by hand'), ('gone', 'it answered 410: the address is gone for good'), ('silent', 'nothing came through for three days')], max_length=10)),
            ],
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['created_at', 'id'], name='decision_by_time'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(fields=['project', 'created_at', 'id'], name='document_by_time'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='document',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='review.document'),
        ),
        migrations.AddField(
            model_name='attempt',
            name='delivery',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='calls', to='review.delivery'),
        ),
        migrations.AddField(
            model_name='token',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tokens', to='review.project'),
        ),
        migrations.AddField(
            model_name='token',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tokens', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='webhook',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='webhooks', to='review.project'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='webhook',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='review.webhook'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['next_at', 'id'], name='delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['webhook', '-id'], name='delivery_latest'),
        ),
        migrations.RunPython(forwards, backwards),
    ]
