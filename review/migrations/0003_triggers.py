"""What the database does by itself: it tallies documents by state, and refuses a set too long."""

from django.db import migrations

# One statement may change many documents: each adds its sums. Rows are only ever added here,
# so that of two transactions none waits for the other; the sweeper puts them together.
POSTGRESQL = [
    """
    CREATE FUNCTION review_tally() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO review_tally (project_id, state, change)
            SELECT project_id, state, count(*) FROM fresh GROUP BY project_id, state;
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO review_tally (project_id, state, change)
            SELECT project_id, state, -count(*) FROM stale GROUP BY project_id, state;
        ELSE
            INSERT INTO review_tally (project_id, state, change)
            SELECT project_id, state, sum(change) FROM (
                SELECT project_id, state, 1 AS change FROM fresh
                UNION ALL SELECT project_id, state, -1 FROM stale
            ) AS changes GROUP BY project_id, state HAVING sum(change) <> 0;
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER review_tally_insert AFTER INSERT ON review_document
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION review_tally()
    """,
    """
    CREATE TRIGGER review_tally_update AFTER UPDATE ON review_document
    REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION review_tally()
    """,
    """
    CREATE TRIGGER review_tally_delete AFTER DELETE ON review_document
    REFERENCING OLD TABLE AS stale FOR EACH STATEMENT EXECUTE FUNCTION review_tally()
    """,
    """
    CREATE FUNCTION review_most_tags() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.position > (
            SELECT max_tags FROM review_project
            JOIN review_document ON review_document.project_id = review_project.id
            JOIN review_decision ON review_decision.document_id = review_document.id
            WHERE review_decision.id = NEW.decision_id
        ) THEN
            RAISE EXCEPTION 'more tags than the project allows'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'decision_most_tags';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER review_most_tags BEFORE INSERT OR UPDATE ON review_decisiontag
    FOR EACH ROW EXECUTE FUNCTION review_most_tags()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER review_tally_insert ON review_document",
    "DROP TRIGGER review_tally_update ON review_document",
    "DROP TRIGGER review_tally_delete ON review_document",
    "DROP FUNCTION review_tally()",
    "DROP TRIGGER review_most_tags ON review_decisiontag",
    "DROP FUNCTION review_most_tags()",
]

COUNT = """
    INSERT INTO review_tally (project_id, state, change)
    SELECT {row}.project_id, {row}.state, 0 WHERE NOT EXISTS (
        SELECT 1 FROM review_tally WHERE project_id = {row}.project_id AND state = {row}.state
    );
    UPDATE review_tally SET change = change {by}
    WHERE project_id = {row}.project_id AND state = {row}.state;
"""
MORE, LESS = COUNT.format(row="NEW", by="+ 1"), COUNT.format(row="OLD", by="- 1")
SQLITE = [
    f"CREATE TRIGGER review_tally_insert AFTER INSERT ON review_document BEGIN {MORE} END",
    f"""
    CREATE TRIGGER review_tally_update AFTER UPDATE OF state, project_id ON review_document
    WHEN OLD.state <> NEW.state OR OLD.project_id <> NEW.project_id BEGIN {LESS} {MORE} END
    """,
    f"CREATE TRIGGER review_tally_delete AFTER DELETE ON review_document BEGIN {LESS} END",
    """
    CREATE TRIGGER review_most_tags BEFORE INSERT ON review_decisiontag
    WHEN NEW.position > (
        SELECT max_tags FROM review_project
        JOIN review_document ON review_document.project_id = review_project.id
        JOIN review_decision ON review_decision.document_id = review_document.id
        WHERE review_decision.id = NEW.decision_id
    ) BEGIN SELECT RAISE(ABORT, 'more tags than the project allows'); END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER review_tally_insert",
    "DROP TRIGGER review_tally_update",
    "DROP TRIGGER review_tally_delete",
    "DROP TRIGGER review_most_tags",
]
FIRST = """
    INSERT INTO review_tally (project_id, state, change)
    SELECT project_id, state, count(*) FROM review_document GROUP BY project_id, state
"""


def forwards(apps, schema_editor):
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in [*(POSTGRESQL if on_postgresql else SQLITE), FIRST]:
        schema_editor.execute(statement)


def backwards(apps, schema_editor):
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in POSTGRESQL_BACK if on_postgresql else SQLITE_BACK:
        schema_editor.execute(statement)
    schema_editor.execute("DELETE FROM review_tally")


class Migration(migrations.Migration):
    dependencies = [("review", "0002_desk")]

    operations = [migrations.RunPython(forwards, backwards)]
