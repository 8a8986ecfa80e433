"""[bulk]: when and how bulk sends leave."""

from __future__ import annotations

from wabot.settings.sections import Section


class Bulk(Section):
    check_templates: bool = True
