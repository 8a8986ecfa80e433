"""wabot: a WhatsApp Cloud API auto-responder."""

__version__ = "0.1.0"
