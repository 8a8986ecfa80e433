"""The rules of the house, as tables and as functions from a module to what breaks the rule in it.

test_house_rules.py holds the code to them.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "aiohttp": (
        "wabot.web.*", "wabot.console.*",
        "wabot.adapters.bounded_answer", "wabot.adapters.graph_api", "wabot.adapters.openai",
        "wabot.adapters.meta_media", "wabot.adapters.signed_post", "wabot.adapters.whatsapp", "wabot.doctor.*",
        "wabot.assembly.*",  # opens the one client session and passes it on
        "wabot.terminal.service_calls",  # the terminal asks the running service
        "wabot.rehearsal.wire", "wabot.rehearsal.stage",
        "wabot.sandbox.*",
    ),
    "aiohttp_sse": ("wabot.console.live", "wabot.sandbox.phone.page"),
    "aiosqlite": ("wabot.journal.connections",),
    "bson": ("wabot.adapters.mongo",),
    "dotenv": ("wabot.settings.sources",),
    "google": ("wabot.adapters.gemini",),
    "itsdangerous": ("wabot.web.sessions",),
    "jinja2": ("wabot.console.rendering", "wabot.web.reference.page"),
    "jsonschema": ("wabot.json_schema",),
    "markupsafe": ("wabot.web.reference.page",),
    "motor": ("wabot.adapters.mongo",),
    "orjson": ("wabot.core.fast_json",),
    "phonenumbers": ("wabot.core.phone_numbers",),
    "prometheus_client": ("wabot.metrics",),
    "pydantic": (
        "wabot.console.setup", "wabot.settings.*", "wabot.web.request_fields", "wabot.web.request_models",
        "wabot.web.request_bodies", "wabot.web.reference.*", "wabot.web.validation",
    ),
    "pymongo": ("wabot.adapters.mongo",),
    "pypdf": ("wabot.knowledge.pdf_text",),
    "referencing": ("wabot.json_schema",),
    "rich": ("wabot.sandbox.chat", "wabot.terminal.campaign"),
    "prompt_toolkit": ("wabot.sandbox.terminal_line",),
    "structlog": ("wabot.log",),
    "uvloop": ("wabot.cli",),
    "yarl": ("wabot.adapters.meta_media",),
}  # fmt: skip
"""Where each third-party package may be imported: `.*` is a whole package. Also the list of all that are."""

COMES_WITH = {
    "aiohttp_sse": "aiohttp-sse",
    "bson": "pymongo", "google": "google-generativeai", "dotenv": "python-dotenv", "multidict": "aiohttp",
    "phonenumbers": "phonenumberslite", "yarl": "aiohttp",
    "markupsafe": "jinja2", "openapi_spec_validator": "openapi-spec-validator",
    "pywa_async": "pywa", "yaml": "PyYAML", "axe_playwright_python": "axe-playwright-python",
}  # fmt: skip
"""What is pinned for a package, where it is not called as the package is."""
TOOLS = {"mypy", "pytest", "pytest-aiohttp", "pytest-xdist", "ruff", "SecantusDB"}
"""In tests/requirements.txt, and run rather than imported."""

MAY_IMPORT: Mapping[str, tuple[str, ...]] = {
    "wabot.assembly": (),
    "wabot.monitor": (),
    "wabot.core": ("wabot.core",),
    "wabot.lean_imports": (),
    "wabot.memory": (),
    "wabot.adapters": (
        "wabot.adapters.bounded_answer", "wabot.adapters.mongo_documents", "wabot.adapters.signed_post", "wabot.core",
        "wabot.json_schema",
        "wabot.lean_imports", "wabot.work.attachments",
    ),
    "wabot.adapters.template_reading": ("wabot.adapters.graph_api",),
    "wabot.offload": (),
    "wabot.batch_building": ("wabot.core", "wabot.journal", "wabot.work"),
    "wabot.message_building": ("wabot.core", "wabot.journal.single_messages"),
    "wabot.assembly.clock": (),
    "wabot.knowledge": ("wabot.core", "wabot.knowledge", "wabot.log", "wabot.offload"),
    "wabot.json_schema": ("wabot.core",),
    "wabot.quiet_hours": ("wabot.core.may_send",),
    "wabot.log": ("wabot.core", "wabot.lean_imports", "wabot.log_format", "wabot.log_output"),
    "wabot.log_format": (),
    "wabot.log_output": (),
    "wabot.ownership": (),
    "wabot.private_file": (),
    "wabot.running_address": (),
    "wabot.api_keys": (
        "wabot.core", "wabot.log", "wabot.ownership", "wabot.private_file", "wabot.settings.sections",
    ),
    "wabot.settings": ("wabot.core", "wabot.json_schema", "wabot.ownership", "wabot.quiet_hours", "wabot.settings"),
    "wabot.journal": ("wabot.core", "wabot.journal", "wabot.log", "wabot.ownership", "wabot.private_file"),
    "wabot.work": (
        "wabot.core", "wabot.log", "wabot.work.archive_circuit", "wabot.work.attachments", "wabot.work.lane",
        "wabot.work.reply",
        "wabot.work.send", "wabot.work.tool_calls",
    ),
    "wabot.monitor.problem_list": ("wabot.core", "wabot.log"),
    "wabot.monitor.check_schedule": (),
    "wabot.monitor.problem_sources": (
        "wabot.core", "wabot.log", "wabot.monitor.check_schedule", "wabot.monitor.problem_list", "wabot.work",
    ),
    "wabot.template_refusals": ("wabot.core", "wabot.offload", "wabot.template_list"),
    "wabot.template_list": ("wabot.core", "wabot.log"),
    "wabot.webhook_effects": ("wabot.core", "wabot.journal", "wabot.log", "wabot.work"),
    "wabot.operations": ("wabot.core", "wabot.journal", "wabot.log", "wabot.offload", "wabot.work"),
    "wabot.histories": ("wabot.core", "wabot.journal.journal", "wabot.offload"),
    "wabot.service": (
        "wabot.histories",
        "wabot.batch_building", "wabot.core", "wabot.journal", "wabot.log", "wabot.message_building",
        "wabot.monitor.problem_sources",
        "wabot.offload", "wabot.operations", "wabot.template_list", "wabot.template_refusals",
        "wabot.webhook_effects", "wabot.work",
    ),
    "wabot.accounts": (
        "wabot.core", "wabot.doctor.doctor", "wabot.journal.journal", "wabot.metrics", "wabot.monitor.readiness",
        "wabot.monitor.problem_sources", "wabot.monitor.rates", "wabot.service",
        "wabot.settings.loading", "wabot.work.lane", "wabot.work.trial",
    ),
    "wabot.shared_opt_outs": ("wabot.accounts", "wabot.core", "wabot.journal", "wabot.log"),
    "wabot.webhook_intake": (
        "wabot.accounts", "wabot.core", "wabot.log", "wabot.offload", "wabot.shared_opt_outs", "wabot.webhook_signers",
    ),
    "wabot.webhook_signers": ("wabot.accounts", "wabot.core", "wabot.offload"),
    "wabot.monitor.readiness": (
        "wabot.core", "wabot.journal", "wabot.monitor.check_schedule", "wabot.monitor.problem_sources", "wabot.work",
    ),
    "wabot.metrics": ("wabot.core", "wabot.journal", "wabot.work"),
    "wabot.web": (
        "wabot.histories",
        "wabot.accounts", "wabot.batch_building", "wabot.console.routes", "wabot.core", "wabot.journal.bulk_retry",
        "wabot.journal.contact_list_and_search", "wabot.journal.event_queue", "wabot.journal.outbox_list",
        "wabot.journal.single_messages", "wabot.message_building",
        "wabot.journal.merge_undo", "wabot.journal.retry_and_cancel", "wabot.log", "wabot.metrics",
        "wabot.monitor.readiness", "wabot.offload", "wabot.running_address", "wabot.service", "wabot.template_list",
        "wabot.web", "wabot.webhook_intake",
    ),
    "wabot.console": (
        "wabot.accounts", "wabot.batch_building", "wabot.console", "wabot.core", "wabot.journal.bulk_retry",
        "wabot.journal.contact_list_and_search", "wabot.journal.event_queue", "wabot.journal.gauges",
        "wabot.journal.outbox_list", "wabot.message_building", "wabot.monitor.rates",
        "wabot.service", "wabot.settings.loading", "wabot.template_list", "wabot.web",
    ),
    "wabot.monitor.rates": ("wabot.core",),
    "wabot.sandbox": ("wabot.core", "wabot.sandbox"),
    "wabot.sandbox.phone.model": ("wabot.adapters.canned",),
    "wabot.terminal": (
        "wabot.api_keys", "wabot.core", "wabot.journal.contact_list_and_search", "wabot.journal.from_outside",
        "wabot.journal.outbox_list", "wabot.running_address", "wabot.settings", "wabot.terminal",
        "wabot.web.request_models", "wabot.web.validation",
    ),
    "wabot.doctor": (
        "wabot.adapters.graph_api", "wabot.core", "wabot.doctor", "wabot.journal.inspection", "wabot.settings",
    ),
    "wabot.assembly.adapters": (
        "wabot.adapters", "wabot.core", "wabot.doctor", "wabot.journal.inspection", "wabot.monitor.problem_sources",
        "wabot.settings", "wabot.template_list", "wabot.work",
    ),
    "wabot.assembly.factories": (
        "wabot.accounts", "wabot.core", "wabot.journal", "wabot.knowledge",
        "wabot.metrics", "wabot.monitor.problem_sources",
        "wabot.quiet_hours", "wabot.service", "wabot.settings", "wabot.template_list",
        "wabot.webhook_effects", "wabot.work",
    ),
    "wabot.assembly.events": (
        "wabot.assembly.adapters", "wabot.core", "wabot.journal", "wabot.metrics", "wabot.monitor.problem_sources",
        "wabot.settings", "wabot.work",
    ),
    "wabot.assembly.lanes": (
        "wabot.core", "wabot.journal", "wabot.metrics", "wabot.monitor.problem_sources", "wabot.monitor.rates",
        "wabot.settings", "wabot.work",
    ),
    "wabot.assembly.ask": (
        "wabot.assembly.adapters", "wabot.assembly.factories", "wabot.core", "wabot.journal.talk_from_outside",
        "wabot.service", "wabot.settings", "wabot.work.models", "wabot.work.trial",
    ),
    "wabot.assembly.account": (
        "wabot.assembly.lanes",
        "wabot.accounts", "wabot.assembly.adapters", "wabot.assembly.events",
        "wabot.assembly.factories", "wabot.core", "wabot.journal",
        "wabot.log", "wabot.metrics", "wabot.monitor.readiness", "wabot.monitor.problem_sources",
        "wabot.monitor.rates", "wabot.settings",
        "wabot.webhook_effects", "wabot.work",
    ),
    "wabot.assembly.open_accounts": (
        "wabot.accounts", "wabot.assembly.factories", "wabot.core", "wabot.journal.files", "wabot.log",
        "wabot.settings", "wabot.shared_opt_outs", "wabot.webhook_intake",
    ),
    "wabot.assembly.start_and_stop": (
        "wabot.accounts", "wabot.api_keys", "wabot.assembly", "wabot.core", "wabot.journal", "wabot.log",
        "wabot.running_address", "wabot.sandbox", "wabot.settings", "wabot.web", "wabot.webhook_intake",
        "wabot.work.archive_circuit", "wabot.work.portfolios",
    ),
    "wabot.rehearsal": (
        "wabot.accounts", "wabot.assembly.adapters", "wabot.assembly.factories", "wabot.assembly.start_and_stop",
        "wabot.core", "wabot.journal.connections", "wabot.message_building", "wabot.rehearsal", "wabot.sandbox",
        "wabot.service", "wabot.settings", "wabot.webhook_intake", "wabot.work.models",
    ),
    "wabot.sandbox_command": (
        "wabot.assembly.factories", "wabot.log", "wabot.running_address", "wabot.sandbox", "wabot.settings",
    ),
    "wabot.cli": (
        "wabot.assembly.adapters", "wabot.assembly.ask", "wabot.assembly.start_and_stop", "wabot.core", "wabot.doctor",
        "wabot.journal.backup", "wabot.journal.restore", "wabot.log", "wabot.memory",
        "wabot.ownership", "wabot.rehearsal.command", "wabot.running_address", "wabot.sandbox_command",
        "wabot.settings", "wabot.terminal",
    ),
    "run": ("wabot.cli",),
}  # fmt: skip
"""The arrows between the parts: from each, to where. A part that is not named here may not exist."""

PURE = {
    "__future__",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "re",
    "typing",
}
PURE |= {"base64", "unicodedata", "orjson", "phonenumbers", "wabot"}
"""All that the core may use: nothing of it knows time, noise, the network, files or other tasks."""

BROAD_CATCHERS = {
    "wabot.work.lane": 2,
    "wabot.web.request_log": 1,
    "wabot.journal.sqlite": 1,
    "wabot.journal.shared_threads": 1,
    "wabot.assembly.start_and_stop": 1,
    "wabot.rehearsal.virtual_time": 1,
}
"""How often: the lane (a job that breaks, a claim that does), the HTTP middleware, the writer, where whatever an
operation raises belongs to its own caller, the loops beside the lanes, which a bug must not end, and a thread's work
that is done inline."""
TALKERS = {
    "wabot.assembly.ask",
    "wabot.cli",
    "wabot.doctor.terminal",
    "wabot.rehearsal.command",
    "wabot.sandbox_command",
    "wabot.sandbox.chat",
    "wabot.sandbox.__main__",
    "wabot.terminal.printing",
}
"""The terminal's own modules. All others log."""

