"""What the documents page looks things up by: indexes, and two tables that triggers keep.

Neither table is a model: they are indexes that the database cannot be told to keep by itself
(docs/decisions/0006). `review_given` has the tags that stand for each document; it is read for
reviewed documents. `review_words`, on PostgreSQL only, has each document's words and its id.
"""

from django.db import migrations, models

GIVEN_TABLE = """
    CREATE TABLE review_given (
        tag_id bigint NOT NULL, document_id bigint NOT NULL, PRIMARY KEY (tag_id, document_id)
    )
"""
GIVEN_INDEX = "CREATE INDEX given_by_document ON review_given (document_id)"
# A curator's word ends the matter: beside it the reviews say nothing.
GIVEN = """
    INSERT INTO review_given (tag_id, document_id)
    SELECT DISTINCT tag_id, document_id FROM (
        SELECT review_candidatetag.tag_id, review_standing.document_id, purpose
        FROM review_standing
        JOIN review_decision ON review_decision.id = review_standing.decision_id
        JOIN review_candidatetag ON review_candidatetag.candidate_id = review_decision.candidate_id
        WHERE {which}
        UNION ALL
        SELECT review_decisiontag.tag_id, review_standing.document_id, purpose
        FROM review_standing
        JOIN review_decisiontag ON review_decisiontag.decision_id = review_standing.decision_id
        WHERE {which}
    ) AS stands
    WHERE purpose = 'final' OR purpose = 'review' AND NOT EXISTS (
        SELECT 1 FROM review_standing AS last
        WHERE last.document_id = stands.document_id AND last.purpose = 'final'
    );
"""
AGAIN = (
    "DELETE FROM review_given WHERE document_id = {row}.document_id;"
    + GIVEN.replace("{which}", "review_standing.document_id = {row}.document_id")
)
EVERY = GIVEN.replace("{which}", "true")

