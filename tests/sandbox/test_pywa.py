"""pywa, a client and a webhook server that nobody here wrote, with the stand-in for Meta instead of Meta.

Nothing of pywa is replaced but the address of Graph. What it sends must be taken, and what the stand-in answers and
tells must be what it can read. https://pywa.readthedocs.io
"""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from pywa_async import WhatsApp, errors, types
from pywa_async.types import templates as t
from pywa_async.types.message_status import PricingCategory
from starlette.applications import Starlette

from wabot.sandbox import payloads
from wabot.sandbox.behaviour import ANY, error, undelivered
from wabot.sandbox.meta import Meta, serve
from wabot.sandbox.people import user_id_of

ANA = "919876543210"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


class ToTheSandbox(httpx.AsyncHTTPTransport):
    """Carries to the stand-in what is meant for graph.facebook.com."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = httpx.URL(url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "graph.facebook.com"
        request.url = request.url.copy_with(scheme="http", host=self._url.host, port=self._url.port)
        return await super().handle_async_request(request)


@dataclass
class Bot:
    """A business that runs on pywa. `heard`: what its handlers were called with; `raw`: every update, as it came."""

    wa: WhatsApp
    meta: Meta
    heard: list[Any] = field(default_factory=list)
    raw: list[Any] = field(default_factory=list)

    async def until(self, holds: Callable[[Bot], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds(self):
                await asyncio.sleep(0.005)

    async def hears(self, said: Any = "Hi", **who: Any) -> Any:
        """What pywa makes of it when Ana says something."""
        before = len(self.heard)
        assert (await self.meta.say(said, **({"from_": ANA} | who)))[1] == 200
        await self.until(lambda b: len(b.heard) > before)
        return self.heard[before]


@pytest.fixture
async def bot() -> AsyncIterator[Bot]:
    meta = Meta(receipt_delay=0.0, review_delay=0.0, app_secret="a-secret", verify_token="a-word")
    runner, url = await serve(meta)
    app = Starlette()
    transport = {"https://graph.facebook.com": ToTheSandbox(url)}
    async with httpx.AsyncClient(mounts=transport) as session:
        wa = WhatsApp(
            phone_id=meta.phone_number_id, token=meta.access_token, session=session, server=app,
            webhook_endpoint="/webhook", verify_token="a-word", app_secret="a-secret", app_id=meta.account.app_id,
            waba_id=meta.account.id,
        )  # fmt: skip
        bot = Bot(wa, meta)
        for on in (
            wa.on_message, wa.on_message_status, wa.on_callback_button, wa.on_callback_selection,
            wa.on_phone_number_change, wa.on_template_status_update, wa.on_template_category_update,
        ):  # fmt: skip
            on(_appending(bot.heard))
        wa.on_raw_update(_appending(bot.raw))
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        meta.webhook_url = f"http://127.0.0.1:{listener.getsockname()[1]}/webhook"
        yield bot
        await runner.cleanup()
        server.should_exit = True
        await serving


def _appending(updates: list[Any]) -> Callable[[WhatsApp, Any], Any]:
    async def append(_: WhatsApp, update: Any) -> None:
        updates.append(update)

    return append


async def test_its_server_passes_the_handshake_and_refuses_a_wrong_signature(bot: Bot) -> None:
    assert await bot.meta.verify_webhook()
    assert (await bot.meta.deliver(b"{}", signature="sha256=00"))[0] == 403
    assert (await bot.meta.deliver(b"{}", signature=None))[0] == 401
    assert bot.raw == []


async def test_a_text_is_heard_answered_and_its_receipts_come(bot: Bot) -> None:
    message = await bot.hears("Hello")
    assert (message.text, message.from_user.wa_id, message.from_user.bsuid) == ("Hello", ANA, user_id_of(ANA))
    await message.mark_as_read()
    await message.indicate_typing()
    assert [(seen.wamid, seen.typing) for seen in bot.meta.seen] == [(message.id, False), (message.id, True)]

    sent = await message.reply("Hi Ana", quote=True, tracker="job:1")

    assert bot.meta.sent[0].payload["context"] == {"message_id": message.id}
    await bot.until(lambda b: len(b.heard) == 4)
    receipts = bot.heard[1:]
    assert [receipt.status for receipt in receipts] == ["sent", "delivered", "read"]
    assert {(receipt.id, receipt.tracker, receipt.from_user.bsuid) for receipt in receipts} == {
        (sent.id, "job:1", user_id_of(ANA))
    }
    assert receipts[0].pricing.category == PricingCategory.SERVICE


async def test_everything_that_it_can_send_is_taken(bot: Bot) -> None:
    message = await bot.hears()
    wa = bot.wa
    await wa.send_message(ANA, "Well?", buttons=[types.Button("Yes", "y"), types.Button("No", "n")])
    rows = [types.SectionRow("Cakes", "c", "sweet"), types.SectionRow("Pies", "p")]
    await wa.send_message(ANA, "What?", buttons=types.SectionList("Open", [types.Section("All", rows)]))
    await wa.send_message(ANA, "Look", buttons=types.URLButton("Open", "https://example.com"))
    await wa.send_image(ANA, io.BytesIO(PNG), caption="A cake", mime_type="image/png")
    await wa.send_document(ANA, b"%PDF-1.4", filename="menu.pdf", mime_type="application/pdf")
    await wa.send_location(ANA, latitude=12.9, longitude=77.6, name="Shop", address="Main street")
    await wa.send_contact(ANA, types.Contact(name=types.Contact.Name("Ben", first_name="Ben")))
    await message.react("👍")
    await wa.remove_reaction(ANA, message.id)
    await wa.send_message(user_id_of(ANA), "By BSUID")
    kinds = [sent.type for sent in bot.meta.sent]
    assert kinds == ["interactive"] * 3 + ["image", "document", "location", "contacts", "reaction", "reaction", "text"]
    assert bot.meta.sent[-1].payload["recipient"] == user_id_of(ANA)
    assert len(bot.meta.attempts) == len(kinds)


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        (payloads.image("A cat"), lambda m: m.image.mime_type == "image/jpeg" and m.caption == "A cat"),
        (payloads.audio(), lambda m: m.audio.voice),
        (payloads.video(), lambda m: m.video),
        (payloads.document("a.pdf"), lambda m: m.document.filename == "a.pdf"),
        (payloads.sticker(), lambda m: m.sticker),
        (payloads.location(1.5, 2.5, "Shop"), lambda m: m.location.name == "Shop"),
        (payloads.contacts(("Ben", "919000000000")), lambda m: m.contacts[0].name.formatted_name == "Ben"),
        (payloads.reaction("wamid.a"), lambda m: m.reaction.emoji == "👍"),
        (payloads.button("Yes", "y"), lambda m: (m.data, m.title) == ("y", "Yes")),
        (payloads.button_reply("y", "Yes"), lambda m: (m.data, m.title) == ("y", "Yes")),
        (payloads.list_reply("c", "Cakes"), lambda m: (m.data, m.title) == ("c", "Cakes")),
        (payloads.unsupported(), lambda m: m.error.code == 131051),
    ],
)
async def test_everything_that_people_say_is_read(bot: Bot, said: Any, holds: Callable[[Any], bool]) -> None:
    context = {"context": {"from": "15550001111", "id": "wamid.before"}}  # pywa wants one with every tap
    assert holds(await bot.hears(said | (context if said["type"] in ("button", "interactive") else {})))


async def test_who_hides_the_number_is_answered_by_bsuid(bot: Bot) -> None:
    ana = bot.meta.people.of(ANA)
    ana.username, ana.hides_number = "ana.k", True
    message = await bot.hears()
    assert (message.from_user.wa_id, message.from_user.username) == (None, "ana.k")
    await message.reply("Hi")
    assert bot.meta.sent[0].payload["recipient"] == ana.user_id


async def test_who_changes_the_number_is_told_of(bot: Bot) -> None:
    await bot.meta.change_number(bot.meta.people.of(ANA), "919000000000")
    await bot.until(lambda b: bool(b.heard))
    [change] = bot.heard
    assert (change.old_wa_id, change.new_wa_id) == (ANA, "919000000000")
    assert change.new_user_id == bot.meta.people.of("919000000000").user_id


async def test_media_go_up_and_down_and_away(bot: Bot) -> None:
    media = await bot.wa.upload_media(PNG, mime_type="image/png", filename="a.png")
    found = await bot.wa.get_media_url(media.id)
    assert (found.mime_type, found.file_size) == ("image/png", len(PNG))
    assert await bot.wa.get_media_bytes(found.url) == PNG
    assert await bot.wa.delete_media(media.id)
    with pytest.raises(errors.WhatsAppError):
        await bot.wa.get_media_url(media.id)
    message = await bot.hears(payloads.document("hello.txt"), content=b"Hello")
    assert await message.document.get_bytes() == b"Hello"


async def test_the_profile_and_the_number_are_read_and_changed(bot: Bot) -> None:
    assert await bot.wa.update_business_profile(about="Cakes", industry=types.Industry.RETAIL, email="a@example.com")
    profile = await bot.wa.get_business_profile()
    assert (profile.about, profile.industry, profile.email) == ("Cakes", types.Industry.RETAIL, "a@example.com")
    number = await bot.wa.get_business_phone_number()
    assert (number.id, number.verified_name) == (bot.meta.phone_number_id, "wabot sandbox")
    assert number.whatsapp_business_manager_messaging_limit == "TIER_UNLIMITED"
    assert [n.id for n in await bot.wa.get_business_phone_numbers()] == [bot.meta.phone_number_id]
    account = await bot.wa.get_business_account()
    assert (account.id, len(account.subscribed_apps)) == (bot.meta.account.id, 1)
    settings = await bot.wa.get_business_phone_number_settings()
    assert settings.storage_configuration.status == "DEFAULT"


async def test_templates_are_listed_made_sent_told_of_and_deleted(bot: Bot) -> None:
    listed = await bot.wa.get_templates()
    assert (listed.total_count, {template.name for template in listed} >= {"hello_world", "invitation"}) == (5, True)
    shop = t.Template(
        name="order_news", language=t.TemplateLanguage.ENGLISH_US, category=t.TemplateCategory.UTILITY,
        parameter_format=t.ParamFormat.NAMED, components=[
            t.HeaderText("News"), body := t.BodyText("Order {{order}} is ready.", order="7"),
            t.FooterText(text="The shop"),
            t.Buttons(buttons=[yes := t.QuickReplyButton(text="Thanks")]),
        ],
    )  # fmt: skip
    created = await bot.wa.create_template(shop)
    await bot.until(lambda b: bool(b.heard))
    [news] = bot.heard
    assert (news.template_id, news.new_status) == (created.id, t.TemplateStatus.APPROVED)

    sent = await bot.wa.send_template(
        ANA, "order_news", t.TemplateLanguage.ENGLISH_US,
        params=[body.params(order="12"), yes.params(callback_data="thanks", index=0)],
    )  # fmt: skip
    await bot.until(lambda b: len(b.heard) == 4)
    assert {receipt.pricing.category for receipt in bot.heard[1:3]} == {PricingCategory.UTILITY}
    template = bot.meta.templates.find("order_news", "en_US")
    assert template
    assert template.text(bot.meta.sent[0].payload["template"]) == "News\nOrder 12 is ready.\nThe shop"
    assert bot.heard[1].id == sent.id

    await bot.meta.set_template("order_news", "en_US", category="MARKETING")
    await bot.until(lambda b: len(b.heard) == 5)
    assert bot.heard[4].new_category == t.TemplateCategory.MARKETING
    assert (await bot.wa.get_template(created.id)).category == t.TemplateCategory.MARKETING
    assert await bot.wa.delete_template("order_news")
    with pytest.raises(errors.TemplateNotExists):
        await bot.wa.send_template(ANA, "order_news", t.TemplateLanguage.ENGLISH_US, params=[])


async def test_an_example_and_a_profile_picture_are_uploaded_and_used(bot: Bot) -> None:
    picture = t.HeaderImage(example=PNG, mime_type="image/png")
    shop = t.Template(
        name="picture_news", language=t.TemplateLanguage.GERMAN, category=t.TemplateCategory.MARKETING,
        components=[picture, t.BodyText("News")],
    )  # fmt: skip
    await bot.wa.create_template(shop)
    await bot.until(lambda b: bool(b.heard))
    image = picture.params(image=PNG)
    await bot.wa.send_template(ANA, "picture_news", t.TemplateLanguage.GERMAN, params=[image])
    assert await bot.wa.update_business_profile(profile_picture=PNG)
    assert list(bot.meta.media.uploads.values()) == [PNG, PNG]
    assert (await bot.wa.get_business_profile()).profile_picture_url


async def test_a_paused_template_is_taken_up_again_and_marketing_has_a_road_of_its_own(bot: Bot) -> None:
    await bot.meta.set_template("invitation", "en_US", status="PAUSED")
    template = bot.meta.templates.find("invitation", "en_US")
    assert template
    with pytest.raises(errors.TemplatePaused):
        await bot.wa.send_template(ANA, "invitation", t.TemplateLanguage.ENGLISH_US, params=[t.BodyText.params("Ana")])
    assert await bot.wa.unpause_template(template.id)
    await bot.until(lambda b: [news.new_status for news in b.heard] == ["PAUSED", "APPROVED"])
    invitation = {"name": "invitation", "language": t.TemplateLanguage.ENGLISH_US, "params": [t.BodyText.params("Ana")]}
    await bot.wa.send_template(ANA, **invitation, use_mm_lite_api=True)
    with pytest.raises(errors.WhatsAppError, match="131055"):
        await bot.wa.send_template(ANA, "hello_world", t.TemplateLanguage.ENGLISH_US, params=[], use_mm_lite_api=True)


async def test_the_phone_offers_words_before_anything_was_said(bot: Bot) -> None:
    assert await bot.wa.update_conversational_automation(
        ice_breakers=["Prices?"], commands=[types.Command(name="menu", description="What we bake")]
    )
    offered = (await bot.wa.get_business_phone_number()).conversational_automation
    assert (offered.ice_breakers, offered.commands[0].name) == (("Prices?",), "menu")


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (131047, errors.ReEngagementMessage), (131056, errors.TooManyMessages), (131053, errors.MediaUploadError),
        (190, errors.ExpiredAccessToken), (130429, errors.RateLimitHit),
    ],
)  # fmt: skip
async def test_errors_are_those_that_it_knows(bot: Bot, code: int, meaning: type[Exception]) -> None:
    bot.meta.behaviour.script(ANY, [error(code)])
    with pytest.raises(meaning):
        await bot.wa.send_message(ANA, "Hi")


@pytest.mark.parametrize(("code", "meaning"), [(131047, errors.ReEngagementMessage), (131049, errors.WhatsAppError)])
async def test_a_failed_receipt_is_read(bot: Bot, code: int, meaning: type[Exception]) -> None:
    bot.meta.behaviour.script(ANY, [undelivered(code)])
    await bot.wa.send_message(ANA, "Hi")
    await bot.until(lambda b: bool(b.heard))
    [receipt] = bot.heard
    assert (receipt.status, receipt.error.code) == ("failed", code)
    assert isinstance(receipt.error, meaning)


async def test_people_are_blocked_and_unblocked(bot: Bot) -> None:
    assert (await bot.wa.block_users([ANA])).added_users[0].wa_id == ANA
    # Its `get_blocked_users` wants an `input` that Meta gives only in the answers to POST and DELETE.
    listed = await bot.wa.api.get_blocked_users(bot.meta.phone_number_id)
    assert [user["wa_id"] for user in listed["data"]] == [ANA]
    with pytest.raises(errors.WhatsAppError):
        await bot.wa.send_message(ANA, "Hi")
    assert (await bot.wa.unblock_users([ANA])).removed_users[0].wa_id == ANA


async def test_qr_codes_are_made_changed_and_deleted(bot: Bot) -> None:
    made = await bot.wa.create_qr_code(prefilled_message="Hi", image_type="PNG")
    assert (made.prefilled_message, bool(made.qr_image_url)) == ("Hi", True)
    assert (await bot.wa.update_qr_code(made.code, prefilled_message="Hello")).prefilled_message == "Hello"
    assert [code.code for code in await bot.wa.get_qr_codes()] == [made.code]
    assert await bot.wa.delete_qr_code(made.code)


async def test_it_registers_its_own_address(bot: Bot) -> None:
    url, bot.meta.webhook_url = bot.meta.webhook_url, None
    token = await bot.wa.get_app_access_token(int(bot.meta.account.app_id), "a-secret")
    assert await bot.wa.set_app_callback_url(
        int(bot.meta.account.app_id), token, str(url), "a-word", fields=["messages"]
    )
    assert bot.meta.webhook_url == url
    assert await bot.wa.override_waba_callback_url(str(url), "a-word")
    assert await bot.wa.override_phone_callback_url(str(url), "a-word")
    assert bot.meta.account.overrides == {"account": url, "number": url}
    assert await bot.wa.delete_waba_callback_url()
    assert await bot.wa.delete_phone_callback_url()
    assert bot.meta.account.overrides == {"account": "", "number": ""}
