"""What differs between two manifests: of a store, and of what was to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.stores.source.files.record import differences, without_files


def manifest_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names of what differs between two manifests, as tables; of the config `section.key`."""
    found = []
    for key in sorted(set(old) | set(new)):
        if old.get(key) == new.get(key):
            continue
        if key == "source":
            found += _source_differences(old.get(key) or {}, new.get(key) or {})
            continue
        if key in ("config", "writers"):
            found += _nested_differences(old.get(key, {}), new.get(key, {}))
        else:
            found.append(key)
    return found


def _source_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """That the source differs; of many files, which do."""
    if without_files(old) == without_files(new):
        return []
    files = differences(old, new)
    return [f"source ({'; '.join(files)})" if files else "source"]


def _nested_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = []
    for name in sorted(set(old) | set(new)):
        one, other = old.get(name), new.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += [f"{name}.{key}" for key in other if one.get(key) != other[key]]
        elif one != other:
            found.append(f"version of {name}" if isinstance(other, str) else name)
    return found
