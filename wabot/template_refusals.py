"""Refuses at once the template messages that Meta would refuse, as far as Meta can be asked about the template."""

from __future__ import annotations

from collections.abc import Sequence

from wabot.core import template_check
from wabot.core.template_check import Components, TemplateRefused, Wrong
from wabot.core.templates import Template
from wabot.offload import MANY, Offload
from wabot.template_list import TemplateList


class TemplateRefusals:
    """The check of template messages before they are queued."""

    def __init__(self, templates: TemplateList, offload: Offload) -> None:
        self._templates, self._offload = templates, offload

    async def check(self, name: str, language: str, each: Sequence[Components], *, own: bool) -> Template | None:
        """The template that fits all these messages; None if Meta cannot be asked.

        `own`: these are the components of recipients, who are named by index; otherwise there is one for all. Before a
        refusal Meta is asked afresh. Raises TemplateRefused.
        """
        for ask in (self._templates.of, self._templates.afresh):
            versions = await ask(name)
            if versions is None:
                return None
            template = template_check.of_template(versions, name, language)
            wrong = [template] if isinstance(template, Wrong) else await self._wrong(template, each, own=own)
            if isinstance(template, Template) and not wrong:
                return template
        raise TemplateRefused(wrong)

    async def _wrong(self, template: Template, each: Sequence[Components], *, own: bool) -> list[Wrong]:
        if not own:
            found = template_check.of_components(template, each[0])
            return [] if found is None else [found]
        if len(each) <= MANY:
            return template_check.of_recipients(template, each)
        return await self._offload(template_check.of_recipients, template, each)
