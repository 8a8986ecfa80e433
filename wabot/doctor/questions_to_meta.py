"""The checks that ask Meta: token, number, account, subscription of the app, first-contact template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wabot.adapters.graph_api import Answer, GraphApi
from wabot.core import health_checks
from wabot.core.account_news import most_people
from wabot.core.health_checks import Check, State
from wabot.core.json_values import dict_of, list_of, text_of
from wabot.settings.loading import Settings

_LIMIT = "whatsapp_business_manager_messaging_limit"
_NUMBER_FIELDS = f"display_phone_number,verified_name,quality_rating,status,throughput,{_LIMIT}"
_OBJECT = "whatsapp_business_account"


class Meta:
    """The requests to Graph of one examination. Every method raises Unreachable.

    `skew`: seconds by which our clock is ahead of Meta's, None before Meta answered. `callback`: the address to which
    Meta sends the app's webhooks, "" if unknown. `secret_accepted`: whether Meta accepts the app secret for the token's
    app, None if unknown. `most_people`: the messaging limit, None if Meta did not name it; `portfolio`: the id of the
    business that owns the account, "" if unknown.
    """

    def __init__(self, graph: GraphApi, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._graph, self._settings, self._clock = graph, settings, clock
        self._account = settings.whatsapp.business_account_id
        self._token: Answer | None = None
        self._token_error: Mapping[str, Any] | None = None
        self._fields: list[str] | None = None
        self.skew: float | None = None
        self.callback = ""
        self.secret_accepted: bool | None = None
        self.most_people: float | None = None
        self.portfolio = ""

    @property
    def reached(self) -> bool:
        """Whether Meta answered."""
        return self._token is not None

    async def meet(self) -> Check:
        """Ask what the other checks need: the token's app, and the app's webhook address. Returns the token's check."""
        self._token_error = None
        self._token, self.skew, self.callback, self._fields, self.secret_accepted = None, None, "", None, None
        token = self._settings.whatsapp.access_token.get_secret_value()
        self._token = await self._graph.get("debug_token", input_token=token)
        if self._token.date is not None:
            self.skew = self._clock() - self._token.date
        await self._learn_callback()
        return await self.token()

    async def token(self) -> Check:
        """Whether the token is valid and has the permissions, and for how long."""
        if self._token is None:
            return await self.meet()
        if self._token.error is not None:
            return health_checks.refused("token", self._token.error)
        about = self._about_token
        found = health_checks.token(about, self._clock()) if "is_valid" in about else health_checks.unanswered("token")
        if self._token_error is not None and found.state is not State.BROKEN:
            return health_checks.refused("token", self._token_error)
        return found

    def secret(self) -> Check:
        """The check for an app secret that Meta refused."""
        return health_checks.secret_refused(self._app_id)

    async def number(self) -> Check:
        """The phone number: registration, quality, throughput, messaging limit."""
        answer = await self._graph.get(self._settings.whatsapp.phone_number_id, fields=_NUMBER_FIELDS)
        if answer.error is not None:
            return self._refused("number", answer.error)
        self.most_people = most_people(answer.data.get(_LIMIT))
        return health_checks.number(answer.data) if "id" in answer.data else health_checks.unanswered("number")

    async def account(self) -> Check:
        """The WhatsApp Business Account: its review, and whether it may send."""
        if not self._account:
            return _no_account("account")
        answer = await self._graph.get(
            self._account, fields="name,account_review_status,health_status,owner_business_info"
        )
        if answer.error is not None:
            return self._refused("account", answer.error)
        self.portfolio = text_of(dict_of(answer.data.get("owner_business_info")).get("id"))
        return health_checks.account(answer.data) if "id" in answer.data else health_checks.unanswered("account")

    async def subscription(self) -> Check:
        """Whether the token's app gets the account's webhooks, and which fields."""
        if not self._account:
            return _no_account("subscription")
        apps = await self._graph.get(f"{self._account}/subscribed_apps")
        if apps.error is not None:
            return self._refused("subscription", apps.error)
        if not isinstance(apps.data.get("data"), list) or not self._app_id:
            return health_checks.unanswered("subscription")
        return health_checks.subscription(list_of(apps.data.get("data")), self._app_id, self._fields)

    async def template(self) -> Check:
        """Whether the first-contact template is approved and has as many parameters as the settings."""
        first = self._settings.first_contact
        if first.answer == "ai":
            return health_checks.skipped("template", "first_contact.answer is ai: no template is sent")
        if not self._account:
            return _no_account("template")
        answer = await self._graph.get(f"{self._account}/message_templates", name=first.template, limit="100")
        if answer.error is not None:
            return self._refused("template", answer.error)
        if not isinstance(answer.data.get("data"), list):
            return health_checks.unanswered("template")
        bodies = [part for part in first.components if text_of(part.get("type")).lower() == "body"]
        given = sum(len(list_of(body.get("parameters"))) for body in bodies)
        found = list_of(answer.data.get("data"))
        return health_checks.template(found, name=first.template, language=first.language, given=given)

    async def subscribe(self, callback: str) -> Check:
        """`--fix`: subscribe the app to the account, and (with a `callback`) its webhook to all fields."""
        if not self._account:
            return _no_account("subscription")
        await self._graph.post(f"{self._account}/subscribed_apps")
        if self._fields is not None and callback:
            wanted = {*self._fields, *health_checks.NEEDED_FIELDS, *health_checks.WANTED_FIELDS}
            await self._graph.post(
                f"{self._app_id}/subscriptions",
                token=self._app_token,
                object=_OBJECT,
                callback_url=callback,
                verify_token=self._settings.whatsapp.verify_token.get_secret_value(),
                fields=",".join(sorted(wanted)),
            )
            await self._learn_callback()
        return await self.subscription()

    def _refused(self, name: str, error: Mapping[str, Any]) -> Check:
        """A dead token is one problem, and not one for each request; it may have died since the examination began."""
        if health_checks.is_of_the_token(error):
            self._token_error = error
            return health_checks.skipped(name, "Meta answers nothing to this token")
        return health_checks.refused(name, error)

    async def _learn_callback(self) -> None:
        """Read the address and the fields of the app's webhook; the fields stay None if they cannot be read."""
        if not self._app_id:
            return
        answer = await self._graph.get(f"{self._app_id}/subscriptions", token=self._app_token)
        if answer.error is not None:
            self.secret_accepted = False if health_checks.is_of_the_token(answer.error) else None
            return
        self.secret_accepted, self._fields = True, []
        for subscription in map(dict_of, list_of(answer.data.get("data"))):
            if subscription.get("object") == _OBJECT:
                self.callback = text_of(subscription.get("callback_url"))
                self._fields = [text_of(dict_of(field).get("name")) for field in list_of(subscription.get("fields"))]

    @property
    def _about_token(self) -> Mapping[str, Any]:
        return dict_of(self._token.data.get("data")) if self._token else {}

    @property
    def _app_id(self) -> str:
        """The token's own app; subscriptions of other apps of the account do not help us."""
        return text_of(self._about_token.get("app_id"))

    @property
    def _app_token(self) -> str:
        """https://developers.facebook.com/docs/facebook-login/guides/access-tokens (app access tokens)"""
        return f"{self._app_id}|{self._settings.whatsapp.app_secret.get_secret_value()}"


def _no_account(name: str) -> Check:
    return health_checks.skipped(name, "whatsapp.business_account_id is not set", "Copy it from WhatsApp > API setup.")
