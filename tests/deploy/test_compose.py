"""deploy/compose.yaml: what each container may do, and who reaches whom."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_image import said
from tests.process import ROOT
from wabot.assembly import start_and_stop

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_only_the_proxy_is_reached_from_outside() -> None:
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}

    assert ports == {"wabot": ["127.0.0.1:8080:8080"], "caddy": ["80:80", "443:443", "443:443/udp"], "mongo": []}


def test_the_archive_has_no_password_and_wabot_alone_reaches_it() -> None:
    assert COMPOSE["networks"]["archive"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "archive" in service["networks"]} == {"wabot", "mongo"}
    assert SERVICES["mongo"]["networks"] == ["archive"]
    assert SERVICES["wabot"]["environment"] == {"MONGO_URI": "mongodb://mongo:27017"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_no_rights_that_it_does_not_need_and_a_bound(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["logging"] == {"driver": "local"}, "Docker's default keeps logs until the disk is full"
    assert service["restart"] == "unless-stopped"
    assert name == "wabot" or re.search(r":\d", service["image"]), "a tag that moves"


def test_wabots_root_is_read_only_and_its_data_outlives_it() -> None:
    wabot = SERVICES["wabot"]

    assert wabot["read_only"] is True
    assert wabot["tmpfs"] == ["/tmp"]  # where SQLite and Python put what they need for a moment
    assert f"data:{json.loads(said('VOLUME')[0])[0]}" in wabot["volumes"]
    assert f"./config:{said('WORKDIR')[0]}:ro" in wabot["volumes"]
    assert {volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]} == {
        *COMPOSE["volumes"], "./config", "./backups", "./Caddyfile",
    }  # fmt: skip


def test_docker_waits_for_longer_than_we_take_to_stop() -> None:
    longest = start_and_stop.ANSWER_SECONDS + start_and_stop.DRAIN_SECONDS

    assert longest < int(SERVICES["wabot"]["stop_grace_period"].removesuffix("s"))


@pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed")
async def test_the_proxy_of_the_containers_has_their_name_and_passes_on_the_webhook_alone(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "Caddyfile").read_text("utf-8")
    # Debian's Caddy does not know this word; tests/faults/test_flood.py has what stands for it there.
    (tmp_path / "Caddyfile").write_text(text.replace("request_buffers 4MiB", ""), "utf-8")
    variables = {
        "DOMAIN": "shop.example.org",
        "WABOT": SERVICES["caddy"]["environment"]["WABOT"],
        "HOME": str(tmp_path),
    }

    caddy = await asyncio.create_subprocess_exec(
        str(shutil.which("caddy")), "adapt", "--config", tmp_path / "Caddyfile",
        env=variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    adapted = (await caddy.communicate())[0].decode()

    assert re.findall(r'"host":\["(.+?)"\]', adapted) == ["shop.example.org"]
    assert re.findall(r'"dial":"(.+?)"', adapted) == ["wabot:8080"]
    assert re.findall(r'"path":\[(.+?)\]', adapted) == ['"/webhook","/webhook/*"']
