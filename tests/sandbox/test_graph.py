"""Graph's door: tokens, paths, fields, pages, and its JSON for everything that it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import TOKEN, Business
from wabot.sandbox import graph
from wabot.sandbox.meta import Meta


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "", 2500),
        ("GET", "999", 100),
        ("DELETE", "1234", 100),
        ("POST", "999/messages", 100),
        ("GET", "1234/messages", 100),
        ("GET", "1234/nonsense", 2500),
        ("POST", "1234/messages/more", 2500),
        ("GET", "1234/a/b/c/d", 2500),
        ("PUT", "1234/messages", 100),
    ],
)
async def test_whatever_graph_does_not_know_is_refused_in_its_json(
    business: Business, method: str, path: str, code: int
) -> None:
    status, body = await business.graph(method, path, data=b"\x00 not JSON")
    assert (status, body["error"]["code"]) == (400, code)
    assert body["error"]["type"] == "OAuthException"
    assert body["error"]["fbtrace_id"]


@pytest.mark.parametrize("path", ["1234/media", "1234/messages", "1234/settings"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=["no part", "no boundary", "no such charset", "not packed"],
)
async def test_what_cannot_be_read_is_refused_in_its_json(
    business: Business, path: str, headers: dict[str, str]
) -> None:
    url, headers = f"{business.url}/v26.0/{path}", headers | {"Authorization": f"Bearer {TOKEN}"}
    async with business.session.post(url, data=b"\xff=1", headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, 100)


async def test_an_unknown_object_may_be_one_that_the_token_may_not_see(business: Business) -> None:
    _, body = await business.graph("GET", "999")
    assert body["error"]["error_subcode"] == 33
    assert "Object with ID '999' does not exist" in body["error"]["message"]


async def test_the_token_may_be_a_parameter_and_the_version_may_be_missing(business: Business) -> None:
    assert (await business.graph("GET", "1234?access_token=a-token", token=None))[0] == 200
    assert (await business.graph("GET", "1234?access_token=wrong"))[1]["error"]["code"] == 190
    assert (await business.graph("GET", "1234", token=None))[1]["error"]["code"] == 104
    async with business.session.get(f"{business.url}/1234?access_token=a-token") as response:
        assert response.status == 200


async def test_a_page_ends_where_it_was_told_to_and_names_the_next(business: Business) -> None:
    _, first = await business.graph("GET", "200000000000002/message_templates?limit=2")
    _, second = await business.graph("GET", first["paging"]["next"].partition("v26.0/")[2])
    names = [template["name"] for template in first["data"] + second["data"]]
    assert len(set(names)) == 4
    _, past = await business.graph("GET", "200000000000002/message_templates?after=99")
    assert past == {"data": []}


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        (None, {"a": 1, "id": "7"}),
        ("b", {"b": {"c": 1}, "id": "7"}),
        ("b{c,d},id", {"b": {"c": 1}, "id": "7"}),
        ("a,b.format(PNG)", {"a": 1, "b": {"c": 1}, "id": "7"}),
        ("empty", {"id": "7"}),
    ],
)
def test_fields_are_chosen_and_empty_ones_left_out(fields: str | None, chosen: Any) -> None:
    node = {"id": "7", "a": 1, "b": {"c": 1}, "empty": None}
    assert graph.select(node, fields, ("id", "a", "b", "empty"), ("a",), "Thing") == chosen


async def test_a_field_that_does_not_exist_is_refused_by_name(business: Business) -> None:
    status, body = await business.graph("GET", "1234?fields=verified_name,colour")
    assert status == 400
    assert "nonexisting field (colour)" in body["error"]["message"]


async def test_the_number_shows_what_is_asked_for(business: Business, meta: Meta) -> None:
    meta.account.limit = 250
    asked = "whatsapp_business_manager_messaging_limit,quality_rating,account_mode"
    assert (await business.graph("GET", f"1234?fields={asked}"))[1] == {
        "whatsapp_business_manager_messaging_limit": "TIER_250",
        "quality_rating": "GREEN",
        "account_mode": "SANDBOX",
        "id": "1234",
    }
    _, numbers = await business.graph("GET", "200000000000002/phone_numbers?fields=display_phone_number")
    assert numbers["data"] == [{"display_phone_number": "15550001111", "id": "1234"}]


async def test_profile_and_settings_are_what_was_made_of_them(business: Business) -> None:
    profile = "1234/whatsapp_business_profile"
    change = {"messaging_product": "whatsapp", "about": "Cakes", "vertical": "RETAIL"}
    assert await business.graph("POST", profile, json=change) == (200, {"success": True})
    assert (await business.graph("GET", f"{profile}?fields=about,vertical,email"))[1] == {
        "data": [{"about": "Cakes", "vertical": "RETAIL", "messaging_product": "whatsapp"}]
    }
    assert (await business.graph("POST", profile, json={"about": "x" * 140}))[0] == 400
    settings = {"storage_configuration": {"status": "IN_COUNTRY_STORAGE_ENABLED"}}
    assert await business.graph("POST", "1234/settings", json=settings) == (200, {"success": True})
    assert (await business.graph("GET", "1234/settings?fields=storage_configuration"))[1] == settings
    assert (await business.graph("POST", "1234/settings", json={"colour": 1}))[0] == 400


async def test_a_number_that_is_not_registered_sends_nothing(business: Business) -> None:
    assert (await business.graph("POST", "1234/deregister"))[1] == {"success": True}
    assert (await business.send())[1]["error"]["code"] == 133010
    assert (await business.graph("POST", "1234/register", json={"messaging_product": "whatsapp", "pin": "12"}))[
        0
    ] == 400
    assert (await business.graph("POST", "1234/register", json={"pin": "123456"}))[1] == {"success": True}
    assert (await business.send())[0] == 200


async def test_qr_codes(business: Business) -> None:
    _, made = await business.graph("POST", "1234/message_qrdls?prefilled_message=Hi&generate_qr_image=png")
    assert made["deep_link_url"].endswith(made["code"])
    assert (await business.graph("GET", f"1234/message_qrdls/{made['code']}"))[1]["data"] == [made]
    changed = {"code": made["code"], "prefilled_message": "Hello"}
    assert (await business.graph("POST", "1234/message_qrdls", json=changed))[1]["prefilled_message"] == "Hello"
    assert (await business.graph("DELETE", f"1234/message_qrdls/{made['code']}"))[1] == {"success": True}
    assert (await business.graph("DELETE", f"1234/message_qrdls/{made['code']}"))[0] == 400
    assert (await business.graph("GET", "1234/message_qrdls"))[1] == {"data": []}


async def test_a_token_is_told_what_it_may_do(business: Business) -> None:
    _, good = await business.graph("GET", "debug_token?input_token=a-token")
    assert good["data"]["is_valid"]
    assert good["data"]["scopes"] == ["whatsapp_business_management", "whatsapp_business_messaging"]
    assert good["data"]["granular_scopes"][0]["target_ids"] == ["200000000000002"]
    _, bad = await business.graph("GET", "debug_token?input_token=x")
    assert (bad["data"]["is_valid"], bad["data"]["error"]["code"]) == (False, 190)
    assert (await business.graph("GET", "debug_token"))[0] == 400
