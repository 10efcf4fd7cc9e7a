"""Rows -> targets: which are read, whose key is used, and rotation of the seal key."""

import logging
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from inference import sealed
from inference.addresses import is_local
from inference.dispatch import Dispatcher
from inference.models import Deployment, EngineEndpoint
from inference.targets import dispatch_limits, load_targets, read_targets
from tests import factories

KEY = "sk-live-51c0ffee51c0ffee"


def serve(**fields: object) -> Deployment:
    endpoint = factories.endpoint("e", **fields)
    return Deployment.objects.create(model="m", endpoint=endpoint, upstream_name="up", priority=7)


def test_a_row_becomes_a_target(db: None, django_assert_num_queries: object) -> None:
    row = serve(base_url="https://host/v1", in_flight=3, sends_seed=False, idle_timeout_s=9.0)
    row.endpoint.set_key(KEY)
    row.endpoint.save()
    with django_assert_num_queries(1):
        (target,) = read_targets()
    assert (target.deployment_id, target.model, target.adapter, target.upstream_name) == (row.pk, "m", None, "up")
    assert (target.key, target.priority, target.in_flight, target.sends_seed) == (KEY, 7, 3, False)
    assert target.timeouts.idle_s == 9.0


@pytest.mark.parametrize("off", [{"enabled": False}, {"endpoint__enabled": False}])
def test_what_is_disabled_is_not_read(db: None, off: dict) -> None:
    row = serve()
    if "enabled" in off:
        Deployment.objects.update(**off)
    else:
        EngineEndpoint.objects.filter(pk=row.endpoint_id).update(enabled=False)
    assert read_targets() == []


@pytest.mark.parametrize(
    ("kind", "base_url", "expected"),
    [
        ("engine", "unix:///run/engine.sock", "made-at-first-start"),
        ("engine", "http://127.0.0.1:8001/v1", "made-at-first-start"),
        ("engine", "https://elsewhere.example.com/v1", ""),
        ("engine", "http://127.0.0.1.example.com/v1", ""),
        ("openai", "http://127.0.0.1:11434/v1", ""),
    ],
)
def test_the_local_engine_key_goes_to_local_engines_only(
    db: None, settings: object, tmp_path: Path, kind: str, base_url: str, expected: str
) -> None:
    settings.ENGINE_KEY_FILE = tmp_path / "engine.key"
    settings.ENGINE_KEY_FILE.write_text("made-at-first-start\n")
    serve(kind=kind, base_url=base_url)
    assert read_targets()[0].key == expected


def test_the_engine_s_key_goes_to_the_address_that_the_operator_named(
    db: None, settings: object, tmp_path: Path
) -> None:
    settings.ENGINE_KEY_FILE = tmp_path / "none"
    settings.ENGINE_URL, settings.ENGINE_KEY = "http://engine:8400", "a-secret-of-the-operator"
    serve(kind="engine", base_url="http://engine:8400/v1")
    factories.endpoint("other", kind="engine", base_url="http://engine2:8400/v1")
    Deployment.objects.create(model="m2", endpoint_id="other", upstream_name="up")
    assert {target.model: target.key for target in read_targets()} == {"m": "a-secret-of-the-operator", "m2": ""}
    EngineEndpoint.objects.filter(name="e").update(base_url="unix:///run/engine.sock")
    assert read_targets()[0].key == "a-secret-of-the-operator", "AGON_ENGINE_KEY is the local engine's too"


def test_an_engine_that_never_started_has_no_key_yet(db: None, settings: object, tmp_path: Path) -> None:
    settings.ENGINE_KEY_FILE = tmp_path / "none"
    serve(kind="engine", base_url="unix:///run/engine.sock")
    assert read_targets()[0].key == ""


