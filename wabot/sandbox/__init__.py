"""A stand-in for Meta's WhatsApp Cloud API, and a phone to chat with the bot. No account, no key, no network.

`meta.Meta` is the stand-in, `behaviour` what it does with a send, `payloads` what it tells the webhook,
`phone.chat` the phone. `python -m wabot.sandbox` runs the stand-in alone, as a process of its own.
"""
