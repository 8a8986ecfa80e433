"""The templates of an account: the routes that list, create, edit and delete them, and the lookup for sends.

https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wabot.core.complaint import Complaint, parts
from wabot.sandbox.checks import unfolded
from wabot.sandbox.graph import Call, Json, Refusal, Routes, invalid, page, select, unknown_object
from wabot.sandbox.template import CATEGORIES, LONGEST_BODY, NAME, Template, missing

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta

MOST = 250
"""How many templates an account may have that is not verified."""

FIELDS = (
    "id", "name", "language", "category", "status", "components", "parameter_format", "message_send_ttl_seconds",
    "correct_category", "previous_category", "rejected_reason", "library_template_name", "quality_score",
    "cta_url_link_tracking_opted_out", "sub_category", "degrees_of_freedom_spec",
)  # fmt: skip
_SHOWN = ("name", "parameter_format", "components", "language", "status", "category", "id")


def samples() -> list[tuple[str, str, list[Json]]]:
    """(name, category, components) of the templates, all in en_US, that every account has at the beginning."""
    answers = [{"type": "QUICK_REPLY", "text": "Yes"}, {"type": "QUICK_REPLY", "text": "No"}]
    code = [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code"}]
    return [
        ("hello_world", "UTILITY", [
            {"type": "HEADER", "format": "TEXT", "text": "Hello World"},
            {"type": "BODY", "text": "Welcome and congratulations!! This message demonstrates your ability to send a "
             "WhatsApp message notification from the Cloud API, hosted by Meta. Thank you for taking the time to test "
             "with us."},
            {"type": "FOOTER", "text": "WhatsApp Business Platform sample message"},
        ]),
        ("invitation", "MARKETING", [_body("Hello {{1}}, we would love to see you on Saturday.", "Ana")]),
        ("sample_shipping_confirmation", "UTILITY", [
            _body("Your package has been shipped. It will be delivered in {{1}} business days.", "3"),
        ]),
        ("sample_issue_resolution", "UTILITY", [
            _body("Hi {{1}}, were we able to solve the issue that you were facing?", "Ana"),
            {"type": "BUTTONS", "buttons": answers},
        ]),
        ("verification_code", "AUTHENTICATION", [
            {"type": "BODY", "text": "{{1}} is your verification code.", "add_security_recommendation": True,
             "example": {"body_text": [["123456"]]}},
            {"type": "BUTTONS", "buttons": code},
        ]),
    ]  # fmt: skip


def _body(text: str, *examples: str) -> Json:
    return {"type": "BODY", "text": text, "example": {"body_text": [list(examples)]}}


class Library:
    """The account's templates. `lenient`: a send may name any template, with any parameters."""

    def __init__(self, templates: Iterable[Template] | None = None, *, lenient: bool = False) -> None:
        self.lenient = lenient
        self._ids = 0
        self._templates: dict[str, Template] = {}
        for template in templates or ():
            self._templates[template.id] = template
        if templates is None:
            for name, category, components in samples():
                self.add(name, "en_US", category, components)

    def __iter__(self) -> Iterator[Template]:
        return iter(tuple(self._templates.values()))

    def get(self, id_: str) -> Template | None:
        """The template with this id."""
        return self._templates.get(id_)

    def find(self, name: object, language: object) -> Template | None:
        """The template of this name in this language."""
        return next((t for t in self if (t.name, t.language) == (name, language)), None)

    def add(self, name: str, language: str, category: str, components: list[Json], **more: Any) -> Template:
        """A new template, approved unless `status` says otherwise."""
        self._ids += 1
        template = Template(str(990_000_000_000_000 + self._ids), name, language, category, components, **more)
        self._templates[template.id] = template
        return template

    def suppose(self, name: str, language: str, sent: list[Json]) -> Template:
        """The template that is sent with these components, made up if the account has none of this name."""
        known = self.find(name, language)
        return known or self.add(name, language, "UTILITY", list(_supposed(name, sent)), named=_is_named(sent))

    def remove(self, template: Template) -> None:
        """Delete a template."""
        del self._templates[template.id]

    def sent(self, content: Mapping[str, Any]) -> Template | None:
        """The template that a send's `template` names."""
        language = content.get("language")
        return self.find(content.get("name"), language.get("code") if isinstance(language, dict) else None)

    def complaint(self, content: Mapping[str, Any]) -> Complaint | None:
        """What is wrong with a send's `template`, of which name and language are known to be texts."""
        name, code = content["name"], content["language"]["code"]
        template = self.find(name, code)
        if self.lenient and NAME.fullmatch(name):
            return None
        return template.complaint(content) if template else Complaint(132001, missing(name, code))


def _supposed(name: str, sent: list[Json]) -> Iterator[Json]:
    """Components that match the parameters of a send; the text is made up."""
    by_type = {str(component.get("type", "")).upper(): component for component in sent}
    header = next(iter(parts(by_type.get("HEADER", {}), "parameters")), None)
    if header is not None:
        kind = str(header.get("type", "text")).upper()
        yield {"type": "HEADER", "format": kind} | ({"text": "{{1}}"} if kind == "TEXT" else {})
    given = parts(by_type.get("BODY", {}), "parameters")
    names = [str(parameter.get("parameter_name") or nth) for nth, parameter in enumerate(given, start=1)]
    yield {"type": "BODY", "text": " ".join([f"[template {name}]", *(f"{{{{{name}}}}}" for name in names)])}
    buttons = [component for component in sent if str(component.get("type", "")).upper() == "BUTTON"]
    if buttons:
        made = [{"type": str(b.get("sub_type", "")).upper(), "text": f"Button {b.get('index')}"} for b in buttons]
        yield {"type": "BUTTONS", "buttons": made}


