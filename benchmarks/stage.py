"""Where benchmarks run: scratch space, and processes on their cores.

The server that is measured has one core to itself; the load, Graph and the model share the others. Where there is only
one core, or no way to choose, everything shares what there is, and the report says so.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.webhooks import ACCESS_TOKEN, API_KEY, APP_SECRET, PHONE_NUMBER_ID
from wabot.settings.environment_names import FLAT_NAMES

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS, STOP_SECONDS = 60.0, 15.0
RUN = ("run.py",)
NOBODY = "http://127.0.0.1:9"
"""An address where nobody listens."""

Sections = Mapping[str, Mapping[str, Any]]


def cores() -> tuple[set[int], set[int]] | None:
    """(the measured server's, everybody else's); None where they cannot be kept apart."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    first, *others = sorted(os.sched_getaffinity(0) | _pinned)
    return ({first}, set(others)) if others else None


_pinned: set[int] = set()
"""The cores that were ours before `step_aside`."""


def step_aside() -> None:
    """Leave the measured server's core, with all that this process starts from now on."""
    apart = cores()
    if apart is not None:
        _pinned.update(*apart)
        os.sched_setaffinity(0, apart[1])


@dataclass(frozen=True, slots=True)
class Server:
    """A process that listens on `port` of this machine; `ready_seconds` is how long it took to get there."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    data: Path
    ready_seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        fields = Path(f"/proc/{self.process.pid}/status").read_text().split()
        return int(fields[fields.index("VmRSS:") + 1]) * 1024

    @property
    def threads(self) -> int:
        """How many it has."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fetch(self, path: str) -> bytes:
        """The body of a GET."""
        with urlopen(Request(self.url + path, headers={"X-API-Key": API_KEY})) as answer:
            return bytes(answer.read())

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """One request: the status, and the JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(
                method, path, body or None, {"Content-Type": "application/json", "X-API-Key": API_KEY, **told}
            )
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of the benchmarks. `quick`: only to see that they work; `messages`: of the large journal."""

    scratch: Path
    quick: bool = False
    messages: int = 1_000_000

    def pick(self, whole: Any, quick: Any) -> Any:
        """What this run is to use."""
        return quick if self.quick else whole

    def directory(self, name: str) -> Path:
        """An empty directory."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def wabot(
        self,
        data: Path | None = None,
        *,
        program: Sequence[str] = RUN,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        **sections: Mapping[str, Any],
    ) -> AbstractContextManager[Server]:
        """wabot as `python run.py` runs it, `sections` over the defaults, with a fresh journal or that in `data`."""
        port = port or free_port()
        data = data or self.directory("wabot")
        config = self.scratch / f"{port}.toml"
        config.write_text(_toml(_sections(port, data, sections)))
        command = [sys.executable, *_from_root(program), "--config", str(config)]
        return _serving(command, port, data, ready="/readyz", env=env, measured=True)

    def bare(self) -> AbstractContextManager[Server]:
        """The yardstick."""
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.programs.bare", str(port)]
        return _serving(command, port, self.directory("bare"), measured=True)

    def pywa(self, python: Path) -> AbstractContextManager[Server]:
        """pywa's own server, run by the Python that has it."""
        port = free_port()
        program = str(ROOT / "benchmarks/programs/pywa_bot.py")
        return _serving([str(python), program, str(port), APP_SECRET], port, self.directory("pywa"), measured=True)

    def graph(self, *, delay: float = 0.0, webhook_url: str = "") -> AbstractContextManager[Server]:
        """A stand-in for Meta; with a `webhook_url` it tells receipts there."""
        port = free_port()
        command = [sys.executable, "-m", "wabot.sandbox", "--port", str(port), "--delay", str(delay)]
        command += ["--token", ACCESS_TOKEN, "--phone-number-id", PHONE_NUMBER_ID, "--app-secret", APP_SECRET]
        command += ["--webhook-url", webhook_url] if webhook_url else ["--no-receipts"]
        return _serving(command, port, self.directory("graph"))

    def ceiling(self, wabot_port: int, *, delay: float) -> AbstractContextManager[Server]:
        """A stand-in for Meta that takes a thousand sends a second, and delivers three receipts of each."""
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.programs.meta", str(port), str(wabot_port), str(delay)]
        return _serving(command, port, self.directory("ceiling"))

    def model(self, *, delay: float) -> AbstractContextManager[Server]:
        """A stand-in for a model."""
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.programs.model", str(port), str(delay)]
        return _serving(command, port, self.directory("model"))

    @contextmanager
    def mongo(self) -> Iterator[str]:
        """The address of a MongoDB server, if the test tools have one; else one where nobody listens."""
        if importlib.util.find_spec("secantus") is None:
            yield "mongodb://127.0.0.1:9/?directConnection=true"
            return
        port = free_port()
        command = [sys.executable, "-m", "secantus", "--port", str(port), "--storage-path", ":memory:"]
        with _serving(command, port, self.directory("mongo")):
            yield f"mongodb://127.0.0.1:{port}/?directConnection=true"


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _serving(
    command: Sequence[str],
    port: int,
    data: Path,
    *,
    ready: str = "",
    env: Mapping[str, str] | None = None,
    measured: bool = False,
) -> Iterator[Server]:
    """The process from when it is ready (`ready`: this path answers 200; "": it listens) to its end."""
    log, started = data / "log.txt", time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=data, env=_environment(env), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    apart = cores()
    if apart is not None:
        os.sched_setaffinity(process.pid, apart[0] if measured else apart[1])
    server = Server(process, port, log, data, 0.0)
    try:
        _wait_until_ready(server, ready)
        yield Server(process, port, log, data, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(server: Server, path: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            if path:
                if server.ask("GET", path)[0] == 200:
                    return
            else:
                socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
                return
        time.sleep(0.005)
    raise RuntimeError(f"{server.process.args!r} did not start:\n{server.log.read_text()[-2000:]}")


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """Ours, without what would reconfigure wabot, or have it compiled anew at each start."""
    not_ours = {*FLAT_NAMES, "PYTHONDONTWRITEBYTECODE"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WABOT_") and key not in not_ours}
    return {**kept, "PYTHONPATH": str(ROOT), **(more or {})}


def _from_root(program: Sequence[str]) -> list[str]:
    return [str(ROOT / part) if part.endswith(".py") else part for part in program]


def _sections(port: int, data: Path, given: Sections) -> dict[str, dict[str, Any]]:
    """The default settings, but for what a service without account and model needs."""
    base: dict[str, dict[str, Any]] = {
        "server": {"port": port, "data_dir": str(data), "api_keys": [API_KEY]},
        "whatsapp": {
            "access_token": ACCESS_TOKEN, "phone_number_id": PHONE_NUMBER_ID, "verify_token": "benchmark-word",
            "app_secret": APP_SECRET, "graph_api_base": NOBODY,
        },
        "assistant": {"provider": "canned"},
    }  # fmt: skip
    return {name: {**base.get(name, {}), **given.get(name, {})} for name in (*base, *(set(given) - set(base)))}


def _toml(sections: Sections) -> str:
    """JSON's literals are TOML's too."""
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
