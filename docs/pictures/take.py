"""Takes the pictures of the pages: `python docs/pictures/take.py`, with the tests' requirements and Chromium.

They show the sandbox as it is: a customer writes, wabot is killed while it answers, and the answer comes all the same.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright

HERE = Path(__file__).parent
RUN = HERE.parents[1] / "run.py"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


async def main() -> None:
    """Start the sandbox, play the scene, and take the pictures."""
    with tempfile.TemporaryDirectory() as place:
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(RUN), "--sandbox", cwd=place, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
            env={"PORT": str(_free_port()), "PATH": "/usr/bin:/bin", "WABOT_FIRST_CONTACT__ANSWER": "ai"},
        )  # fmt: skip
        try:
            phone, console = await _addresses(child)
            await _take(phone, console)
        finally:
            child.terminate()
            await child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _addresses(child: asyncio.subprocess.Process) -> tuple[str, str]:
    """The addresses that the sandbox prints after the words `phone` and `console`."""
    found, said = dict[str, str](), child.stdout or asyncio.StreamReader()
    while len(found) < 2:
        line = (await said.readline()).decode()
        if named := re.match(r"  (phone|console) +(http://\S+)", line):
            found[named[1]] = named[2]
    return found["phone"], found["console"]


async def _take(phone: str, console: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1200, "height": 640})
        await page.goto(phone)
        await _say(page, "Hello! How much is a haircut?")
        await page.get_by_role("log").get_by_text("A visit costs").wait_for()
        await page.get_by_label("The model").select_option("slow")
        await _say(page, "And when are you open?")
        await page.get_by_text("wabot is typing").wait_for()
        await page.get_by_role("button", name="kill −9 and restart").click()
        await page.get_by_text("killed 1×").wait_for()
        await page.get_by_role("button", name="Mend everything").click()
        await page.get_by_role("log").get_by_text("We are open").wait_for()
        await page.wait_for_timeout(500)
        await page.screenshot(path=HERE / "phone.png")
        await _say(page, "Can I talk to a human?")
        await _say(page, "human")
        await page.wait_for_timeout(3000)
        await page.goto(console)
        await page.wait_for_timeout(500)
        await page.screenshot(path=HERE / "console.png")
        await browser.close()


async def _say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_label("Message", exact=True).press("Enter")


if __name__ == "__main__":
    asyncio.run(main())