def _is_named(sent: list[Json]) -> bool:
    return any("parameter_name" in parameter for component in sent for parameter in parts(component, "parameters"))


async def list_templates(meta: Meta, call: Call) -> Json:
    """GET /{account}/message_templates, with `fields`, `limit`, `after`, `summary` and the filters."""
    chosen = [template.node() for template in meta.templates if _matches(template, call.query)]
    nodes = [select(node, call.query.get("fields"), FIELDS, _SHOWN, "MessageTemplate") for node in chosen]
    answer = page(nodes, call)
    if "summary" in call.query:
        count = len(list(meta.templates))
        answer["summary"] = {
            "total_count": len(nodes), "message_template_count": count, "message_template_limit": MOST,
            "are_translations_complete": False,
        }  # fmt: skip
    return answer


def _matches(template: Template, query: Mapping[str, str]) -> bool:
    words = (("status", template.status), ("category", template.category), ("language", template.language))
    if any(name in query and value not in query[name].strip("[]").replace('"', "").split(",") for name, value in words):
        return False
    text = str(template.component("BODY").get("text", ""))
    wanted = query.get("name_or_content", "")
    return (
        query.get("name", "") in template.name
        and query.get("content", "") in text
        and (wanted in template.name or wanted in text)
    )


def _named(meta: Meta, call: Call) -> Template:
    template = meta.templates.get(call.object)
    if template is None:
        raise unknown_object(call)
    return template


def _declined(subcode: int, reason: str) -> Refusal:
    """A refusal of the template routes, with a reason for people."""
    return Refusal(100, message="Invalid parameter", subcode=subcode, reason=reason)


async def show_template(meta: Meta, call: Call) -> Json:
    """GET /{template}."""
    template = _named(meta, call)
    return select(template.node(), call.query.get("fields"), FIELDS, _SHOWN, "MessageTemplate")


async def create_template(meta: Meta, call: Call) -> Json:
    """POST /{account}/message_templates: pending, and reviewed `meta.review_delay` seconds later."""
    asked = unfolded(await call.fields(), ("components",))
    name, language, category = (str(asked.get(key, "")) for key in ("name", "language", "category"))
    components = [dict(component) for component in parts(asked, "components")]
    _check(name, language, category.upper(), components)
    if meta.templates.find(name, language) is not None:
        raise _declined(2388024, f"There is already {language} content for this template.")
    if len(list(meta.templates)) >= MOST:
        raise Refusal(2388019, message="(#2388019) Message template limit exceeded.", http=400)
    template = meta.templates.add(
        name, language, category.upper(), components, status="PENDING",
        named=str(asked.get("parameter_format", "")).upper() == "NAMED",
    )  # fmt: skip
    meta.review(template)
    return {"id": template.id, "status": template.status, "category": template.category}


def _check(name: str, language: str, category: str, components: list[Json]) -> None:
    """Raises Refusal for a template that Meta refuses without a review."""
    if not NAME.fullmatch(name):
        raise invalid("Param name must be lowercase letters, digits and underscores, at most 512 of them.")
    if not language:
        raise invalid("The parameter language is required.")
    if category not in CATEGORIES:
        raise invalid(f"Param category must be one of {{{', '.join(CATEGORIES)}}}.")
    body = next((c for c in components if str(c.get("type", "")).upper() == "BODY"), None)
    if body is None:
        raise invalid("The parameter components must have one of type BODY.")
    if len(str(body.get("text", ""))) > LONGEST_BODY:
        raise invalid(f"Param components['BODY']['text'] must be at most {LONGEST_BODY} characters long.")
    sample = Template("", name, language, category, components)
    if sample.variables() and not body.get("example"):
        raise _declined(2388043, "Component of type BODY is missing expected field(s) (example)")


async def edit_template(meta: Meta, call: Call) -> Json:
    """POST /{template}: new components or another category, reviewed again."""
    template = _named(meta, call)
    asked = unfolded(await call.fields(), ("components",))
    components = [dict(component) for component in parts(asked, "components")] or template.components
    category = str(asked.get("category", template.category)).upper()
    _check(template.name, template.language, category, components)
    template.components, template.category, template.status = components, category, "PENDING"
    meta.review(template)
    return {"success": True, "id": template.id, "name": template.name, "category": template.category}


async def unpause_template(meta: Meta, call: Call) -> Json:
    """POST /{template}/unpause: a template that was paused for pacing is approved again."""
    template = _named(meta, call)
    if template.status != "PAUSED":
        return {"success": False, "reason": "The template is not paused."}
    meta.spawn(meta.decide(template, "APPROVED"))
    return {"success": True}


async def delete_template(meta: Meta, call: Call) -> Json:
    """DELETE /{account}/message_templates?name=…[&hsm_id=…]: all languages of a name, or the one with the id."""
    name, id_ = call.query.get("name"), call.query.get("hsm_id")
    gone = [t for t in meta.templates if t.name == name and id_ in (None, t.id)]
    if not gone:
        raise _declined(2593002, "Message template not found.")
    for template in gone:
        meta.templates.remove(template)
    return {"success": True}


ROUTES: Routes = {
    ("account", "GET", "message_templates"): list_templates,
    ("account", "POST", "message_templates"): create_template,
    ("account", "DELETE", "message_templates"): delete_template,
    ("template", "GET", ""): show_template,
    ("template", "POST", ""): edit_template,
    ("template", "POST", "unpause"): unpause_template,
}
