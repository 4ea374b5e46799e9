"""What each node of a Zarr says of itself; what is consolidated in another is not read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from headrace.stores.errors import ARCHIVE_ERRORS, SourceError, UserError, first_line
from headrace.stores.io.places import Place
from headrace.stores.source.formats.zarr_places import MOST_DOCUMENT, ZarrPlace

NodeKind = Literal["array", "group"]
KINDS: tuple[NodeKind, ...] = ("array", "group")


@dataclass(frozen=True)
class ZarrDocument:
    """What stands at a path.

    Attributes:
        path: of it in the Zarr; "" is the Zarr itself.
        kind: of node.
        version: of the format.
        content: of its document.
        attributes: its own.
    """

    path: str
    kind: NodeKind
    version: Literal[2, 3]
    content: dict[str, Any]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class ZarrDocuments:
    """The documents of the Zarr at `path`, read from `place`."""

    path: Place
    place: ZarrPlace

    def find(self, path: str) -> ZarrDocument | None:
        """What stands at `path`; None: nothing.

        Raises:
            UserError: it cannot be read, or is no document of Zarr.
        """
        below = f"{path}/" if path else ""
        content = self._json(f"{below}zarr.json")
        if content is not None:
            kind = content.get("node_type")
            if kind not in KINDS:
                raise SourceError(
                    f"{self.path}:/{below}zarr.json says the node_type {kind!r}; array and group "
                    "are known. Write the Zarr again."
                )
            return ZarrDocument(path, kind, 3, content, _table(content.get("attributes")))
        for kind in KINDS:
            content = self._json(f"{below}.z{kind}")
            if content is not None:
                attributes = _table(self._json(f"{below}.zattrs"))
                return ZarrDocument(path, kind, 2, content, attributes)
        return None

    def attributes(self, document: ZarrDocument) -> list[dict[str, Any]]:
        """Those of a node, then those of its groups up to the Zarr itself."""
        found, path = [document.attributes], document.path
        while path:
            path = path.rpartition("/")[0]
            group = self.find(path)
            if group is not None:
                found.append(group.attributes)
        return found

    def _json(self, key: str) -> dict[str, Any] | None:
        try:
            text = self.place.read(key, 0, MOST_DOCUMENT + 1)
            if text is None:
                return None
            if len(text) > MOST_DOCUMENT:
                raise ValueError(f"it has more than {MOST_DOCUMENT:,} bytes")
            found = json.loads(text)
            if not isinstance(found, dict):
                raise ValueError("it is no table")
        except ARCHIVE_ERRORS as error:
            if isinstance(error, UserError):
                raise
            raise SourceError(
                f"{self.path}:/{key} cannot be read ({first_line(error)}). Copy it again, or write "
                "the Zarr again."
            ) from error
        return found


def _table(attributes: Any) -> dict[str, Any]:
    return attributes if isinstance(attributes, dict) else {}
