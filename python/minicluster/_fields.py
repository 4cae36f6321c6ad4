"""Conversion between the dataclasses of the API and the objects that the API server knows."""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any, Dict, Type, TypeVar

T = TypeVar("T")


def field(name: str) -> Any:
    """Declares a field of a dataclass that has another name in the API."""
    return dataclasses.field(default=None, metadata={"name": name})


def to_dict(value: Any) -> Any:
    """Returns what the API server knows: a dict without the fields that are None."""
    if dataclasses.is_dataclass(value):
        members = ((f.metadata["name"], getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: to_dict(member) for name, member in members if member is not None}
    if isinstance(value, dict):
        return {name: to_dict(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(member) for member in value]
    if hasattr(value, "attribute_map"):
        # A class of the official client, which says how its fields are called.
        members = ((name, getattr(value, key)) for key, name in value.attribute_map.items())
        return {name: to_dict(member) for name, member in members if member is not None}
    return value


def from_dict(cls: Type[T], data: Dict[str, Any]) -> T:
    """Returns a dataclass. Fields that it does not have are those of a newer API: they are left out."""
    types = _types(typing.cast(Any, cls))
    return cls(**{
        f.name: _decode(types[f.name], data[f.metadata["name"]])
        for f in dataclasses.fields(cls) if f.metadata["name"] in data
    })


@functools.lru_cache(maxsize=None)
def _types(cls: Any) -> Dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union and type(None) in arguments and len(arguments) == 2:
        return _decode(arguments[0], value)
    if origin is list:
        return [_decode(arguments[0], member) for member in value]
    if origin is dict:
        return {name: _decode(arguments[1], member) for name, member in value.items()}
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value)
    return value
