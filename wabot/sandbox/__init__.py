"""A stand-in for Meta's WhatsApp Cloud API, and a phone to chat with the bot. No account, no key, no network.

`meta.Meta` is the stand-in. `graph` parses requests to the Graph API; `sends`, `media`, `library` (with `templates`),
`number`, `account` and `app` answer them. `webhooks` delivers Meta's webhooks, and `payloads` builds their JSON.
`behaviour` scripts what happens to a send, and `control` offers that over HTTP. `people` are the customers, and
`phone.chat` lets you be one of them. `python -m wabot.sandbox` runs the stand-in alone, as a process of its own.
"""