def test_a_stored_key_goes_before_the_local_one(db: None, settings: object, tmp_path: Path) -> None:
    settings.ENGINE_KEY_FILE = tmp_path / "engine.key"
    settings.ENGINE_KEY_FILE.write_text("made-at-first-start\n")
    row = serve(kind="engine", base_url="unix:///run/engine.sock")
    row.endpoint.set_key(KEY)
    row.endpoint.save()
    assert read_targets()[0].key == KEY


def test_seal_keys_rotate(settings: object) -> None:
    settings.SEAL_KEYS = ["old"]
    token = sealed.seal(KEY)
    settings.SEAL_KEYS = ["new", "old"]
    assert sealed.unseal(token) == KEY
    again = sealed.seal(sealed.unseal(token))
    settings.SEAL_KEYS = ["new"]
    assert sealed.unseal(again) == KEY
    with pytest.raises(sealed.WrongSealKey, match="AGON_SEAL_KEYS"):
        sealed.unseal(token)


def test_reseal_keys_moves_every_key_to_the_new_one(db: None, settings: object) -> None:
    settings.SEAL_KEYS = ["old"]
    row = serve()
    row.endpoint.set_key(KEY)
    row.endpoint.save()
    factories.endpoint("without a key")
    settings.SEAL_KEYS = ["new"]
    with pytest.raises(CommandError, match="AGON_SEAL_KEYS"):
        call_command("reseal_keys")
    settings.SEAL_KEYS = ["new", "old"]
    said = StringIO()
    call_command("reseal_keys", stdout=said)
    assert said.getvalue().startswith("1 keys")
    settings.SEAL_KEYS = ["new"]
    assert EngineEndpoint.objects.get(name="e").open_key() == KEY


def test_sealing_hides_and_varies() -> None:
    assert KEY not in sealed.seal(KEY)
    assert sealed.seal(KEY) != sealed.seal(KEY)
    assert sealed.seal("") == sealed.unseal("") == ""


@pytest.mark.parametrize("token", ["nonsense", "gAAAAA", "ä"])
def test_a_broken_seal_is_an_error_without_content(token: str) -> None:
    with pytest.raises(sealed.WrongSealKey) as wrong:
        sealed.unseal(token)
    assert token not in str(wrong.value)


def test_a_deployment_whose_key_cannot_be_opened_is_left_out_loudly(
    db: None, settings: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    row = serve()
    row.endpoint.set_key(KEY)
    row.endpoint.save()
    Deployment.objects.create(model="other", endpoint=factories.endpoint("open"), upstream_name="up")
    settings.SEAL_KEYS = ["another"]
    assert [target.model for target in read_targets()] == ["other"]
    assert "AGON_SEAL_KEYS" in caplog.text
    assert KEY not in caplog.text


def test_no_repr_holds_the_key(db: None) -> None:
    row = serve()
    row.endpoint.set_key(KEY)
    row.endpoint.save()
    assert KEY not in repr(read_targets()) + repr(row) + repr(row.endpoint) + str(vars(row.endpoint))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("unix:///x", True),
        ("http://localhost:1/v1", True),
        ("http://127.8.0.1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        ("https://localhost.example.com/v1", False),
        ("", False),
    ],
)
def test_what_is_local(url: str, local: bool) -> None:
    assert is_local(url) is local


@pytest.mark.django_db(transaction=True)
async def test_the_dispatcher_reads_rows_without_keeping_a_connection() -> None:
    from asgiref.sync import sync_to_async

    await sync_to_async(serve)(base_url="http://127.0.0.1:9/v1")
    targets = await load_targets()
    assert [target.upstream_name for target in targets] == ["up"]
    async with Dispatcher(load_targets, dispatch_limits()) as dispatcher:
        await dispatcher._refresh()
        assert len(dispatcher._lanes) == 1


def test_limits_come_from_the_settings(settings: object) -> None:
    settings.DISPATCH = {"waiting_per_client": 3, "attempts": 2}
    assert dispatch_limits().waiting_per_client == 3
    assert dispatch_limits().attempts == 2
