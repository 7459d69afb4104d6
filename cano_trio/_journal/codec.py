"""How a run's data are packed between transitions, so that every attempt works on a copy of its own."""

from __future__ import annotations

import copy
import dataclasses
import logging
from inspect import isabstract
from pathlib import PurePath
from typing import Any, Generic, Protocol, TypeVar, get_origin

import attrs
import msgspec
from msgspec import inspect

from .._errors import DataNotEncodable, DataTooLarge
from .defaults import completed
from .difference import difference, fields_of, left_out, not_finite

D = TypeVar("D")

KEYS = (
    inspect.AnyType,  # only the values can tell
    inspect.StrType,
    inspect.BytesType,
    inspect.IntType,
    inspect.FloatType,
    inspect.DecimalType,
    inspect.UUIDType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.TimeType,
    inspect.TimeDeltaType,
    inspect.EnumType,
    inspect.CustomType,  # looked at by itself
)
"""Types whose values can be keys of a JSON object; a union's could not be told apart there."""

LARGE = 64 * 1024
LARGEST = 1024 * 1024

_log = logging.getLogger("cano_trio")


class Codec(Protocol[D]):
    """Packs data, and gives a fresh copy of what was packed."""

    def pack(self, value: D, /) -> Any:
        """The packed form."""

    def unpack(self, packed: Any, /) -> D:
        """A fresh copy."""
        ...

    def unpack_all(self, packed: Any, /) -> D:
        """A fresh copy of what other code may have packed; an error if anything of that would be lost."""
        ...

    def renewed(self, packed: Any, /) -> Any:
        """What other code may have packed, with what it did not know; an error as that of `unpack_all`."""


class JsonCodec(Generic[D]):
    """Packs as msgspec JSON: decoding a copy takes 1 us where `copy.deepcopy` takes 13.

    Args:
        type_: the data's type.
        name: what errors call a value of it, where its class's name says too little.
    """

    def __init__(self, type_: type[D], name: str | None = None) -> None:
        self._name: str = getattr(type_, "__name__", str(type_)) if name is None else name  # a union has no name
        self._encode = msgspec.json.Encoder(enc_hook=_encode_other).encode
        self._decode = msgspec.json.Decoder(type_, dec_hook=_decode_other).decode

    def pack(self, value: D, /) -> bytes:
        """The value as JSON, proved to come back the same.

        Raises:
            DataNotEncodable: it can't be written, or would come back different; the error names the field.
            DataTooLarge: it takes more than a megabyte.
        """
        root = self._name
        try:
            packed = self._encoded(value, root)
            where = difference(value, self._decoded(packed, value, root), root)
        except RecursionError as error:
            raise DataNotEncodable(root, "it contains itself, or is nested too deeply") from error
        if where:
            raise DataNotEncodable(where, "would come back from JSON as something else")
        _weigh(len(packed), root)
        return packed

    def _encoded(self, value: D, root: str) -> bytes:
        try:
            return self._encode(value)
        except (TypeError, ValueError) as error:
            path = find_unencodable(value, root, self._encode) or root
            raise DataNotEncodable(path, f"can't be written as JSON: {error}") from error

    def _decoded(self, packed: bytes, value: D, root: str) -> D:
        try:
            return self._decode(packed)
        except (TypeError, ValueError) as error:  # msgspec.ValidationError is a ValueError
            raise DataNotEncodable(*_unreadable(value, root, str(error))) from error

    def unpack(self, packed: bytes, /) -> D:
        """A fresh value."""
        return self._decode(packed)

    def unpack_all(self, packed: bytes, /) -> D:
        """A fresh value of what other code has packed.

        Raises:
            DataNotEncodable: the type has no place for a part of it, which would be lost when the value is packed again.
        """
        value = completed(self._decode(packed))
        known = self._encode(value)
        if known != packed:
            self._refuse_loss(msgspec.json.decode(packed), msgspec.json.decode(known))
        return value

    def renewed(self, packed: bytes, /) -> bytes:
        """What other code has packed, with the defaults of the fields that it did not know.

        Raises:
            DataNotEncodable: as `unpack_all`.
        """
        known = self._encode(completed(self._decode(packed)))
        if known == packed:
            return packed
        before, now = msgspec.json.decode(packed), msgspec.json.decode(known)
        self._refuse_loss(before, now)
        return packed if left_out(now, before, self._name) is None else known

    def _refuse_loss(self, before: Any, now: Any) -> None:
        if lost := left_out(before, now, self._name):
            raise DataNotEncodable(lost, "there is no such field any more")


class CopyCodec(Generic[D]):
    """Packs as a deep copy: for types that JSON can't hold, where nothing has to survive the process."""

    def pack(self, value: D, /) -> D:
        """A deep copy of the value.

        Raises:
            DataNotEncodable: it can't be copied.
        """
        return _copied(value)

    def unpack_all(self, packed: D, /) -> D:
        """As `unpack`: nothing is lost on the way."""
        return self.unpack(packed)

    def renewed(self, packed: D, /) -> D:
        """What was packed: no other code has done so."""
        return packed

    def unpack(self, packed: D, /) -> D:
        """A deep copy of what was packed.

        Raises:
            DataNotEncodable: it can't be copied once more.
        """
        return _copied(packed)


