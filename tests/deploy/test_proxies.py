"""The proxies of deploy/: what gets through them, and that nginx takes the file as it is shipped."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from aiohttp import ClientSession
from yarl import URL

from tests.business import ANA
from tests.process import ROOT, world
from tests.proxies import proxy

CLOSED = (
    "/", "/console", "/console/live", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/webhooks",
    "/webhook/../console", "/webhook/%2e%2e/console", "/webhook/1/../../healthz", "//healthz", "/./console",
)  # fmt: skip


@pytest.mark.parametrize("name", ["caddy", "nginx"])
async def test_metas_requests_get_through_whole_and_nothing_else_does(tmp_path: Path, name: str) -> None:
    async with world(tmp_path) as w:
        await w.start()
        async with proxy(name, tmp_path / name, w) as url, ClientSession() as stranger:
            asked = {"hub.mode": "subscribe", "hub.verify_token": "sandbox-verify", "hub.challenge": "alive"}
            for path in ("/webhook", "/webhook/100000000000001"):
                async with stranger.get(f"{url}{path}", params=asked) as answer:
                    assert (answer.status, await answer.text()) == (200, "alive")
            w.meta.webhook_url = f"{url}/webhook"
            assert (await w.meta.say("x" * 900_000, from_=ANA))[1] == 200
            async with stranger.post(f"{url}/webhook", data=b"{}") as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (401, "unauthorized")
            async with stranger.post(f"{url}/webhook", data=io.BytesIO(b"x" * (5 << 20))) as answer:
                assert answer.status in (413, 502)  # Caddy before 2.7 says 502

            for path in CLOSED:
                async with stranger.get(URL(f"{url}{path}", encoded=True)) as answer:
                    assert answer.status == 404, path


@pytest.mark.skipif(not all(map(shutil.which, ("nginx", "openssl"))), reason="nginx or openssl is not installed")
def test_nginx_takes_the_file_once_there_is_a_certificate(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    (folder,) = set(re.findall(r"/etc/letsencrypt/live/[\w.]+", text))
    made = f"-keyout {tmp_path}/privkey.pem -out {tmp_path}/fullchain.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x {made}"
    subprocess.run(make.split(), check=True, capture_output=True)
    log = f"error_log stderr; pid {tmp_path}/pid; events {{}}"
    (tmp_path / "nginx.conf").write_text(f"{log}\nhttp {{ access_log off;\n{text.replace(folder, str(tmp_path))}}}\n")

    checked = subprocess.run(
        ["nginx", "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
