"""A stand-in for Meta's WhatsApp Cloud API, and a phone to chat with the bot. No account, no key, no network.

`meta.Meta` is the stand-in. What the business asks comes in by `graph` and is answered by `sends`, `media`, `library`
(with `templates`), `number`, `account` and `app`; `webhooks` is what Meta tells the business, `payloads` how it looks.
`behaviour` scripts what happens to a send, `control` does so from outside, `people` are those at the other end, and
`phone.chat` is one of them. `python -m wabot.sandbox` runs the stand-in alone, as a process of its own.
"""
