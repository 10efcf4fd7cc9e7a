"""`manage.py up`: the whole arena on one machine, until Ctrl-C."""

import os
import shutil
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from arena import accounts, battle_check, installation, processes
from arena.embedded import lifecycle, paths, postgres
from arena.embedded.binaries import BinariesMissing
from arena.embedded.folders import FolderRefused
from arena.supervisor import state
from arena.supervisor.checks import port_is_free
from arena.supervisor.logs import Log
from arena.supervisor.process import Process
from arena.supervisor.supervisor import StartFailed, Stopped, Supervisor

START_TIMEOUT_S = 120.0  # a first start may convert and compile things; a warm one takes seconds
SERVERS = ("postgres", "valkey")


class Command(BaseCommand):
    help = "Run everything on this machine: servers, migrations, demo data, web, workers, engine."
    requires_system_checks = ()  # the web process runs them; here they would cost a second

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=int(os.environ.get("AGON_PORT") or 8000))
        parser.add_argument("--host", default=os.environ.get("AGON_HOST") or "127.0.0.1")
        parser.add_argument("--processes", help="comma-separated names of the process table; default: all")
        parser.add_argument("--no-demo", action="store_true", help="do not seed the demo roster and its battles")
        parser.add_argument("--check", action="store_true", help="play one battle to the vote, then stop; 0 = it works")
        parser.add_argument("--fresh", action="store_true", help="wipe the embedded servers' data first")
        parser.add_argument("--yes", action="store_true", help="do not ask before wiping")

    def handle(self, **options: object) -> None:
        self.begun = time.monotonic()
        self.options = options
        self.layout = processes.Layout(str(options["host"]), int(str(options["port"])))
        self.state_file = paths.run_dir() / state.FILE
        os.environ["AGON_PORT"] = str(self.layout.port)  # children derive the site's address from it
        try:
            with lifecycle.management():
                self._up()
        except lifecycle.AlreadyManaged as error:
            self._second_up(str(error))
        except (
            StartFailed,
            BinariesMissing,
            FolderRefused,
            postgres.PostgresRefused,
            installation.TableBusy,
            LookupError,
        ) as error:
            raise CommandError(str(error)) from None

    # --- steps ----------------------------------------------------------------------------------------------------

    def _second_up(self, holder: str) -> None:
        message = state.describe(self.state_file, holder)
        if not self.options["check"]:
            raise CommandError(message)
        self.stdout.write(message)
        self._report(battle_check.play(state.url(self.state_file) or self.layout.url))

    def _up(self) -> None:
        rows = self._chosen()
        self._must_be_possible(rows)
        if orphans := state.end_orphans(str(paths.run_dir())):
            self.stdout.write(f"Ended {len(orphans)} processes that a killed supervisor had left.")
        if self.options["fresh"]:
            self._wipe()
        log = Log(width=max(len(row.name) for row in rows))
        try:
            with Supervisor(log, paths.PROJECT, self._note_state) as supervisor:
                self._start(supervisor, rows)
                self._check(supervisor) if self.options["check"] else supervisor.run()
        except Stopped:
            pass
        finally:
            self.state_file.unlink(missing_ok=True)
        log.say("agon", "stopped")

    def _start(self, supervisor: Supervisor, rows: list[Process]) -> None:
        """What needs no tables starts first and boots while migrations are looked at."""
        early = [row for row in rows if row.stage == 0 or row.name == "engine"]
        supervisor.start(early)
        supervisor.wait_ready([row.name for row in early if row.stage == 0], START_TIMEOUT_S)
        if "postgres" in supervisor.children:
            postgres.ensure_database()
        applied = installation.migrate()
        if applied:
            supervisor.log.say("agon", f"{applied} migrations applied")
        if settings.PRODUCTION:
            installation.collect_static()
        if not self.options["no_demo"]:
            installation.seed_demo()
        installation.follow_engine()
        login = accounts.one_time_login_path()
        installation.disconnect()
        supervisor.start(row for row in rows if row not in early and not row.late)
        supervisor.wait_ready([row.name for row in rows if not row.late], START_TIMEOUT_S)
        supervisor.start(row for row in rows if row.late)
        supervisor.log.plain(f"\n  Admin, works once, for 15 minutes:  {self._site()}{login}")
        supervisor.log.plain(f"  Ready in {time.monotonic() - self.begun:.1f} s:  {self.layout.url}\n")

    def _site(self) -> str:
        """The address that people use, where it is configured."""
        configured = settings.SITE_URL if os.environ.get("AGON_SITE_URL") else self.layout.url
        return str(configured).rstrip("/")

    def _check(self, supervisor: Supervisor) -> None:
        """Play in a thread: the supervisor must go on reading its children's output."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(battle_check.play, self.layout.url)
            while not future.done() and not supervisor.stopping:
                supervisor.tick(0.1)
            self._report(future.result(timeout=1))

    def _report(self, outcome: battle_check.Outcome) -> None:
        self.stdout.write(str(outcome))
        if not outcome.passed:
            raise CommandError("the check failed", returncode=1)

    # --- what can be refused before anything starts -----------------------------------------------------------------

    def _chosen(self) -> list[Process]:
        rows = processes.table(self.layout)
        wanted = self.options["processes"]
        if not wanted:
            return rows
        names = {name.strip() for name in str(wanted).split(",")}
        if unknown := names - {row.name for row in rows}:
            raise CommandError(f"no such process: {', '.join(sorted(unknown))}; there are {[row.name for row in rows]}")
        return [row for row in rows if row.name in names or row.stage == 0]

    def _must_be_possible(self, rows: list[Process]) -> None:
        names = {row.name for row in rows}
        if "web" in names and not port_is_free(self.layout.host, self.layout.port):
            where = f"{self.layout.host}:{self.layout.port}"
            raise CommandError(f"{where} is taken by another program: choose another port with AGON_PORT or --port")
        if "engine" in names and not (self.layout.engine_model / "config.json").exists():
            raise CommandError(
                f"no model in {self.layout.engine_model}: run `make install`, name one with AGON_ENGINE_MODEL, "
                "or leave the engine out with --processes"
            )

    def _wipe(self) -> None:
        if paths.named("DATABASE_URL") or paths.named("REDIS_URL"):
            raise CommandError("--fresh wipes embedded servers only; unset DATABASE_URL and REDIS_URL or empty those")
        folders = [paths.postgres_dir(), paths.valkey_dir(), Path(settings.MEDIA_ROOT)]
        existing = [folder for folder in folders if folder.exists()]
        if existing and not self.options["yes"]:
            answer = input(f"Wipe all battles, votes and accounts in {', '.join(map(str, existing))}? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                raise CommandError("nothing was wiped")
        for folder in existing:
            shutil.rmtree(folder)

    def _note_state(self, supervisor: Supervisor) -> None:
        state.write(self.state_file, self.layout.url, supervisor)