LONGEST_MODULE, LONGEST_FUNCTION = 300, 45


@dataclass(frozen=True)
class Module:
    """A module of the service: its dotted name, and its source."""

    name: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    def imports(self) -> Iterator[tuple[str, bool]]:
        """Every import as (dotted name, whether importing this module carries it out)."""
        late = {
            node
            for outer in ast.walk(self.tree)
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
            or (isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING")
            for node in ast.walk(outer)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node not in late) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: a relative import"
                # `from wabot import log` names a module, `from wabot.log import get_logger` a thing in one.
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    path = ROOT / whole.replace(".", "/")
                    is_module = path.is_dir() or path.with_suffix(".py").is_file()
                    yield whole if is_module else str(node.module), node not in late

    def third_party(self) -> set[str]:
        tops = {name.partition(".")[0] for name, _ in self.imports()}
        return tops - sys.stdlib_module_names - {"wabot"}


def _modules() -> list[Module]:
    files = [ROOT / "run.py", *sorted((ROOT / "wabot").rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return [Module(name, file.read_text("utf-8")) for name, file in zip(names, files, strict=True)]


MODULES = _modules()


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def one_library_one_module(module: Module) -> Iterator[str]:
    for library in module.third_party():
        allowed = LIBRARIES.get(library, ())
        if not any(_within(module.name, place.removesuffix(".*")) for place in allowed):
            yield f"{library} belongs in {allowed or 'LIBRARIES'}"
    speaks_sql = _within(module.name, "wabot.journal") or module.name == "wabot.knowledge.search"
    if not speaks_sql and "sqlite3" in dict(module.imports()):
        yield "only the journal speaks SQL, and what searches the knowledge"


def imports_follow_the_arrows(module: Module) -> Iterator[str]:
    parts = [part for part in MAY_IMPORT if _within(module.name, part)]
    if module.name != "wabot" and not parts:
        yield "is in no part that MAY_IMPORT names"
    allowed = [place for part in parts for place in MAY_IMPORT[part]]
    for name, _ in module.imports():
        if name != "wabot" and _within(name, "wabot") and not any(_within(name, place) for place in allowed):
            yield f"imports {name}"


def the_core_is_pure(module: Module) -> Iterator[str]:
    if not _within(module.name, "wabot.core"):
        return
    yield from (f"imports {name}" for name, _ in module.imports() if name.partition(".")[0] not in PURE)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith | ast.AsyncFor | ast.Global):
            yield f"line {node.lineno}: {type(node).__name__}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "print", "input", "exec", "eval"):
            yield f"line {node.lineno}: {ast.unparse(node.func)}"


def the_sandbox_and_chosen_adapters_are_imported_late(module: Module) -> Iterator[str]:
    late = (
        "wabot.sandbox", "wabot.rehearsal", "wabot.adapters.gemini", "wabot.adapters.mongo", "wabot.adapters.canned",
        "wabot.adapters.owner_tools",
    )  # fmt: skip
    itself = ("wabot.sandbox", "wabot.rehearsal", "wabot.sandbox_command")
    if not any(_within(module.name, part) for part in itself):
        for name, at_once in module.imports():
            if at_once and any(_within(name, part) for part in late):
                yield f"imports {name} whether it is wanted or not"


def modules_and_functions_are_small(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > LONGEST_MODULE:
        yield f"{lines} lines"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{node.name} has {length} lines"


def broad_catches_are_in_their_places(module: Module) -> Iterator[str]:
    found = [
        node.lineno
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or re.search(r"\b(Base)?Exception\b", ast.unparse(node.type)))
        and ast.unparse(node.body[-1]) != "raise"  # that one only tidies up
    ]
    if module.name not in BROAD_CATCHERS:
        yield from (f"line {line} catches everything" for line in found)
    elif len(found) != BROAD_CATCHERS[module.name]:
        yield f"catches everything in {len(found)} places instead of {BROAD_CATCHERS[module.name]}"


def nobody_prints(module: Module) -> Iterator[str]:
    if module.name not in TALKERS:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write"):
                yield f"line {node.lineno} prints"


def the_collector_runs_as_python_means_it_to(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("gc.set_threshold", "gc.disable"):
            yield f"line {node.lineno}: what strangers leave behind in cycles would stay"


def the_environment_is_read_once(module: Module) -> Iterator[str]:
    if module.name not in ("wabot.settings.loading", "wabot.settings.journald") and re.search(
        r"\bos\.(environ|getenv)\b", module.source
    ):
        yield "reads the environment"
