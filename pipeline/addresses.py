"""Addresses of other machines: told from paths, and shown without what is secret in them."""

from __future__ import annotations

import re

REFUSAL = "an address is no file. Copy it to this machine, and name the copy"
NO_NAME = "a path holds no control characters. Correct it"
# A path has one slash where the address had two. A secret may hold slashes.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_USER = re.compile(r"(\w:/{1,2})[^\s'\"]*@")
_QUERY = re.compile(
    r"([?&][^=\s&]*(?:key|token|secret|sig|pass|pwd|cred|auth|sas|code)[^=\s&]*=)[^\s&'\"]+",
    re.IGNORECASE,
)


def why_no_path(text: str) -> str | None:
    """What forbids `text` as a path: that it begins as `s3://` does, or holds what no name may."""
    if _ADDRESS.match(text):
        return REFUSAL
    return None if text.isprintable() else NO_NAME


def without_secrets(text: str) -> str:
    """`text` with *** for users, passwords, keys and signatures in its addresses."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1***@", text))
