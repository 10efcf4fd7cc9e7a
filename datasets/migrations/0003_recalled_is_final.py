from django.db import migrations, models

FORWARD = """
CREATE FUNCTION datasets_recalled_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a recalled release stays recalled' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER release_recalled_is_final BEFORE UPDATE OF state ON datasets_release
  FOR EACH ROW WHEN (OLD.state = 'recalled' AND NEW.state <> 'recalled') EXECUTE FUNCTION datasets_recalled_is_final();
"""
BACKWARD = """
DROP TRIGGER release_recalled_is_final ON datasets_release;
DROP FUNCTION datasets_recalled_is_final();
"""


class Migration(migrations.Migration):
    """A public id stands once in a release, and no writer brings a recalled release back."""

    dependencies = [("datasets", "0002_names")]
    operations = [
        migrations.AddConstraint(
            model_name="releasedconversation",
            constraint=models.UniqueConstraint(fields=["release", "public_id"], name="released_id_once"),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
