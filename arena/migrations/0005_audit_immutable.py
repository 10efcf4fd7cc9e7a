from django.db import migrations

FORWARD = """
CREATE FUNCTION arena_audit_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.actor_id IS NULL AND (to_jsonb(NEW) - 'actor_id') = (to_jsonb(OLD) - 'actor_id') THEN
    RETURN NEW;  -- the account was deleted; the name stays
  END IF;
  RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_immutable BEFORE UPDATE OR DELETE ON arena_auditentry
  FOR EACH ROW EXECUTE FUNCTION arena_audit_immutable();
"""
BACKWARD = """
DROP TRIGGER audit_immutable ON arena_auditentry;
DROP FUNCTION arena_audit_immutable();
"""


class Migration(migrations.Migration):
    """What staff did stays written, whatever writes to the table."""

    dependencies = [("arena", "0004_going_live")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
