"""What a stage leaves of the memory that it held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def assert_record_of_memory(path: Path) -> dict[str, Any]:
    """It was measured, and is within its plan and its budget; returns it."""
    record: dict[str, Any] = json.loads(path.read_text())
    assert max(held for _, held in record["timeline"]) <= record["measured_peak"]
    assert 0 < record["measured_peak"] <= record["projected"] <= record["budget"]
    assert record["mapped_files_peak"] > 0
    assert record["page_cache_peak"] >= 0
    return record
