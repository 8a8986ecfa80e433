"""The proxies of deploy/, run as they are shipped but for TLS, in front of a wabot."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.process import ROOT, World, eventually, free_port


def caddyfile(place: Path, port: int, wabot: int, *, old: bool) -> str:
    """Ours, without TLS; Caddy before 2.6.3 is set as a comment there says."""
    text = (ROOT / "deploy" / "Caddyfile").read_text("utf-8")
    text = text.replace("{$DOMAIN:bot.example.com} {", f"http://127.0.0.1:{port}, http://localhost:{port} {{")
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{wabot}").replace("{\n", "{\n\tadmin off\n", 1)
    if old:
        text = text.replace("request_buffers 4MiB", "buffer_requests\n\t\t\tmax_buffer_size 4MiB")
    return text


def nginx_conf(place: Path, port: int, wabot: int) -> str:
    """Ours, without TLS, in the configuration of a server that runs in the foreground in `place`."""
    text = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    text = re.sub(r"^ *(listen \[::\]|ssl_certificate).*\n", "", text, flags=re.MULTILINE)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace("127.0.0.1:8080", f"127.0.0.1:{wabot}")
    paths = "".join(
        f"{kind}_temp_path {place / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""  # or another user could not write in `place`
    return (
        f"{user}daemon off; pid {place / 'pid'}; error_log stderr;\nevents {{ worker_connections 2000; }}\n"
        f"http {{\naccess_log off;\n{paths}{text}}}\n"
    )


async def command(name: str, place: Path, port: int, wabot: int) -> list[str]:
    """How to run a proxy of deploy/ in front of wabot."""
    if name == "nginx":
        (place / "nginx.conf").write_text(nginx_conf(place, port, wabot))
        return [str(shutil.which(name)), "-p", str(place), "-c", str(place / "nginx.conf")]
    asked = await asyncio.create_subprocess_exec(str(shutil.which(name)), "version", stdout=asyncio.subprocess.PIPE)
    version = re.findall(r"\d+", (await asked.communicate())[0].decode())[:3]
    old = [int(part) for part in version] < [2, 6, 3]
    (place / "Caddyfile").write_text(caddyfile(place, port, wabot, old=old))
    return [str(shutil.which(name)), "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile"]


@contextlib.asynccontextmanager
async def proxy(name: str, place: Path, w: World) -> AsyncIterator[str]:
    """A real proxy with our configuration, in front of wabot: its address."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    port = free_port()
    place.mkdir()
    line = await command(name, place, port, int(w.wabot.url.rpartition(":")[2]))
    home = {
        "HOME": str(place),
        "XDG_DATA_HOME": str(place),
        "XDG_CONFIG_HOME": str(place),
        "PATH": "/usr/sbin:/usr/bin",
    }
    with (place / "log.txt").open("wb") as log:
        child = await asyncio.create_subprocess_exec(*line, env=home, stdout=log, stderr=log)
        try:
            await eventually(lambda: answers(port))
            yield f"http://localhost:{port}"
        finally:
            child.terminate()
            await child.wait()


async def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
