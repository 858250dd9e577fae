"""What crosses the border of the sandbox: plain values as JSON with their exact types, and two exit codes.

Runs on both sides, so it needs nothing but the standard library. Only exact built-in types are carried: an instance of a
subclass (which could bring its own ``__eq__``) is refused, and what arrives is rebuilt from text, never unpickled.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself takes milliseconds to load, in every run
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MEMORY_CODE", "SETUP_CODE", "decode", "encode"]

MEMORY_CODE = 86
"""Exit code of a program whose memory was not enough."""
SETUP_CODE = 87
"""Exit code when a step of the confinement failed and no program ran."""

_SEQUENCES: dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
_MAKERS: dict[str, Any] = {name: kind for kind, name in _SEQUENCES.items()}


def encode(value: Any) -> list[Any]:
    """The value as ``[type, content]``, made of lists and strings only.

    Raises:
        TypeError: it is, or holds, something that is not plain; names the type.
        RecursionError: it holds itself or is nested too deeply.
    """
    kind = type(value)
    if value is None:
        return ["none"]
    if kind is bool:
        return ["bool", "1" if value else ""]
    if kind is int:
        return ["int", hex(value)]
    if kind is float:
        return ["float", value.hex()]
    if kind is complex:
        return ["complex", value.real.hex(), value.imag.hex()]
    if kind is str:
        return ["str", value]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind in _SEQUENCES:
        return [_SEQUENCES[kind], [encode(entry) for entry in value]]
    if kind is dict:
        return ["dict", [[encode(key), encode(entry)] for key, entry in value.items()]]
    raise TypeError(kind.__name__)


def decode(wire: Any) -> Any:
    """The value of :func:`encode`.

    Raises:
        ValueError: it is not of that form. Whatever a program makes up ends here, not as another exception.
    """
    try:
        return _decode(wire)
    except (TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a value: {type(error).__name__}") from error


def _decode(wire: Any) -> Any:
    kind, *content = wire
    if kind == "none":
        return None
    if kind == "complex":
        return complex(float.fromhex(content[0]), float.fromhex(content[1]))
    (body,) = content
    if kind in _MAKERS:
        return _MAKERS[kind](_decode(entry) for entry in list(body))
    if kind == "dict":
        return {_decode(key): _decode(entry) for key, entry in body}
    if not isinstance(body, str):
        raise ValueError("not a value: text expected")
    if kind == "bool":
        return bool(body)
    if kind == "int":
        return int(body, 16)
    if kind == "float":
        return float.fromhex(body)
    if kind == "str":
        return body
    if kind == "bytes":
        return bytes.fromhex(body)
    raise ValueError(f"not a value: unknown kind {kind!r}")
