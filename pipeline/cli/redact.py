"""Addresses of other machines, shown without what is secret in them."""

from __future__ import annotations

import re

# A path has one slash where the address had two. A secret may hold slashes.
_USER = re.compile(r"(\w:/{1,2})[^\s'\"]*@")
_QUERY = re.compile(
    r"([?&][^=\s&]*(?:key|token|secret|sig|pass|pwd|cred|auth|sas|code)[^=\s&]*=)[^\s&'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """`text` with *** for users, passwords, keys and signatures in its addresses."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1***@", text))
