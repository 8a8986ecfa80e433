"""The remedies: for each problem that a person must solve, what to do and where."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wabot.core.conversation import Prompt
from wabot.core.exceptions import AssistantFailed
from wabot.core.health_checks import NEEDED_SCOPES, RENEW, SYSTEM_USERS, Check, broken, ok, warning
from wabot.core.model_answers import ModelName
from wabot.core.whatsapp_text import sendable


@dataclass(frozen=True, slots=True)
class Trouble:
    """The name of a problem, and its remedy."""

    name: str
    remedy: str


_TOKEN = Trouble("token", RENEW)
_PERMISSION = Trouble(
    "token",
    f"In {SYSTEM_USERS} assign the app and the WhatsApp account to the system user with full control, generate the"
    f" token with {' and '.join(NEEDED_SCOPES)}, put it into whatsapp.access_token and restart wabot.",
)
_NUMBER = Trouble(
    "number",
    "Compare whatsapp.phone_number_id with WhatsApp > API setup, and restart wabot: it is the id, not the number, and"
    " the token's account must have it.",
)
_REGISTER = Trouble("number", "Register the number in WhatsApp > API setup.")
_PAYMENT = Trouble("account", "See the payment method in Business settings > Billing & payments.")
_ACCOUNT = Trouble("account", "See Business Support Home, and WhatsApp Manager > Account overview, for what Meta asks.")
_OUTAGE = Trouble(
    "graph",
    "If it is an outage at Meta (https://metastatus.com), wait: wabot tries again by itself and then sends what waits."
    " If it lasts, check that this machine reaches graph.facebook.com.",
)

_SPEAKS_OF_KEY = re.compile(r"api.?key", re.IGNORECASE).search

OF_WARNING = (
    "See WhatsApp Manager > Account overview, Phone numbers and Message templates for what Meta asks."
    " This is shown for a day."
)

_BY_CODE: Mapping[Collection[int], Trouble] = {
    (0, 104, 190, 401): _TOKEN,
    (3, 10, 403, 131005, *range(200, 300)): _PERMISSION,
    (33, 100): _NUMBER,
    (131045, 133010): _REGISTER,
    (131042,): _PAYMENT,
    (368, 131031, 131037, 141008, 141014): _ACCOUNT,
}


KNOWLEDGE = (
    "Put the file back, readable for wabot, as UTF-8 text or as a PDF with text; it is read within seconds, without a"
    " restart."
)

OF_ENDPOINT = (
    "Let the endpoint accept events again, or take it out of [[events]]; then restart wabot. Its events wait for three"
    " days."
)
MONGO = (
    "See that MongoDB runs, and mongo.uri: address, user, rights; restart wabot when you have changed it. Meanwhile the"
    " journal keeps everything."
)


def of_sends(code: int | str | None, *, blocked: bool) -> Trouble:
    """The problem behind a paused send lane, by Meta's code or our own. `blocked`: a person must act."""
    if not blocked:
        return _OUTAGE
    return next((trouble for codes, trouble in _BY_CODE.items() if code in codes), _ACCOUNT)


_QUOTED = re.compile(r"\S{16,}|\d{5,}")
"""Keys, tokens and numbers: a model's provider may quote them in its error messages."""
WORDS_LIMIT = 200
_SHORTEST_SECRET = 3
_OF_ACCESS = frozenset({401, 402, 403, 404, 429})


def words_of_model(status: int, said: object, prompt: Prompt) -> str:
    """The reason that a model's provider gives for an error, for the log: only if it is about key, model or quota.

    Other reasons, or any that repeat a message, may reveal the conversation: then only the HTTP status is returned.
    """
    if not isinstance(said, str) or not said.strip() or (status not in _OF_ACCESS and not _SPEAKS_OF_KEY(said)):
        return f"HTTP {status}"
    if any(_repeats(said, turn.text) for turn in prompt.turns):
        return f"HTTP {status}"
    words = _QUOTED.sub("…", " ".join(sendable(said).split()))
    return f"HTTP {status}: {words[:WORDS_LIMIT]}"


def _repeats(said: str, text: str) -> bool:
    """Whether `said` has this text of the conversation. "hi" within "this" is none, nor is a letter or two."""
    if len(text) < _SHORTEST_SECRET or text not in said:
        return False
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said) is not None


def of_model(failure: AssistantFailed, setting: str = "assistant") -> str:
    """What to do if the model of this table of the settings fails, by the HTTP status of its answer."""
    key = f"Put a key that the model's provider accepts into {setting}.api_key, and restart wabot."
    match failure.status:
        case 401 | 403:
            return key
        case 400 if _SPEAKS_OF_KEY(str(failure)):
            return key
        case 404:
            return f"Correct {setting}.model or {setting}.base_url and restart wabot: there is no such model."
        case 429 | 402:
            return "See the quota and the payment at the model's provider; replies wait and are tried again."
        case status if status is not None and status < 500:
            return f"See [{setting}]: provider, model, base_url; restart wabot when you have changed them."
    return f"Replies wait and are tried again. If it lasts, see [{setting}]: base_url, and the provider's status."


def check_of_models(found: Mapping[ModelName, AssistantFailed | None]) -> Check:
    """Doctor's check of the models that were asked: broken if the first of them fails, a warning if another does."""
    failed = [(name, failure) for name, failure in found.items() if failure is not None]
    if not failed:
        verb = "answers" if len(found) == 1 else "answer"
        return ok("model", f"{', '.join(map(str, found))} {verb}")
    detail = "; ".join(f"{name}: {failure}" for name, failure in failed)
    remedy = " ".join(dict.fromkeys(of_model(failure, name.setting) for name, failure in failed))
    verdict = broken if any(name.setting == "assistant" for name, _ in failed) else warning
    return verdict("model", detail, remedy)


def of_account(text: str, account: str) -> str:
    """A remedy with the settings of a further account in place of those of [whatsapp]; "": as it is."""
    if not account:
        return text
    return _WHATSAPP.sub(f"accounts.{account}.", text).replace("[whatsapp]", f"[[accounts]] {account}")


_WHATSAPP = re.compile(r"(?<![\w./-])whatsapp\.(?=[a-z])")
