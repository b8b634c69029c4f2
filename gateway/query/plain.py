"""Stored values as JSON can say them."""

import base64
from typing import Any


def plain_value(value: Any) -> Any:
    """The same value where JSON has it; bytes as {"base64": …}, keys as text."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [plain_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    return value