def _copied(value: D) -> D:
    try:
        return copy.deepcopy(value)
    except Exception as error:  # whatever an object's own __deepcopy__ or __reduce__ raises; nested too deeply
        raise DataNotEncodable(type(value).__name__, f"can't be copied: {error}") from error


def codec_for(type_: type[D]) -> Codec[D]:
    """The codec for data of a type: JSON where the type can be written so, deep copies elsewhere."""
    return CopyCodec() if unencodable_part(type_) else JsonCodec(type_)


def forgets_subclasses(type_: type) -> bool:
    """Whether a value of a subclass would come back as one of the type itself; of an abstract type there are no others.

    >>> from collections.abc import Mapping
    >>> forgets_subclasses(dict), forgets_subclasses(Mapping), forgets_subclasses(complex)
    (True, False, False)
    """
    return not isabstract(type_) and unencodable_part(type_) is None


def unencodable_part(type_: Any) -> str | None:
    """The path of the first part of a type that JSON can't hold, or None.

    >>> unencodable_part(dict[str, int]), unencodable_part(list[complex]), unencodable_part(dict[tuple[int, int], str])
    (None, 'list.complex', 'dict[tuple]')
    """
    name = getattr(type_, "__name__", str(type_))
    try:
        info = inspect.type_info(type_)
        msgspec.json.Decoder(type_, dec_hook=_decode_other)
    except (TypeError, ValueError, NameError) as error:
        return f"{name} ({error})"
    return _lossy_part(info, name, set())


def _lossy_part(info: Any, path: str, seen: set[type]) -> str | None:
    info = _bare(info)
    if isinstance(info, inspect.CustomType):
        return None if issubclass(info.cls, PurePath) else f"{path}.{info.cls.__name__}"
    cls = getattr(info, "cls", None)
    if cls is not None:
        if cls in seen:
            return None
        seen.add(cls)
        if computed := _computed_field(cls):
            return f"{path}.{computed}"
    key = _bare(getattr(info, "key_type", None))
    if key is not None and not _is_key(key):
        return f"{path}[{type(key).__name__.removesuffix('Type').lower()}]"
    named = [(f"{path}.{field.name}", field.type) for field in getattr(info, "fields", ())]
    parts = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type")]
    several = [*getattr(info, "types", ()), *getattr(info, "item_types", ())]
    for where, part in [*named, *((path, part) for part in [*parts, *several] if part is not None)]:
        if found := _lossy_part(part, where, seen):
            return found
    return None


def _bare(info: Any) -> Any:
    """What msgspec knows of a type, without what only its schema tells."""
    return info.type if isinstance(info, inspect.Metadata) else info


def _is_key(info: Any) -> bool:
    """Whether all values of a type can be keys of a JSON object."""
    if isinstance(info, inspect.LiteralType):
        return all(type(value) in {str, int} for value in info.values)
    return isinstance(info, KEYS)


def _computed_field(cls: Any) -> str | None:
    """The first field that no caller gives but ``__post_init__`` sets: it would be set anew on every copy from JSON."""
    cls = get_origin(cls) or cls
    if attrs.has(cls) and hasattr(cls, "__attrs_post_init__"):
        return next((field.name for field in attrs.fields(cls) if not field.init), None)
    if dataclasses.is_dataclass(cls) and hasattr(cls, "__post_init__"):
        return next((field.name for field in dataclasses.fields(cls) if not field.init), None)
    return None


def _weigh(size: int, root: str) -> None:
    if size > LARGEST:
        raise DataTooLarge(size, LARGEST, root)
    if size > LARGE:
        _log.warning("%s takes %d bytes, and each transition writes them; keep large things in a resource", root, size)


def _encode_other(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decode_other(type_: type, value: object) -> object:
    if issubclass(type_, PurePath) and isinstance(value, str):
        return type_(value)
    raise TypeError(f"{type_.__name__} can't be read from JSON")


def _unreadable(value: object, root: str, message: str) -> tuple[str, str]:
    """Where a value would not be read back from its JSON, and why; msgspec tells the place, but not a dict's key."""
    if where := not_finite(value, root):
        return where, "JSON has no NaN and no infinity"
    reason, _, place = message.partition(" - at `$")
    return f"{root}{place.rstrip('`')}", f"would not be read back from JSON: {reason}"


def find_unencodable(value: object, path: str, encode: Any) -> str | None:
    """The path of the innermost part of a value that can't be encoded by itself."""
    parts = fields_of(value)
    for name, part in parts or ():
        try:
            encode(part)
        except RecursionError:
            continue  # not what was complained of
        except (TypeError, ValueError):
            return find_unencodable(part, f"{path}{name}", encode) or f"{path}{name}"
    return None
