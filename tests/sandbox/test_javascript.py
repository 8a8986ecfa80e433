"""whatsapp-api-js, a client and a webhook that nobody here wrote, in its own language, with the stand-in for Meta.

npm installs it, in the versions of tests/sandbox/javascript, into a temporary directory. Without node and npm, or with
no registry that npm can reach, these tests are skipped and say so. https://www.npmjs.com/package/whatsapp-api-js
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wabot.sandbox import payloads
from wabot.sandbox.meta import Meta, serve
from wabot.sandbox.people import user_id_of

HERE = Path(__file__).parent / "javascript"
ANA = "919876543210"
PATIENCE = 20.0

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="the JavaScript client needs node and npm"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """client.mjs beside what it needs."""
    place = tmp_path_factory.mktemp("javascript")
    for file in HERE.iterdir():
        shutil.copy(file, place)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    npm = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120, check=False)
    if npm.returncode:
        pytest.skip(f"npm could not install the JavaScript client: {npm.stderr.strip()[:300]}")
    return place / "client.mjs"


@dataclass
class Client:
    """The program at work. `heard` and `did`: the lines that it printed, by what they are about."""

    meta: Meta
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    heard: list[dict[str, Any]] = field(default_factory=list)
    did: dict[str, Any] = field(default_factory=dict)

    async def until(self, wanted: str) -> dict[str, Any]:
        """Read its lines up to the first that has this key."""
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await self.stdout.readline()
                assert line, "it ended"
                said: dict[str, Any] = json.loads(line)
                if "heard" in said:
                    self.heard.append(said)
                if "did" in said:
                    self.did[said["did"]] = said["answer"]
                if wanted in said:
                    return said

    def code(self, name: str) -> int | None:
        """Meta's error code in the answer to one of its calls."""
        code: int | None = self.did[name].get("error", {}).get("code")
        return code


@asynccontextmanager
async def running(program: Path) -> AsyncIterator[Client]:
    meta = Meta(receipt_delay=0.0)
    runner, url = await serve(meta)
    arguments = [url, meta.phone_number_id, meta.access_token, meta.app_secret, meta.verify_token, ANA]
    process = await asyncio.create_subprocess_exec(
        "node", str(program), *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdin
        assert process.stdout
        client = Client(meta, process.stdin, process.stdout)
        meta.webhook_url = (await client.until("url"))["url"]
        yield client
    finally:
        await runner.cleanup()
        if process.stdin:
            process.stdin.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_its_webhook_takes_what_is_signed_and_reads_who_it_is_from(program: Path) -> None:
    async with running(program) as client:
        assert await client.meta.verify_webhook()
        ana = client.meta.people.of(ANA)
        assert (await client.meta.say("Hi", from_=ANA, name="Ana"))[1] == 200
        heard = await client.until("heard")
        assert heard["message"]["text"] == {"body": "Hi"}
        assert heard["contact"] == {"profile": {"name": "Ana"}, "wa_id": ANA, "user_id": ana.user_id}
        ana.hides_number, ana.username = True, "ana.k"
        assert (await client.meta.say(payloads.image("A cat"), from_=ANA))[1] == 200
        heard = await client.until("heard")
        assert (heard["from"], heard["contact"]["profile"]["username"]) == (user_id_of(ANA), "ana.k")
        forged = payloads.encode(client.meta.envelope(messages=[]))
        assert (await client.meta.deliver(forged, signature="sha256=00"))[0] == 401


async def test_everything_that_its_users_do_is_answered_as_they_expect(program: Path) -> None:
    async with running(program) as client:
        await client.meta.say("Hi", from_=ANA)
        await client.until("heard")
        client.stdin.write(b"go\n")
        end = await client.until("done")
        assert end["done"], end
        did = client.did

        accepted = {name for name, answer in did.items() if "messages" in answer}
        assert accepted == {
            "reply", "text", "reaction", "location", "contacts", "buttons", "list", "hello_world", "invitation",
            "quick replies", "document", "bsuid",
        }  # fmt: skip
        assert client.meta.sent[0].payload["context"]["message_id"].startswith("wamid.")
        assert did["text"]["contacts"] == [{"input": ANA, "wa_id": ANA}]
        assert did["bsuid"]["contacts"] == [{"input": "IN.123456789012345", "user_id": "IN.123456789012345"}]
        assert did["read"] == did["typing"] == did["delete"] == did["delete code"] == {"success": True}
        assert [seen.typing for seen in client.meta.seen] == [False, True]
        assert did["look up"]["mime_type"] == "application/pdf"
        assert did["download"] == {"status": 200, "text": "%PDF-1.4"}
        assert did["change code"]["prefilled_message"] == did["codes"]["data"][0]["prefilled_message"] == "Hello"
        assert did["block"]["block_users"]["added_users"] == [{"input": ANA, "wa_id": ANA}]
        assert did["unblock"]["block_users"]["removed_users"] == [{"input": ANA, "wa_id": ANA}]
        refused = {name: client.code(name) for name in ("unknown template", "too long", "gone", "blocked")}
        assert refused == {"unknown template": 132001, "too long": 100, "gone": 100, "blocked": 130403}

        first = client.meta.sent[0].wamid
        while len([line for line in client.heard if line.get("id") == first]) < 3:
            await client.until("heard")
        statuses = [line for line in client.heard if line.get("id") == first]
        assert [(status["status"], status["tag"]) for status in statuses] == [
            ("sent", "job:1"), ("delivered", "job:1"), ("read", "job:1"),
        ]  # fmt: skip
        assert {status["contact"]["user_id"] for status in statuses} == {user_id_of(ANA)}
        assert statuses[0]["pricing"]["category"] == "service"
