"""`[[accounts]]`: what an account has of its own and what it inherits, and how its errors are named."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from wabot.settings.errors import SettingsError
from wabot.settings.loading import Settings, load

EXAMPLE = Path(__file__).parent.parent / "config.toml.example"
MAIN = {
    "ACCESS_TOKEN": "EAAG-main",
    "PHONE_NUMBER_ID": "1",
    "APP_SECRET": "secret-of-main",
    "GOOGLE_API_KEY": "AIza-key",
}
SHOP = """
[[accounts]]
name = "shop"
access_token = "EAAG-shop"
phone_number_id = "2"
app_secret = "secret-of-shop"
"""
SUPPORT = SHOP.replace("shop", "support").replace('"2"', '"3"')
KEY = "a-key-of-16-chars"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(toml: str, environ: Mapping[str, str] = MAIN, **more: Any) -> Settings:
    Path("given.toml").write_text(toml, encoding="utf-8")
    return load(Path("given.toml"), environ=environ, **more)


def problems(toml: str, environ: Mapping[str, str] = MAIN, **more: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        loaded(toml, environ, **more)
    return caught.value.problems


def listed(*accounts: Mapping[str, Any]) -> str:
    whole = {"access_token": "EAAG", "app_secret": "a-secret"}
    return json.dumps([{**whole, "phone_number_id": f"10{index}", **own} for index, own in enumerate(accounts)])


def test_without_accounts_the_only_one_is_main_with_the_settings_as_they_are() -> None:
    settings = loaded(f'[server]\napi_keys = ["{KEY}"]')

    assert list(settings.of_accounts()) == ["main"]
    assert settings.of_accounts()["main"] is settings
    assert settings.main is settings.whatsapp


def test_main_is_first_and_the_others_follow_in_their_order() -> None:
    assert list(loaded(SUPPORT + SHOP).of_accounts()) == ["main", "support", "shop"]


def test_without_a_token_and_a_number_in_whatsapp_there_is_no_main() -> None:
    left = {"APP_SECRET": "a-secret", "GOOGLE_API_KEY": "AIza-key"}

    settings = loaded(SHOP.replace("shop", "main") + SUPPORT, left)

    assert settings.main is None
    assert list(settings.of_accounts()) == ["main", "support"]
    assert settings.of_accounts()["main"].server.data_dir == Path("data/accounts/main")
    assert problems(SHOP, {**left, "PHONE_NUMBER_ID": "1"}) == (
        "whatsapp.access_token: missing: nothing can be sent without it; "
        "set it in config.toml or as ACCESS_TOKEN or WABOT_WHATSAPP__ACCESS_TOKEN",
    )


def test_an_account_has_a_journal_and_keys_of_its_own_and_main_keeps_its_journal() -> None:
    server = f'[server]\nport = 7\ndata_dir = "here"\napi_keys = ["{KEY}"]\n'

    settings = loaded(server + SHOP + 'api_keys = ["the-key-of-the-shop"]')
    main, shop = settings.of_accounts().values()

    assert (main.server.data_dir, main.server.api_keys) == (Path("here"), ())
    assert shop.server.data_dir == Path("here/accounts/shop")
    assert [key.get_secret_value() for key in shop.server.api_keys] == ["the-key-of-the-shop"]
    assert (main.server.port, shop.server.port) == (7, 7)
    assert [key.get_secret_value() for key in settings.server.api_keys] == [KEY]
    assert main.model_copy(update={"server": settings.server, "accounts": settings.accounts}) == settings
    assert list(shop.of_accounts()) == ["main"]


def test_credentials_are_never_inherited() -> None:
    shop = loaded("[whatsapp]\nverify_token = 'v'\nallow_unsigned = true\nbusiness_account_id = '9'" + SHOP)

    meta = shop.of_accounts()["shop"].whatsapp

    assert (meta.access_token.get_secret_value(), meta.phone_number_id) == ("EAAG-shop", "2")
    assert meta.app_secret.get_secret_value() == "secret-of-shop"
    assert (meta.verify_token.get_secret_value(), meta.business_account_id, meta.allow_unsigned) == ("", "", False)


def test_the_address_of_graph_is_that_of_whatsapp_unless_the_account_has_its_own() -> None:
    environ = {**MAIN, "GRAPH_API_BASE": "http://127.0.0.1:1/v1"}

    accounts = loaded(SHOP + SUPPORT + 'graph_api_base = "http://127.0.0.1:2/v1"', environ).of_accounts()

    assert accounts["shop"].whatsapp.graph_api_base == "http://127.0.0.1:1/v1"
    assert accounts["support"].whatsapp.graph_api_base == "http://127.0.0.1:2/v1"


def test_sections_are_inherited_key_by_key_with_what_the_environment_set() -> None:
    sections = """
    [assistant]
    provider = "openai"
    base_url = "http://127.0.0.1:1/v1"
    model = "one"
    quiet_seconds = 3
    [delivery]
    attempts = 3
    [first_contact]
    template = "hello"
    """
    own = """
    [accounts.assistant]
    model = "two"
    [accounts.delivery]
    messages_per_second = 20
    [accounts.first_contact]
    answer = "ai"
    """
    environ = {**MAIN, "WABOT_ASSISTANT__QUIET_SECONDS": "4", "WABOT_DELIVERY__MESSAGES_PER_SECOND": "30"}

    main, shop, support = loaded(sections + SHOP + own + SUPPORT, environ).of_accounts().values()

    assert (shop.assistant.base_url, shop.assistant.model, shop.assistant.quiet_seconds) == (
        "http://127.0.0.1:1/v1", "two", 4,
    )  # fmt: skip
    assert (shop.delivery.attempts, shop.delivery.messages_per_second) == (3, 20)
    assert (shop.first_contact.template, shop.first_contact.answer) == ("hello", "ai")
    assert (main.assistant.model, main.delivery.messages_per_second, main.first_contact.answer) == (
        "one",
        30,
        "template",
    )
    for section in ("assistant", "delivery", "first_contact", "mongo", "optout", "api", "log"):
        assert getattr(support, section) == getattr(main, section)


def test_a_key_of_one_provider_is_not_inherited_by_an_account_with_another() -> None:
    gemini = '[assistant]\nmodel = "gemini-3"\nquiet_seconds = 5\n'
    openai = '[accounts.assistant]\nprovider = "openai"\n'
    whole = 'base_url = "http://127.0.0.1:1/v1"\nmodel = "llama"\n'

    assert [line.partition(":")[0] for line in problems(gemini + SHOP + openai)] == [
        "accounts[0].assistant.base_url (shop)",
        "accounts[0].assistant.model (shop)",
    ]
    assistant = loaded(gemini + SHOP + openai + whole).of_accounts()["shop"].assistant
    assert not assistant.api_key
    assert assistant.quiet_seconds == 5
    same = loaded(gemini + SHOP + '[accounts.assistant]\nprovider = "gemini"').of_accounts()["shop"].assistant
    assert (same.model, same.api_key.get_secret_value()) == ("gemini-3", "AIza-key")


def test_numbers_to_ignore_are_ignored_by_all_accounts() -> None:
    whatsapp = '[whatsapp]\nignore_phone_number_ids = ["7"]\n'

    accounts = loaded(whatsapp + SHOP + SUPPORT + 'ignore_phone_number_ids = ["8"]').of_accounts()

    assert [one.whatsapp.ignore_phone_number_ids for one in accounts.values()] == [("7", "8")] * 3
    assert problems(whatsapp.replace("7", "2") + SHOP) == (
        "whatsapp.ignore_phone_number_ids: names accounts[0].phone_number_id (shop) itself; take it out",
    )


def test_the_environment_replaces_the_whole_list_and_wins_over_dotenv() -> None:
    Path(".env").write_text(f"WABOT_ACCOUNTS='{listed({'name': 'of-dotenv'})}'")
    one = listed({"name": "one", "delivery": {"attempts": 3}}, {"name": "two", "api_keys": [KEY]})

    accounts = loaded(SHOP, {**MAIN, "WABOT_ACCOUNTS": one}).of_accounts()

    assert list(accounts) == ["main", "one", "two"]
    assert accounts["one"].delivery.attempts == 3
    assert accounts["two"].server.api_keys[0].get_secret_value() == KEY
    assert list(loaded(SHOP).of_accounts()) == ["main", "of-dotenv"]
    assert list(loaded(SHOP, {**MAIN, "WABOT_ACCOUNTS": ""}).of_accounts()) == ["main"]


@pytest.mark.parametrize("text", ["shop", "{}", "[1]", '{"name": "shop"}', "null"])
def test_what_is_no_list_of_tables_is_refused(text: str) -> None:
    assert problems(SHOP, {**MAIN, "WABOT_ACCOUNTS": text}) == ("WABOT_ACCOUNTS: must be a JSON list, [{…}]",)


@pytest.mark.parametrize("toml", ["accounts = 1", "accounts = [1]", "[accounts]\nname = 'shop'"])
def test_accounts_in_the_file_must_be_tables(toml: str) -> None:
    assert problems(toml) == ("accounts: must be tables, [[accounts]]",)


REMEDY = "must have at least 16 characters (`openssl rand -hex 32` makes a good one)"
AT_LEAST_ONE = "must be greater than or equal to 1"
WORD = "must be at most 32 of a-z, 0-9, _ and -, and begin with a letter or a digit"


@pytest.mark.parametrize(
    ("own", "line"),
    [
        ("acess_token = 'x'", "accounts[1].acess_token (support): unknown key (did you mean access_token?)"),
        ("model = 'x'", "accounts[1].model (support): unknown key (it belongs in [accounts.assistant])"),
        ("whatsapp = {}", "accounts[1].whatsapp (support): unknown key"),
        ("port = 1", "accounts[1].port (support): unknown key"),
        ("business_account_id = 5", "accounts[1].business_account_id (support): must be a valid string"),
        ("assistant = 'canned'", "accounts[1].assistant (support): must be a table"),
        ("api_keys = ['short']", f"accounts[1].api_keys.0 (support): {REMEDY}"),
        ("api_keys = 'x'", "accounts[1].api_keys (support): must be a valid list"),
        (
            "[accounts.assistant]\nmodle = 'x'",
            "accounts[1].assistant.modle (support): unknown key (did you mean model?)",
        ),
        (
            "[accounts.assistant]\nverify_token = 'x'",
            "accounts[1].assistant.verify_token (support): unknown key (it belongs in [[accounts]])",
        ),
        ("[accounts.assistant]\nmodel = 5", "accounts[1].assistant.model (support): must be a valid string"),
        (
            "[accounts.assistant]\nquiet_seconds = 60",
            "accounts[1].assistant.quiet_max_seconds (support): must not be less than quiet_seconds",
        ),
        ("[accounts.delivery]\nattempts = 0", f"accounts[1].delivery.attempts (support): {AT_LEAST_ONE}"),
        ("[accounts.mongo]\nuri = ''", "accounts[1].mongo (support): unknown key"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_account_is_named_with_its_place_and_name(own: str, line: str) -> None:
    assert problems(SHOP + SUPPORT + own) == (line,)


def test_an_error_in_the_environment_names_the_variable_and_shows_no_value() -> None:
    environ = {**MAIN, "WABOT_ACCOUNTS": listed({"name": "shop", "access_token": ["EAAG-oh"], "phone_number_id": 12})}

    told = problems("", environ)

    assert told == (
        "accounts[0].access_token (shop, from WABOT_ACCOUNTS): must be a valid string",
        "accounts[0].phone_number_id (shop, from WABOT_ACCOUNTS): must be a valid string",
    )


@pytest.mark.parametrize("name", ["Shop", "the shop", "", "-shop", "läden", "s" * 33, "../shop", "shop\\n"])
def test_a_name_is_a_short_word(name: str) -> None:
    assert problems(SHOP.replace("shop", name, 1)) == (f"accounts[0].name: {WORD}",)


def test_an_account_needs_a_name() -> None:
    assert problems(SHOP.replace('name = "shop"', "")) == ("accounts[0].name: missing",)


def test_a_name_or_number_that_is_there_twice_is_refused_whatever_the_command_is() -> None:
    again = SUPPORT.replace('"support"', '"shop"').replace('"3"', '"2"')

    assert problems(SHOP + again, whole=False) == (
        "accounts[1].name (shop): is the name of an earlier account",
        "accounts[1].phone_number_id (shop): is the number of shop already",
    )
    assert problems(SHOP.replace('"shop"', '"main"').replace('"2"', '"1"')) == (
        "accounts[0].name (main): is the account of [whatsapp]",
        "accounts[0].phone_number_id (main): is the number of main already",
    )


def test_an_error_of_a_section_is_not_repeated_for_the_accounts_that_inherit_it() -> None:
    sections = "[assistant]\ntimeout_seconds = 0\n[whatsapp]\ngraph_api_base = 'graph'\n"

    told = problems(sections + SHOP + SUPPORT + "[accounts.assistant]\ntimeout_seconds = 0")

    assert [line.partition(":")[0] for line in told] == [
        "whatsapp.graph_api_base",
        "assistant.timeout_seconds",
        "accounts[1].assistant.timeout_seconds (support)",
    ]


@pytest.mark.parametrize("key", ["access_token", "phone_number_id", "app_secret"])
def test_what_every_account_needs_is_asked_of_every_account(key: str) -> None:
    (line,) = problems(SHOP + re.sub(rf"{key} = .*", "", SUPPORT))

    assert line.startswith(f"accounts[1].{key} (support): missing: ")
    assert line.endswith("; set it in config.toml or in WABOT_ACCOUNTS")
    assert "whatsapp." not in line


def test_what_an_assistant_needs_is_asked_of_every_account() -> None:
    no_key = {name: text for name, text in MAIN.items() if name != "GOOGLE_API_KEY"}
    own = "[accounts.assistant]\nprompt_file = 'nowhere.txt'"

    told = problems("[assistant]\nprovider = 'canned'" + SHOP + own + SUPPORT + "assistant.provider = 'gemini'", no_key)

    assert [line.partition(": ")[0] for line in told] == [
        "accounts[0].assistant.prompt_file (shop)",
        "accounts[1].assistant.api_key (support)",
    ]


def test_an_account_may_accept_unsigned_webhooks() -> None:
    unsigned = SHOP.replace("app_secret", "verify_token") + "allow_unsigned = true"

    assert loaded(unsigned).of_accounts()["shop"].whatsapp.allow_unsigned


def test_the_secrets_of_accounts_are_secrets() -> None:
    own = (
        'api_keys = ["the-key-of-the-shop"]\nverify_token = "verify-shop"\n[accounts.assistant]\napi_key = "AIza-shop"'
    )

    settings = loaded(SHOP + own)

    secrets = list(settings.secrets())
    ours = {"EAAG-shop", "secret-of-shop", "the-key-of-the-shop", "verify-shop", "AIza-shop"}
    assert ours | {"EAAG-main", "secret-of-main", "AIza-key"} == set(secrets)
    assert len(secrets) == len(set(secrets))
    assert not [secret for secret in secrets if secret in repr(settings) + str(settings.model_dump())]


def test_the_sandbox_ignores_accounts() -> None:
    environ = {"WABOT_ACCOUNTS": listed({"name": "real"})}

    settings = loaded(SHOP, environ, sandbox=True)

    assert settings == load(None, environ={}, sandbox=True)
    assert list(settings.of_accounts()) == ["main"]


def test_a_misspelt_name_of_the_list_is_refused() -> None:
    assert problems("[[acounts]]\nname = 'x'") == ("acounts: unknown key (did you mean accounts?)",)
    assert problems("", {**MAIN, "WABOT_ACOUNTS": "[]"}) == (
        "WABOT_ACOUNTS: unknown setting (did you mean WABOT_ACCOUNTS?)",
    )


def test_settings_made_by_hand_inherit_too() -> None:
    settings = Settings(
        whatsapp={"access_token": "t", "phone_number_id": "1"},
        delivery={"attempts": 3},
        accounts=[{"name": "shop", "phone_number_id": "2", "delivery": {"concurrency": 5}}],
    )

    shop = settings.of_accounts()["shop"]
    assert (shop.delivery.attempts, shop.delivery.concurrency, shop.whatsapp.phone_number_id) == (3, 5, "2")


def test_the_example_of_two_accounts_works() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    Path("shop.txt").write_text("Sell.")

    settings = loaded(re.sub(r"^#   ", "", text, flags=re.MULTILINE))

    assert list(settings.of_accounts()) == ["main", "shop", "support"]
    shop = settings.of_accounts()["shop"]
    assert (shop.assistant.prompt_file, shop.delivery.messages_per_second) == (Path("shop.txt"), 20)
