"""What figures call an answer: a reply in a battle of a visitor. Those of the demo, and of imports, count nowhere."""

from typing import Any

from django.db import connection

ANSWERS = """
  (SELECT reply.*, turn.visitor_id, turn."group" FROM arena_reply reply JOIN arena_turn turn ON turn.id = reply.turn_id
  JOIN arena_battle battle ON battle.id = turn.battle_id WHERE battle.origin = 'live') AS answer
"""


def ask(sql: str, *arguments: Any, **names: str) -> list[Any]:
    """The rows of a query over `{answers}` (columns of a reply, and whom it served); `names` are put into its other places."""
    with connection.cursor() as cursor:
        cursor.execute(sql.format(answers=ANSWERS, **names), arguments)
        return cursor.fetchall()