# The words of a text: what stands between spaces and punctuation. Chinese and Japanese are not
# written in words: there each character is one, and a search for several is for them in a row.
CJK = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
WORDS_OF = (
    "to_tsvector('simple', review_spaced("
    "{row}title || ' ' || {row}external_id || ' ' || left({row}text, 500)))"
)
COLUMNS = f"{{row}}id, {{row}}project_id, {{row}}external_id, {WORDS_OF}"
POSTGRESQL = [
    GIVEN_TABLE,
    GIVEN_INDEX,
    # Without JIT: on tables that were never analysed, the planner takes these few rows for
    # millions, and each pick would wait a tenth of a second for code to be compiled.
    f"""
    CREATE FUNCTION review_given() RETURNS trigger LANGUAGE plpgsql SET jit = off AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            TRUNCATE review_given;
        ELSIF TG_OP = 'INSERT' THEN
            {AGAIN.format(row="NEW")}
        ELSE
            {AGAIN.format(row="OLD")}
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER review_given_insert AFTER INSERT ON review_standing
    FOR EACH ROW WHEN (NEW.purpose <> 'repeat') EXECUTE FUNCTION review_given()
    """,
    """
    CREATE TRIGGER review_given_delete AFTER DELETE ON review_standing
    FOR EACH ROW WHEN (OLD.purpose <> 'repeat') EXECUTE FUNCTION review_given()
    """,
    """
    CREATE TRIGGER review_given_truncate AFTER TRUNCATE ON review_standing
    FOR EACH STATEMENT EXECUTE FUNCTION review_given()
    """,
    EVERY,
    f"""
    CREATE FUNCTION review_spaced(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN spaced ~ '{CJK}'
            THEN regexp_replace(spaced, '({CJK})', ' \\1 ', 'g') ELSE spaced END
        FROM (SELECT regexp_replace(value, '[!-/:-@\\[-`{{-~]+', ' ', 'g') AS spaced) AS plain
    $$
    """,
    """
    CREATE TABLE review_words (
        document_id bigint PRIMARY KEY, project_id bigint NOT NULL,
        external_id text COLLATE "C" NOT NULL, words tsvector NOT NULL
    )
    """,
    f"INSERT INTO review_words SELECT {COLUMNS.format(row='')} FROM review_document",
    "CREATE INDEX words_by_word ON review_words USING gin (words)",
    "CREATE INDEX words_by_id ON review_words (project_id, external_id, document_id)",
    f"""
    CREATE FUNCTION review_words() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            TRUNCATE review_words;
        ELSIF TG_OP = 'INSERT' THEN
            INSERT INTO review_words SELECT {COLUMNS.format(row="")} FROM fresh;
        ELSIF TG_OP = 'DELETE' THEN
            DELETE FROM review_words WHERE document_id IN (SELECT id FROM stale);
        ELSE
            UPDATE review_words SET
                project_id = NEW.project_id, external_id = NEW.external_id,
                words = {WORDS_OF.format(row="NEW.")}
            WHERE document_id = NEW.id;
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER review_words_insert AFTER INSERT ON review_document
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION review_words()
    """,
    """
    CREATE TRIGGER review_words_delete AFTER DELETE ON review_document
    REFERENCING OLD TABLE AS stale FOR EACH STATEMENT EXECUTE FUNCTION review_words()
    """,
    # Named columns: a claim or a pick, which changes others, costs nothing here.
    """
    CREATE TRIGGER review_words_update
    AFTER UPDATE OF project_id, external_id, title, text ON review_document
    FOR EACH ROW EXECUTE FUNCTION review_words()
    """,
    """
    CREATE TRIGGER review_words_truncate AFTER TRUNCATE ON review_document
    FOR EACH STATEMENT EXECUTE FUNCTION review_words()
    """,
    "ANALYZE review_words, review_given",
]
POSTGRESQL_BACK = [
    "DROP TRIGGER review_given_insert ON review_standing",
    "DROP TRIGGER review_given_delete ON review_standing",
    "DROP TRIGGER review_given_truncate ON review_standing",
    "DROP TRIGGER review_words_insert ON review_document",
    "DROP TRIGGER review_words_delete ON review_document",
    "DROP TRIGGER review_words_update ON review_document",
    "DROP TRIGGER review_words_truncate ON review_document",
    "DROP FUNCTION review_given()",
    "DROP FUNCTION review_words()",
    "DROP TABLE review_given",
    "DROP TABLE review_words",
    "DROP FUNCTION review_spaced(text)",
]
SQLITE = [
    GIVEN_TABLE + " WITHOUT ROWID",
    GIVEN_INDEX,
    f"""
    CREATE TRIGGER review_given_insert AFTER INSERT ON review_standing
    WHEN NEW.purpose <> 'repeat' BEGIN {AGAIN.format(row="NEW")} END
    """,
    f"""
    CREATE TRIGGER review_given_delete AFTER DELETE ON review_standing
    WHEN OLD.purpose <> 'repeat' BEGIN {AGAIN.format(row="OLD")} END
    """,
    EVERY,
]
SQLITE_BACK = [
    "DROP TRIGGER review_given_insert",
    "DROP TRIGGER review_given_delete",
    "DROP TABLE review_given",
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
    dependencies = [("review", "0003_triggers")]

    operations = [
        migrations.AddIndex(
            model_name="document",
            index=models.Index(fields=["project", "id"], name="document_in_order"),
        ),
        migrations.AddIndex(
            model_name="document",
            index=models.Index(fields=["project", "state", "id"], name="document_in_state"),
        ),
        migrations.AddIndex(
            model_name="document",
            index=models.Index(fields=["project", "disagreement"], name="document_disagreement"),
        ),
        migrations.AddIndex(
            model_name="document",
            index=models.Index(
                fields=["project", "id"],
                name="document_pinned",
                condition=models.Q(("pinned", True)),
            ),
        ),
        migrations.AddIndex(
            model_name="proposal",
            index=models.Index(
                fields=["model", "document"],
                name="proposal_by_model",
                condition=models.Q(("current", True)),
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
