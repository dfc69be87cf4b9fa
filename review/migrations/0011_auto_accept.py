"""What a confidence is worth, the switch that lets documents through unseen, and which it let.

The trigger that keeps the tags of the documents page (migration 0004) learns that what was let
through stands as well.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# As in migration 0004, but for `purposes`.
GIVEN = """
    INSERT INTO review_given (tag_id, document_id)
    SELECT DISTINCT tag_id, document_id FROM (
        SELECT review_candidatetag.tag_id, review_standing.document_id, purpose
        FROM review_standing
        JOIN review_decision ON review_decision.id = review_standing.decision_id
        JOIN review_candidatetag ON review_candidatetag.candidate_id = review_decision.candidate_id
        WHERE review_standing.document_id = {row}.document_id
        UNION ALL
        SELECT review_decisiontag.tag_id, review_standing.document_id, purpose
        FROM review_standing
        JOIN review_decisiontag ON review_decisiontag.decision_id = review_standing.decision_id
        WHERE review_standing.document_id = {row}.document_id
    ) AS stands
    WHERE purpose = 'final' OR purpose IN ({purposes}) AND NOT EXISTS (
        SELECT 1 FROM review_standing AS last
        WHERE last.document_id = stands.document_id AND last.purpose = 'final'
    );
"""
AGAIN = "DELETE FROM review_given WHERE document_id = {row}.document_id;" + GIVEN
BEFORE, NOW = "'review'", "'review', 'machine'"


def postgresql(purposes):
    return [
        f"""
        CREATE OR REPLACE FUNCTION review_given() RETURNS trigger
        LANGUAGE plpgsql SET jit = off AS $$
        BEGIN
            IF TG_OP = 'TRUNCATE' THEN
                TRUNCATE review_given;
            ELSIF TG_OP = 'INSERT' THEN
                {AGAIN.format(row="NEW", purposes=purposes)}
            ELSE
                {AGAIN.format(row="OLD", purposes=purposes)}
            END IF;
            RETURN NULL;
        END $$
        """
    ]


def sqlite(purposes):
    return [
        "DROP TRIGGER review_given_insert",
        "DROP TRIGGER review_given_delete",
        f"""
        CREATE TRIGGER review_given_insert AFTER INSERT ON review_standing
        WHEN NEW.purpose <> 'repeat' BEGIN {AGAIN.format(row="NEW", purposes=purposes)} END
        """,
        f"""
        CREATE TRIGGER review_given_delete AFTER DELETE ON review_standing
        WHEN OLD.purpose <> 'repeat' BEGIN {AGAIN.format(row="OLD", purposes=purposes)} END
        """,
    ]


def forwards(apps, schema_editor):
    made = postgresql if schema_editor.connection.vendor == "postgresql" else sqlite
    for statement in made(NOW):
        schema_editor.execute(statement)


def backwards(apps, schema_editor):
    made = postgresql if schema_editor.connection.vendor == "postgresql" else sqlite
    for statement in made(BEFORE):
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0010_project_prompt'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # A word for what the column may hold already: the database has nothing to do, and on
        # SQLite must not make the table anew, which would drop its triggers.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='standing',
                    name='purpose',
                    field=models.CharField(choices=[('review', "One of the document's reviews"), ('repeat', 'The same document decided again, to compare'), ('final', "A curator's word, which ends the matter"), ('machine', 'Let through unseen: nobody has reviewed it')], default='review', max_length=10),
                ),
            ],
        ),
        migrations.CreateModel(
            name='Acceptance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('waiting', models.BooleanField(default=False, help_text='Kept for the audit, and perhaps not reviewed yet.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('decision', models.OneToOneField(blank=True, help_text="The machine's; empty for the audited, which people decide on.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='acceptance', to='review.decision')),
                ('document', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='acceptances', to='review.document')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='acceptances', to='review.project')),
                ('proposal', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='acceptance', to='review.proposal')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('waiting', True)), fields=['project', 'document'], name='acceptance_to_audit'), models.Index(condition=models.Q(('decision', None)), fields=['project', '-id'], name='acceptance_audited'), models.Index(fields=['project', 'created_at'], name='acceptance_by_time')],
            },
        ),
        migrations.CreateModel(
            name='AutoAccept',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('promise', models.FloatField(help_text='The share that is right, at least: 0.97.')),
                ('audit_share', models.FloatField(default=0.05, help_text='Of what is above the threshold, people review so much.')),
                ('on_at', models.DateTimeField(help_text='When it was last switched on.')),
                ('off_at', models.DateTimeField(blank=True, help_text='Empty: it is on.', null=True)),
                ('off_reason', models.CharField(blank=True, choices=[('hand', 'by hand'), ('audit', 'the audit found the promise broken')], max_length=10)),
                ('audited', models.PositiveIntegerField(default=0, help_text='When the audit switched it off.')),
                ('agreed', models.PositiveIntegerField(default=0, help_text='Of those, picked unchanged.')),
                ('on_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='auto_accept', to='review.project')),
                ('send_back_by', models.ForeignKey(blank=True, help_text='Who wants what was let through reviewed; empty when that is done.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('promise__gt', 0), ('promise__lt', 1)), name='auto_accept_promise_is_a_share'), models.CheckConstraint(condition=models.Q(('audit_share__gt', 0), ('audit_share__lte', 1)), name='auto_accept_audits_some')],
            },
        ),
        migrations.CreateModel(
            name='Calibration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(max_length=200)),
                ('prompt_version', models.CharField(max_length=100)),
                ('method', models.CharField(help_text='platt, isotonic, or constant.', max_length=10)),
                ('documents', models.PositiveIntegerField(help_text='Reviewed ones that it was fitted on.')),
                ('picked', models.PositiveIntegerField(help_text='Of those, first candidates picked unchanged.')),
                ('last_decision', models.BigIntegerField(help_text='The latest of those that it was fitted on.')),
                ('numbers', models.JSONField(help_text='See insight/confidence.py.')),
                ('curve', models.JSONField(help_text='Thresholds and what they would have let through.')),
                ('told_to', models.BigIntegerField(default=0, help_text='Proposals of before are told theirs up to this one; empty: all of them.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='calibrations', to='review.project')),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'model', 'prompt_version', '-id'], name='calibration_latest')],
            },
        ),
        migrations.RunPython(forwards, backwards),
    ]
