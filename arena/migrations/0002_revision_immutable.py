from django.db import migrations

FORWARD = """
CREATE FUNCTION arena_revision_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (to_jsonb(NEW) - 'current') IS DISTINCT FROM (to_jsonb(OLD) - 'current') THEN
    RAISE EXCEPTION 'a revision never changes; make the next one with arena.registry.revise()'
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER revision_immutable BEFORE UPDATE ON arena_contestantrevision
  FOR EACH ROW EXECUTE FUNCTION arena_revision_immutable();
"""
BACKWARD = """
DROP TRIGGER revision_immutable ON arena_contestantrevision;
DROP FUNCTION arena_revision_immutable();
"""


class Migration(migrations.Migration):
    """What a model was told in battles that have been fought cannot be rewritten, whatever writes to the table."""

    dependencies = [("arena", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
