"""Errors that quote what they failed at, in the middle of rendering and in the middle of a page."""

from django.apps import AppConfig

from arena import logs

RENDER, PAGE = "BREAKRENDER", "BREAKPAGE"


class Breaking(AppConfig):
    name = "tests.faults.breaking"
    label = "breaking"

    def ready(self) -> None:
        if logs.PROCESS == "web":
            self._break_pages()
        if logs.PROCESS == "worker-generate":
            self._break_rendering()

    def _break_rendering(self) -> None:
        from arena.markdown import BlockStream

        feed = BlockStream.feed

        def broken(stream: BlockStream, text: str) -> list[str]:
            if RENDER in stream.tail + text:  # pacing may have cut the word
                raise ValueError(f"cannot render {text!r}")
            return feed(stream, text)

        BlockStream.feed = broken

    def _break_pages(self) -> None:
        from arena.views import battle

        scene = battle.scene_context

        def broken(one: object) -> dict:
            context = scene(one)
            prompt = one.turns.get(number=1).prompt.text
            if PAGE in prompt:
                raise KeyError(prompt)
            return context

        battle.scene_context = broken
