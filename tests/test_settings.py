"""What wins, what is refused and in which words, and that the example tells the truth."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from wabot.assembly import factories
from wabot.core.sends_in_flight import MOST
from wabot.settings.loading import FLAT_NAMES, SECTIONS, WABOT_NAMES, Settings, SettingsError, load
from wabot.settings.sections import Assistant, Delivery, Server

EXAMPLE = Path(__file__).parent.parent / "config.toml.example"
ENOUGH = {
    "ACCESS_TOKEN": "EAAG-token",
    "PHONE_NUMBER_ID": "123",
    "APP_SECRET": "hush-hush",
    "GOOGLE_API_KEY": "AIza-key",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str, name: str = "given.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def problems(toml: str = "", environ: Mapping[str, str] = ENOUGH, **more: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(written(toml), environ=environ, **more)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_four_values_are_enough_and_the_rest_is_as_documented() -> None:
    settings = load(None, environ=ENOUGH)

    assert settings.whatsapp.access_token.get_secret_value() == "EAAG-token"
    assert (settings.server.host, settings.server.port, settings.server.data_dir) == ("127.0.0.1", 8080, Path("data"))
    assert (settings.assistant.provider, settings.assistant.model) == ("gemini", "gemini-2.5-flash")
    assert (settings.mongo.database, settings.mongo.collection) == ("chat_db", "user_chat")
    assert (settings.delivery.pair_interval_seconds, settings.delivery.pair_burst) == (6, 45)


def test_wabot_names_win_over_flat_names_over_dotenv_over_the_file_over_the_default() -> None:
    config = written("[server]\nport = 1001")
    dotenv_flat = written("PORT=1002", "flat.env")
    dotenv_both = written("PORT=1002\nWABOT_SERVER__PORT=1003", "both.env")
    flat = {**ENOUGH, "PORT": "1004"}

    def port(environ: Mapping[str, str], config: Path | None = config, env_file: Path | None = None) -> int:
        return load(config, environ=environ, env_file=env_file).server.port

    assert port(ENOUGH, config=None) == 8080
    assert port(ENOUGH) == 1001
    assert port(ENOUGH, env_file=dotenv_flat) == 1002
    assert port(ENOUGH, env_file=dotenv_both) == 1003
    assert port(flat, env_file=dotenv_both) == 1004
    assert port({**flat, "WABOT_SERVER__PORT": "1005"}, env_file=dotenv_both) == 1005


def test_sources_are_merged_key_by_key() -> None:
    config = written('[mongo]\nuri = "mongodb://a"\ndatabase = "mine"')

    mongo = load(config, environ={**ENOUGH, "COLLECTION_NAME": "theirs"}).mongo

    assert (mongo.uri.get_secret_value(), mongo.database, mongo.collection) == ("mongodb://a", "mine", "theirs")


@pytest.mark.parametrize("name", FLAT_NAMES)
def test_every_flat_name_reaches_its_setting(name: str) -> None:
    text = {"PORT": "4711", "GRAPH_API_BASE": "http://127.0.0.1:1/v1", "MONGO_URI": "mongodb://m"}.get(
        name, "some-text"
    )

    settings = load(None, environ={**ENOUGH, name: text})

    section, key = FLAT_NAMES[name]
    value = getattr(getattr(settings, section), key)
    assert str(value.get_secret_value() if isinstance(value, SecretStr) else value) == text


def test_every_setting_has_a_wabot_name() -> None:
    assert set(WABOT_NAMES.values()) == {
        (name, key) for name, section in SECTIONS.items() for key in section.model_fields
    }
    assert {*SECTIONS, "accounts", "events"} == set(Settings.model_fields)


def test_the_environment_gives_numbers_yes_and_no_and_lists() -> None:
    settings = load(
        None,
        environ={
            **ENOUGH,
            "WABOT_SERVER__API_KEYS": "first-key-of-two, second-key-of-two,",
            "WABOT_OPTOUT__STOP_WORDS": '["STOP", "a, b"]',
            "WABOT_FIRST_CONTACT__COMPONENTS": '[{"type": "body"}]',
            "WABOT_LOG__BODIES": "yes",
            "WABOT_DELIVERY__MESSAGES_PER_SECOND": "0",
            "WABOT_ASSISTANT__KNOWLEDGE_DIR": "",
        },
    )

    assert [key.get_secret_value() for key in settings.server.api_keys] == ["first-key-of-two", "second-key-of-two"]
    assert settings.optout.stop_words == ("STOP", "a, b")
    assert settings.first_contact.components == ({"type": "body"},)
    assert settings.log.bodies is True
    assert settings.delivery.messages_per_second == 0
    assert settings.assistant.knowledge_dir is None


def test_an_empty_flat_name_counts_as_not_set_but_an_empty_wabot_name_is_a_value() -> None:
    config = written('[mongo]\nuri = "mongodb://a"')

    assert load(config, environ={**ENOUGH, "MONGO_URI": ""}).mongo.uri
    assert not load(config, environ={**ENOUGH, "WABOT_MONGO__URI": ""}).mongo.uri


def test_dotenv_is_taken_literally_and_strangers_in_it_are_ignored() -> None:
    written('OTHER_TOOL=1\nexport ACCESS_TOKEN="a${PORT}b"\nWABOT_LOG__LEVEL=DEBUG\n', ".env")

    settings = load(None, environ={**ENOUGH, "ACCESS_TOKEN": ""})

    assert settings.whatsapp.access_token.get_secret_value() == "a${PORT}b"
    assert settings.log.level == "debug"


def test_a_virtual_environment_called_dotenv_is_no_dotenv() -> None:
    Path(".env").mkdir()

    assert load(None, environ=ENOUGH).server.port == 8080


def test_config_toml_of_the_directory_is_read_only_when_no_other_is_given() -> None:
    written("[server]\nport = 1", "config.toml")

    assert load(None, environ=ENOUGH).server.port == 1
    assert load(written("", "other.toml"), environ=ENOUGH).server.port == 8080


def test_a_file_saved_by_notepad_can_be_read() -> None:
    Path("bom.toml").write_bytes(b"\xef\xbb\xbf[server]\r\nport = 5\r\n")

    assert load(Path("bom.toml"), environ=ENOUGH).server.port == 5


def test_copied_secrets_lose_the_space_around_them() -> None:
    settings = load(written('[whatsapp]\nverify_token = " v "'), environ={**ENOUGH, "APP_SECRET": " s\n"})

    assert settings.whatsapp.verify_token.get_secret_value() == "v"
    assert settings.whatsapp.app_secret.get_secret_value() == "s"


def test_a_given_config_that_is_missing_or_no_toml_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read"):
        load(Path("nowhere.toml"), environ=ENOUGH)
    assert "given.toml: not valid TOML" in problems("[server")[0]


REMEDY = " (`openssl rand -hex 32` makes a good one)"


ADDRESS = "must be an address that starts with http:// or https://"
TOO_LONG = "must have at most 4096 characters"
SAID = [
    ("assistant", "fallback_text"), ("assistant", "limit_notice"), ("handoff", "notice"),
    ("handoff", "unanswered_notice"), ("optout", "confirmation"), ("optout", "welcome_back"),
]  # fmt: skip
"""What people are told in one message of Meta's."""
ZONE = 'must be a time zone such as "Europe/Berlin" or "UTC"'


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[whatsapp]\nacess_token = 'x'", "whatsapp.acess_token: unknown key (did you mean access_token?)"),
        ("[sever]\nport = 1", "sever: unknown key (did you mean server?)"),
        ("[Server]\nport = 1", "Server: unknown key (did you mean server?)"),
        ("port = 1", "port: unknown key (it belongs in [server])"),
        ("server = 1", "server: must be a section, [server]"),
        ("[server]\nport = '8080'", "server.port: must be a valid integer"),
        ("[server]\nport = true", "server.port: must be a valid integer"),
        ("[server]\nport = 65536", "server.port: must be less than or equal to 65535"),
        ("[server]\napi_keys = 'x'", "server.api_keys: must be a valid list"),
        ("[server]\napi_keys = ['']", "server.api_keys.0: must have at least 16 characters" + REMEDY),
        (
            f"[server]\napi_keys = ['{'k' * 16}', '{'k' * 15}']",
            "server.api_keys.1: must have at least 16 characters" + REMEDY,
        ),
        (
            f"[server]\napi_keys = ['{' ' * 9}{'k' * 15}']",
            "server.api_keys.0: must have at least 16 characters" + REMEDY,
        ),
        ("[whatsapp]\nbusiness_account_id = 12", "whatsapp.business_account_id: must be a valid string"),
        ("[whatsapp]\nallow_unsigned = 'yes'", "whatsapp.allow_unsigned: must be a valid boolean"),
        (
            "[whatsapp]\ngraph_api_base = 'graph.facebook.com'",
            "whatsapp.graph_api_base: must be an address that starts with http:// or https://",
        ),
        ("[assistant]\nprovider = 'gpt'", "assistant.provider: must be 'gemini', 'openai' or 'canned'"),
        ("[assistant]\nprompt_file = 1", "assistant.prompt_file: must be a path in quotes"),
        ("[assistant]\ntimeout_seconds = 0", "assistant.timeout_seconds: must be greater than 0"),
        ("[assistant]\nquiet_max_seconds = 1", "assistant.quiet_max_seconds: must not be less than quiet_seconds"),
        ("[whatsapp]\ngraph_api_base = 'https://x:99999/v26.0'", f"whatsapp.graph_api_base: {ADDRESS}"),
        ("[server]\npublic_url = 'https://my host/'", f"server.public_url: {ADDRESS}"),
        ("[assistant]\nbase_url = 'http://[::1/v1'", f"assistant.base_url: {ADDRESS}"),
        *((f"[{section}]\n{key} = '{'x' * 4097}'", f"{section}.{key}: {TOO_LONG}") for section, key in SAID),
        ("[assistant]\ntimezone = 'Berlin'", f"assistant.timezone: {ZONE}"),
        ("[assistant]\ntimezone = '../etc/passwd'", f"assistant.timezone: {ZONE}"),
        ("[bulk]\ntimezone = 'GMT+25'", f"bulk.timezone: {ZONE}"),
        ("[bulk]\ntimezone = ''", f"bulk.timezone: {ZONE}"),
        ("[bulk]\nquiet_hours = '21-8'", 'bulk.quiet_hours: must be like "21:00-08:00"'),
        ("[bulk]\nquiet_hours = '8:00-9:00'", 'bulk.quiet_hours: must be like "21:00-08:00"'),
        ("[bulk]\nquiet_hours = '08:00-08:00'", "bulk.quiet_hours: must end at another time than it begins"),
        ("[bulk]\nquiet_hours = 21", "bulk.quiet_hours: must be a valid string"),
        ("[delivery]\nattempts = 0", "delivery.attempts: must be greater than or equal to 1"),
        ("[delivery]\nconcurrency = 0", "delivery.concurrency: must be greater than or equal to 1"),
        ("[delivery]\nbackoff_base_seconds = 0", "delivery.backoff_base_seconds: must be greater than 0"),
        ("[delivery]\nhold_seconds = nan", "delivery.hold_seconds: must be a finite number"),
        (
            "[delivery]\nbackoff_max_seconds = 0.5",
            "delivery.backoff_max_seconds: must not be less than backoff_base_seconds",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_named_in_one_line(toml: str, line: str) -> None:
    assert problems(toml) == (line,)


def test_a_wrong_time_from_the_environment_is_named_by_setting_and_variable() -> None:
    environ = {**ENOUGH, "WABOT_BULK__QUIET_HOURS": "night", "WABOT_ASSISTANT__TIMEZONE": "Mars/Olympus"}

    assert problems(environ=environ) == (
        f"assistant.timezone (from WABOT_ASSISTANT__TIMEZONE): {ZONE}",
        'bulk.quiet_hours (from WABOT_BULK__QUIET_HOURS): must be like "21:00-08:00"',
    )


def test_the_assistants_days_are_those_of_its_time_zone_or_that_of_bulk_or_utc() -> None:
    def zone(toml: str = "") -> str:
        return str(factories.time_zone(load(written(toml), environ=ENOUGH)))

    assert (load(None, environ=ENOUGH).assistant.timezone, load(None, environ=ENOUGH).bulk.timezone) == ("", "UTC")
    assert load(None, environ=ENOUGH).bulk.quiet_hours == ""
    assert zone() == "UTC"
    assert zone("[bulk]\ntimezone = 'Asia/Kolkata'") == "Asia/Kolkata"
    assert zone("[bulk]\ntimezone = 'Asia/Kolkata'\n[assistant]\ntimezone = 'Europe/Rome'") == "Europe/Rome"


def test_a_wrong_database_address_is_named_but_not_shown() -> None:
    (line,) = problems("[mongo]\nuri = 'postgres://me:pa55word@db'")

    assert line.startswith("mongo.uri: must start with mongodb://")
    assert "pa55word" not in line


def test_a_wrong_value_from_the_environment_is_named_with_its_variable() -> None:
    assert problems(environ={**ENOUGH, "PORT": "many"}) == ("server.port (from PORT): must be a valid integer",)


@pytest.mark.parametrize("name", ["WABOT_SERVER_PORT", "WABOT_SERVER__PROT", "wabot_server__port"])
def test_an_unknown_wabot_name_is_refused_wherever_it_stands(name: str) -> None:
    line = f"{name}: unknown setting (did you mean WABOT_SERVER__PORT?)"

    assert problems(environ={**ENOUGH, name: "1"}) == (line,)
    assert problems(env_file=written(f"{name}=1", ".env")) == (line,)


def test_every_problem_is_told_at_once() -> None:
    told = problems("[server]\nport = 'x'\nprot = 1\n[log]\nlevel = 'loud'", {**ENOUGH, "WABOT_X": "1"})

    assert [line.split(":")[0] for line in told] == ["WABOT_X", "server.port", "server.prot", "log.level"]


@pytest.mark.parametrize("name", ["ACCESS_TOKEN", "PHONE_NUMBER_ID", "APP_SECRET", "GOOGLE_API_KEY"])
def test_a_start_without_what_is_needed_is_refused_by_setting_and_variable(name: str) -> None:
    (line,) = problems(environ={key: value for key, value in ENOUGH.items() if key != name})

    assert line.startswith(".".join(FLAT_NAMES[name]) + ": missing")
    assert f" {name} or WABOT_" in line


def test_unsigned_webhooks_must_be_asked_for() -> None:
    environ = {**ENOUGH, "APP_SECRET": ""}

    assert load(written("[whatsapp]\nallow_unsigned = true"), environ=environ).whatsapp.allow_unsigned


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_an_open_door_without_keys_is_refused(host: str) -> None:
    (line,) = problems(f"[server]\nhost = '{host}'")

    assert line.startswith("server.api_keys: missing")
    assert "WABOT_SERVER__API_KEYS" in line
    assert (
        load(written(f"[server]\nhost = '{host}'\napi_keys = ['a-key-of-16-chars']"), environ=ENOUGH).server.host
        == host
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_alone_needs_no_keys(host: str) -> None:
    assert load(written(f"[server]\nhost = '{host}'"), environ=ENOUGH).server.api_keys == ()


def test_openai_needs_an_address_and_a_model_but_no_key() -> None:
    keyless = {**ENOUGH, "GOOGLE_API_KEY": ""}
    toml = "[assistant]\nprovider = 'openai'"

    assert [line.split(":")[0] for line in problems(toml, keyless)] == ["assistant.base_url", "assistant.model"]
    toml += "\nbase_url = 'http://127.0.0.1:11434/v1/'\nmodel = 'llama'"
    assert load(written(toml), environ=keyless).assistant.base_url == "http://127.0.0.1:11434/v1"


def test_fallbacks_are_tables_or_json_and_each_needs_what_its_provider_needs() -> None:
    toml = "[[assistant.fallbacks]]\nprovider = 'openai'\nmodel = 'llama'\nbase_url = 'http://127.0.0.1:1/v1/'"
    (fallback,) = load(written(toml), environ=ENOUGH).assistant.fallbacks
    assert (fallback.base_url, fallback.timeout_seconds) == ("http://127.0.0.1:1/v1", 30)
    listed = {**ENOUGH, "WABOT_ASSISTANT__FALLBACKS": '[{"api_key": "k-1", "timeout_seconds": 5}, {"api_key": "k-2"}]'}
    found = load(written(toml), environ=listed)
    assert [(one.provider, one.model, one.timeout_seconds) for one in found.assistant.fallbacks] == [
        ("gemini", "gemini-2.5-flash", 5),
        ("gemini", "gemini-2.5-flash", 30),
    ]
    assert {"k-1", "k-2"} <= set(found.secrets())
    assert problems(toml.replace("model", "modell")) == (
        "assistant.fallbacks.0.modell: unknown key (did you mean model?)",
    )
    assert problems("[[assistant.fallbacks]]\nprovider = 'openai'\nmodel = 'm'") == (
        "assistant.fallbacks[0].base_url: missing: assistant.fallbacks[0].provider openai needs it;"
        " set it in config.toml or in WABOT_ASSISTANT__FALLBACKS",
    )


def test_tools_are_tables_or_json_and_their_schemas_and_secrets_are_checked() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    tool = {"name": "orders", "description": "Where an order is", "url": "http://127.0.0.1:9000/o", "secret": secret}
    toml = "[[assistant.tools]]\n" + "\n".join(f"{key} = '{value}'" for key, value in tool.items())
    schema = "\n[assistant.tools.parameters]\ntype = 'object'\nproperties = {order = {type = 'string'}}"
    (found,) = load(written(toml + schema), environ=ENOUGH).assistant.tools
    assert (found.timeout_seconds, found.parameters["properties"]) == (5, {"order": {"type": "string"}})
    listed = {**ENOUGH, "WABOT_ASSISTANT__TOOLS": json.dumps([tool, {**tool, "name": "other"}])}
    assert [one.name for one in load(None, environ=listed).assistant.tools] == ["orders", "other"]
    assert secret in set(load(None, environ=listed).secrets())

    def wrong(**changed: Any) -> str:
        (problem,) = problems(environ={**ENOUGH, "WABOT_ASSISTANT__TOOLS": json.dumps([{**tool, **changed}])})
        return problem

    assert wrong(name="where is it").startswith("assistant.tools.0.name (from WABOT_ASSISTANT__TOOLS)")
    assert "whsec_" in wrong(secret="hunter2")
    assert "hunter2" not in wrong(secret="hunter2")
    assert "JSON Schema" in wrong(parameters={"type": "objekt"})
    assert 'type = "object"' in wrong(parameters={"type": "string"})
    assert "$ref: #/x leads to no place" in wrong(parameters={"type": "object", "items": {"$ref": "#/x"}})
    (dated,) = problems(f"{toml}{schema}\ndefault = 2026-01-01")
    assert dated.startswith(
        "assistant.tools.0.parameters: must be a JSON Schema: it has a value that JSON does not have"
    )
    assert "missing" in problems(toml.replace("url", "# url"))[0]
    assert wrong(urll="x") == "assistant.tools.0.urll: unknown key (did you mean url?)"
    assert "different names" in problems(f"{toml}\n{toml}")[0]


def test_an_unreadable_prompt_or_knowledge_folder_is_refused() -> None:
    Path("prompt.txt").write_bytes(b"\xff\xfe")

    told = problems("[assistant]\nprompt_file = 'prompt.txt'\nknowledge_dir = 'none'")

    assert told[0].endswith("prompt.txt: not UTF-8 text")
    assert told[1].startswith("assistant.knowledge_dir (or WABOT_ASSISTANT__KNOWLEDGE_DIR): cannot be read")


def test_no_secret_shows_in_a_repr_or_an_error() -> None:
    config = written("[server]\napi_keys = ['key-one-of-one-key']\n[mongo]\nuri = 'mongodb://me:pa%2Fss@db/x'")
    settings = load(config, environ={**ENOUGH, "VERIFY_TOKEN": "verify-me"})

    secrets = set(settings.secrets())

    assert secrets >= {"EAAG-token", "hush-hush", "verify-me", "AIza-key", "key-one-of-one-key", "pa%2Fss", "pa/ss"}
    assert not [secret for secret in secrets if secret in repr(settings) + str(settings.model_dump())]
    with pytest.raises(ValidationError) as caught:
        Settings(server=Server(port=1), mongo={"uri": "secret-address"})
    assert "secret-address" not in str(caught.value)


def test_settings_cannot_be_changed_but_copied_with_a_change() -> None:
    settings = Settings(server=Server(port=0))

    with pytest.raises(ValidationError):
        settings.server.port = 1  # type: ignore[misc]
    copy = settings.model_copy(update={"server": settings.server.model_copy(update={"port": 9})})
    assert (settings.server.port, copy.server.port) == (0, 9)


def test_settings_made_by_hand_do_not_look_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("server", '{"port": 1}')
    monkeypatch.setenv("SERVER", '{"port": 1}')

    assert Settings() == Settings(assistant=Assistant(), delivery=Delivery())
    assert Settings().server.port == 8080


def test_our_own_number_cannot_be_one_to_ignore() -> None:
    environ = {**ENOUGH, "WABOT_WHATSAPP__IGNORE_PHONE_NUMBER_IDS": "7, 8"}
    assert load(None, environ=environ).whatsapp.ignore_phone_number_ids == ("7", "8")
    environ = {**ENOUGH, "WABOT_WHATSAPP__IGNORE_PHONE_NUMBER_IDS": '["7", "123"]'}
    assert problems(environ=environ) == (
        "whatsapp.ignore_phone_number_ids: names whatsapp.phone_number_id itself; take it out",
    )


def test_the_sandbox_starts_from_nothing_and_lets_nothing_real_in() -> None:
    written("[whatsapp]\nphone_number_id = 'real'\n[mongo]\nuri = 'mongodb://real'", "config.toml")
    written("WABOT_MONGO__URI=mongodb://real", ".env")
    real = {name: "mongodb://real" for name in FLAT_NAMES if name != "PORT"}

    settings = load(None, environ={**real, "PORT": "4000", "WABOT_WHATSAPP__ACCESS_TOKEN": "real"}, sandbox=True)

    assert "real" not in "".join(settings.secrets()) + str(settings.model_dump())
    assert settings.whatsapp.access_token.get_secret_value() == "sandbox-token"
    assert settings.whatsapp.phone_number_id == "100000000000001"
    assert settings.whatsapp.graph_api_base.startswith("http://127.0.0.1:")
    assert (settings.server.port, settings.server.data_dir) == (4000, Path("data/sandbox"))
    assert (settings.assistant.provider, settings.assistant.quiet_seconds) == ("canned", 1)


def test_the_sandbox_takes_how_to_answer_from_a_given_config_but_no_address_journal_database_or_credentials() -> None:
    prompt = written("Speak like a pirate.", "prompt.txt")
    config = written(
        f"""
        [server]
        host = "0.0.0.0"
        port = 1
        data_dir = "real"
        api_keys = ["real-real-real-real"]
        retention_days = 1
        [whatsapp]
        access_token = "real"
        phone_number_id = "real"
        app_secret = "real"
        allow_unsigned = true
        [mongo]
        uri = "mongodb://real"
        database = "real"
        [first_contact]
        answer = "ai"
        [assistant]
        provider = "gemini"
        prompt_file = "{prompt}"
        [optout]
        confirmation = "Farewell."
        """
    )
    environ = {
        "WABOT_SERVER__DATA_DIR": "real",
        "WABOT_SERVER__HOST": "0.0.0.0",
        "WABOT_SERVER__PORT": "1",
        "WABOT_SERVER__API_KEYS": "real-real-real-real",
        "WABOT_MONGO__URI": "mongodb://real",
        "WABOT_WHATSAPP__APP_SECRET": "real",
        "MONGO_URI": "mongodb://real",
        "GOOGLE_API_KEY": "AIza-key",
        "PORT": "4000",
        "WABOT_ASSISTANT__QUIET_SECONDS": "0",
    }

    settings = load(config, environ=environ, sandbox=True)

    assert "real" not in str(settings.model_dump()) + "".join(settings.secrets())
    assert settings.server == Server(port=4000, data_dir=Path("data/sandbox"))
    assert settings.whatsapp == load(None, environ={}, sandbox=True).whatsapp
    assert (settings.first_contact.answer, settings.assistant.prompt_file) == ("ai", prompt)
    assert settings.assistant.api_key.get_secret_value() == "AIza-key"
    assert (settings.assistant.quiet_seconds, settings.optout.confirmation) == (0, "Farewell.")


def test_what_is_misspelt_is_refused_in_the_sandbox_too() -> None:
    toml = "port = 1\n[server]\nprot = 1\n[assistant]\nprompt = 1\n[whatsap]\nx = 1\n"
    assert {line.partition(":")[0] for line in problems(toml, {}, sandbox=True)} == {
        "port",
        "server.prot",
        "assistant.prompt",
        "whatsap",
    }


def uncommented() -> str:
    return re.sub(r"^# (?=[a-z_]+ = )", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_example_has_every_key_and_no_other() -> None:
    shown = tomllib.loads(uncommented())

    assert {name: list(keys) for name, keys in shown.items()} == {
        name: list(section.model_fields) for name, section in SECTIONS.items()
    }


def test_the_requests_at_once_follow_from_the_rate_unless_a_bound_is_set() -> None:
    fast, bound = (
        load(written(f"[delivery]\n{line}"), environ=ENOUGH).delivery
        for line in ("messages_per_second = 1000", "concurrency = 32")
    )
    assert (fast.concurrency, fast.sends_at_once) == (32, MOST)
    assert (bound.concurrency, bound.sends_at_once) == (32, 32)


def test_the_example_shows_the_defaults() -> None:
    config = written(uncommented())

    assert load(config, environ=ENOUGH).model_dump() == load(None, environ=ENOUGH).model_dump()


def test_the_example_explains_every_key_in_the_line_above_and_names_its_variable() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    flat = {".".join(place): name for name, place in FLAT_NAMES.items()}
    section = ""
    for above, line in pairwise(lines):
        section = line.strip("[]") if line.startswith("[") else section
        if key := re.match(r"(?:# )?([a-z_]+) = ", line):
            name = f"{section}.{key[1]}"
            assert re.match(r"# [A-Z\"…]", above), name
            assert (re.search(r"\[([A-Z_]+)\]$", above) or [None, None])[1] == flat.get(name), name


def test_the_example_as_it_is_asks_for_what_is_missing() -> None:
    config = written(EXAMPLE.read_text(encoding="utf-8"))

    assert load(config, environ=ENOUGH).server.port == 8080
    with pytest.raises(SettingsError, match=r"whatsapp\.access_token: missing"):
        load(config, environ={})
