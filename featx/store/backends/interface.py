"""What featx asks of a place that holds files by key: the little that folders and object stores have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from featx.errors import FeatxError


class NotThere(FeatxError):
    """There is nothing under a key."""


class Listed(NamedTuple):
    """An object of a listing: its key below the place, and its size."""

    key: str
    size_bytes: int


class Backend(Protocol):
    """A place that holds bytes by key; a key is a relative path with ``/``.

    What is put is there as a whole or not at all, and can be read and listed at once. Every method raises a
    `FeatxError` that names the place if it cannot be reached.

    Attributes:
        name: The folder or URL, for messages.
    """

    name: str

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Stores bytes if nothing has the key; of several writers exactly one gets True.

        A writer whose reply was lost tries again and finds its own bytes, which is success too. So ``content`` has to
        hold something that no other writer has, such as the id of the attempt.
        """
        ...

    def put(self, key: str, content: bytes) -> None:
        """Stores bytes, in place of what has the key."""
        ...

    def get(self, key: str) -> bytes:
        """Returns all bytes of an object; raises `NotThere` if there is none."""
        ...

    def get_ranges(self, key: str, starts: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Returns some stretches of an object, in one request where that is possible.

        Raises `NotThere` if there is no such object. A stretch that goes past the end is an error, or shorter.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """Yields all objects below a folder of keys, at any depth, in no order."""
        ...

    def delete(self, key: str) -> None:
        """Removes an object; that there is none is not an error."""
        ...

    def size(self, key: str) -> int:
        """Returns how many bytes an object has; raises `NotThere` if there is none."""
        ...
