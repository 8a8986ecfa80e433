"""The account and its app: who gets the webhooks, whom the business may write to, and what Meta tells of it."""

from __future__ import annotations

import asyncio

from tests.sandbox.conftest import PHONE, Business, Webhook, value
from wabot.sandbox.account import Account
from wabot.sandbox.behaviour import ANY, accept, error
from wabot.sandbox.meta import Meta

ACCOUNT, APP = "200000000000002", "400000000000004"


async def test_an_app_that_is_not_subscribed_hears_nothing(business: Business, meta: Meta, webhook: Webhook) -> None:
    _, apps = await business.graph("GET", f"{ACCOUNT}/subscribed_apps")
    assert apps["data"][0]["whatsapp_business_api_data"]["id"] == "400000000000004"
    assert (await business.graph("DELETE", f"{ACCOUNT}/subscribed_apps"))[1] == {"success": True}
    assert (await business.graph("GET", f"{ACCOUNT}/subscribed_apps"))[1] == {"data": []}
    await business.send()
    assert (await meta.say("Hi", from_=PHONE))[1] == 0
    await asyncio.sleep(0.02)
    assert webhook.taken == []
    assert (await business.graph("POST", f"{ACCOUNT}/subscribed_apps"))[1] == {"success": True}
    assert (await meta.say("Hi", from_=PHONE))[1] == 200


async def test_the_apps_webhooks_go_to_an_address_that_proves_itself(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    meta.webhook_url = None
    asked = {"callback_url": webhook.url, "verify_token": "wrong", "fields": "messages"}
    status, body = await business.graph("POST", f"{APP}/subscriptions", json=asked)
    assert (status, body["error"]["code"], meta.webhook_url) == (400, 2200, None)
    assert (await business.graph("GET", f"{APP}/subscriptions"))[1] == {"data": []}
    asked["verify_token"] = "a-word"
    assert (await business.graph("POST", f"{APP}/subscriptions", json=asked))[1] == {"success": True}
    _, told = await business.graph("GET", f"{APP}/subscriptions")
    assert told["data"][0]["callback_url"] == webhook.url
    assert await meta.news("account_update", {"event": "x"}) == 0, "it asked for messages alone"
    assert (await meta.say("Hi", from_=PHONE))[1] == 200


async def test_the_account_and_the_number_may_have_their_messages_elsewhere(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    there = f"{webhook.url}?there"
    override = {"override_callback_uri": there, "verify_token": "a-word"}
    meta.webhook_url = "http://127.0.0.1:9/webhook"
    for path, asked, shown in (
        (f"{ACCOUNT}/subscribed_apps", override, "whatsapp_business_account"),
        ("1234", {"webhook_configuration": override}, "phone_number"),
    ):
        assert (await business.graph("POST", path, json=asked))[1] == {"success": True}
        assert (await meta.say("Hi", from_=PHONE))[1] == 200
        _, number = await business.graph("GET", "1234?fields=webhook_configuration")
        assert number["webhook_configuration"] == {"application": meta.webhook_url, shown: there}
        none = {"webhook_configuration": {"override_callback_uri": ""}} if path == "1234" else {}
        assert (await business.graph("POST", path, json=none))[1] == {"success": True}
        assert (await meta.say("Hi", from_=PHONE))[1] == 0
    status, _ = await business.graph("POST", f"{ACCOUNT}/subscribed_apps", json=override | {"verify_token": "wrong"})
    assert status == 400


async def test_news_of_the_account_always_go_to_the_app(business: Business, meta: Meta, webhook: Webhook) -> None:
    meta.account.overrides["number"] = "http://127.0.0.1:9/webhook"
    assert await meta.news("account_update", {"event": "x"}) == 200
    assert (await meta.say("Hi", from_=PHONE))[1] == 0


async def test_the_app_has_a_token_of_its_own(business: Business) -> None:
    asked = "oauth/access_token?grant_type=client_credentials&client_id=400000000000004&client_secret="
    _, body = await business.graph("GET", f"{asked}a-secret", token=None)
    assert (await business.graph("GET", "app", token=body["access_token"]))[1]["id"] == "400000000000004"
    assert (await business.graph("GET", f"{asked}wrong", token=None))[0] == 400


async def test_who_is_blocked_gets_nothing(business: Business) -> None:
    block = {"messaging_product": "whatsapp", "block_users": [{"user": f"+{PHONE}"}]}
    _, body = await business.graph("POST", "1234/block_users", json=block)
    assert body["block_users"]["added_users"] == [{"input": f"+{PHONE}", "wa_id": PHONE}]
    assert (await business.send())[1]["error"]["code"] == 130403
    [blocked] = (await business.graph("GET", "1234/block_users"))[1]["data"]
    unblock = {"messaging_product": "whatsapp", "block_users": [{"user_id": blocked["user_id"]}]}
    _, body = await business.graph("DELETE", "1234/block_users", json=unblock)
    assert body["block_users"]["removed_users"][0]["user_id"] == blocked["user_id"]
    assert (await business.send())[0] == 200
    assert (await business.graph("POST", "1234/block_users", json={}))[0] == 400


def test_the_portfolio_counts_people_and_forgets_them_after_a_day() -> None:
    account = Account("1", "2", "3", limit=2)
    assert [account.may_reach(person, 0.0) for person in ("IN.a", "IN.b", "IN.a", "IN.c")] == [True, True, True, False]
    assert account.may_reach("IN.c", 86401.0)


async def test_above_the_portfolios_limit_strangers_get_no_template(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    meta.account.limit = 1
    for number in ("919000000201", "919000000202", PHONE):
        assert (await business.template("hello_world", to=number))[0] == 200
    await meta.until(lambda m: len(m.told) == 7)
    failed = [status for status in webhook.told("statuses") if status["status"] == "failed"]
    assert [(status["recipient_id"], status["errors"][0]["code"]) for status in failed] == [("919000000202", 131048)]


async def test_news_of_the_account_have_the_time_when_they_happened(meta: Meta, webhook: Webhook) -> None:
    assert await meta.news("account_update", {"event": "DISABLED_UPDATE"}) == 200
    [entry] = webhook.taken[0]["entry"]
    assert (entry["id"], entry["changes"][0]["field"]) == (ACCOUNT, "account_update")
    assert isinstance(entry["time"], int)
    assert value(webhook.taken[0]) == {"event": "DISABLED_UPDATE"}
    await meta.close()


async def test_a_throttled_app_is_told_for_how_many_minutes(business: Business, meta: Meta) -> None:
    meta.behaviour.script(ANY, [error(80007, regain_minutes=7)])
    _, _, headers = await business.send()
    assert '"estimated_time_to_regain_access": 7' in headers["X-Business-Use-Case-Usage"]


async def test_a_template_that_is_paced_is_accepted_with_a_word_about_it(business: Business, meta: Meta) -> None:
    meta.behaviour.script(ANY, [accept(message_status="held_for_quality_assessment")])
    _, body, _ = await business.template("hello_world")
    assert body["messages"][0]["message_status"] == "held_for_quality_assessment"


async def test_what_comes_in_counts_against_the_throughput(business: Business, meta: Meta) -> None:
    meta.behaviour.throughput = 2
    for nth in range(3):
        await meta.say(f"Hi {nth}", from_=PHONE)
    assert (await business.send())[1]["error"]["code"] == 130429
