"""Whether data are what a workflow takes."""

from __future__ import annotations

from .._errors import DataTypeMismatch
from .._journal.codec import forgets_subclasses


def check_data(workflow: str, wanted: type | None, data: object) -> None:
    """Refuse data that are not of the type that a workflow wants.

    Raises:
        DataTypeMismatch: they are of another type, or of a subclass that JSON would not give back.
    """
    found = type(data)
    if found is wanted or (wanted is None and data is None):
        return
    if wanted is None:
        raise DataTypeMismatch(workflow, None, found.__name__)
    if not isinstance(data, wanted):
        raise DataTypeMismatch(workflow, *_names(wanted, found))
    if forgets_subclasses(wanted):
        raise DataTypeMismatch(workflow, *_names(wanted, found), subclass=True)


def _names(*types: type) -> list[str]:
    """The names of types, as short as they differ."""
    names = [type_.__name__ for type_ in types]
    return names if len(set(names)) > 1 else [f"{type_.__module__}.{type_.__qualname__}" for type_ in types]
