"""Decisions are kept as they are, by the database itself; their chain, and revocations.

Rows of the tables in KEPT are only ever added. What else PostgreSQL could do to them, TRUNCATE,
is left to whoever owns the tables: it is what `manage.py flush` does.
"""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

KEPT = ("decision", "decisiontag", "person", "link")
# A revocation also says how far its work is.
ACT = "project_id, reviewer_id, verb, reason, by_id, created_at"
FORBIDDEN = [
    *((f"review_{name}", verb, verb) for name in KEPT for verb in ("UPDATE", "DELETE")),
    ("review_revocation", "UPDATE", f"UPDATE OF {ACT}"),
    ("review_revocation", "DELETE", "DELETE"),
]

POSTGRESQL = [
    """
    CREATE FUNCTION review_kept() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'rows of % are kept: they are neither changed nor deleted', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    *(
        f"CREATE TRIGGER {table}_kept_{verb.lower()} BEFORE {event} ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION review_kept()"
        for table, verb, event in FORBIDDEN
    ),
]
SQLITE = [
    f"CREATE TRIGGER {table}_kept_{verb.lower()} BEFORE {event} ON {table} BEGIN "
    f"SELECT RAISE(ABORT, 'rows of {table} are kept: they are neither changed nor deleted'); END"
    for table, verb, event in FORBIDDEN
]


def forwards(apps, schema_editor):
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in POSTGRESQL if on_postgresql else SQLITE:
        schema_editor.execute(statement, params=None)


def backwards(apps, schema_editor):
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    for table, verb, _event in FORBIDDEN:
        on_table = f" ON {table}" if on_postgresql else ""
        schema_editor.execute(f"DROP TRIGGER {table}_kept_{verb.lower()}{on_table}")
    if on_postgresql:
        schema_editor.execute("DROP FUNCTION review_kept()")


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0017_release_event'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Link',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('sha256', models.CharField(help_text="Of the last link's and of what the decision says.", max_length=64)),
                ('parts', models.CharField(help_text='The beginning of the sha256 of each part of what it says.', max_length=60)),
                ('decision', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='link', to='review.decision')),
            ],
        ),
        migrations.CreateModel(
            name='Person',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.UUIDField(default=uuid.uuid4, unique=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='person', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Revocation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verb', models.CharField(choices=[('revoke', 'Revoked'), ('restore', 'Taken back')], max_length=10)),
                ('reason', models.CharField(max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('waiting', models.BooleanField(default=True, help_text='It is not done on all documents yet.')),
                ('reached', models.BigIntegerField(default=0, help_text='The last document that it is done on.')),
                ('documents', models.PositiveIntegerField(default=0, help_text='Changed by it so far.')),
                ('by', models.ForeignKey(blank=True, help_text='Empty for a command on the server.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='revocations', to='review.project')),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='revocations', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'reviewer', '-id'], name='revocation_latest'), models.Index(condition=models.Q(('waiting', True)), fields=['id'], name='revocation_waiting')],
            },
        ),
        migrations.RunPython(forwards, backwards),
    ]
