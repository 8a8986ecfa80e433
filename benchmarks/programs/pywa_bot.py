"""The smallest bot on pywa's own server, as its documentation has it: one handler, nothing stored. Runs in a venv
of its own: `python pywa_bot.py PORT APP_SECRET`."""

from __future__ import annotations

import sys

from pywa_async import WhatsApp, types

bot = WhatsApp(
    phone_id="100000000000001",
    token="no-token",
    webhook_endpoint="/webhook",
    verify_token="no-word",
    app_secret=sys.argv[2],
)


@bot.on_message
async def hear(_: WhatsApp, message: types.Message) -> None:
    """Nothing is done with it."""


if __name__ == "__main__":
    bot.run(port=int(sys.argv[1]))
