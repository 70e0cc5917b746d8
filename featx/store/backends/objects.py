"""An object store (S3, Google Cloud Storage, Azure) through obstore."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from featx.errors import FeatxError
from featx.store.backends.interface import Listed, NotThere

CONFLICT_WAITS_S = (
    0.05,
    0.2,
    1.0,
    3.0,
)  # two writers met in the same moment, and the store decided for neither
INSTALL = "needs obstore; install it with pip install 'featx[cloud]'"


class ObjectStore:
    """Objects below a URL.

    Attributes:
        name: The URL.
    """

    def __init__(self, url: str) -> None:
        """Opens a client; nothing is asked of the store yet.

        Args:
            url: Such as ``s3://bucket/folder``. Address and keys come from the environment, as other programs take
                them: ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, …

        Raises:
            FeatxError: If obstore is not installed, or the URL is not one.
        """
        self.name = url.rstrip("/")
        try:
            import obstore
            from obstore import exceptions
            from obstore.store import MemoryStore, from_url
        except ImportError as error:
            raise FeatxError(f"{url}: {INSTALL}") from error
        self._obstore = obstore
        self._exceptions = exceptions
        self._prefix = ""
        try:
            if url.startswith("memory://"):
                self._prefix = url.removeprefix("memory://").strip("/")
                self._store: Any = _MEMORY.setdefault("", MemoryStore())
            else:
                self._store = from_url(self.name, client_options=_client_options(url))
        except (exceptions.BaseError, ValueError) as error:
            raise FeatxError(f"{url}: not a URL of an object store ({_first_line(error)})") from error

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Puts with ``If-None-Match: *``.

        Raises:
            FeatxError: If the store cannot be reached, or does not decide between writers.
        """
        for wait_s in (*CONFLICT_WAITS_S, None):
            with self._errors_named(key):
                try:
                    self._obstore.put(self._store, self._path(key), content, mode="create")
                    return True
                except (self._exceptions.AlreadyExistsError, self._exceptions.PreconditionError):
                    # Also what a writer hears whose first try succeeded and whose reply was lost.
                    with contextlib.suppress(NotThere):
                        return self.get(key) == content
                except self._exceptions.GenericError as error:
                    if "409" not in str(error) and "Conflict" not in str(error):
                        raise
            # A conflict (409) does not say that there is an object: ask again.
            if wait_s is not None:
                time.sleep(wait_s)
        raise FeatxError(f"{self._url(key)}: the store refuses it without saying what is there; try again")

    def put(self, key: str, content: bytes) -> None:
        """Puts an object.

        Raises:
            FeatxError: If the store cannot be reached.
        """
        with self._errors_named(key):
            self._obstore.put(self._store, self._path(key), content)

    def get(self, key: str) -> bytes:
        """Gets an object.

        Raises:
            NotThere: If there is none.
            FeatxError: If the store cannot be reached.
        """
        with self._errors_named(key):
            return bytes(self._obstore.get(self._store, self._path(key)).bytes())

    def get_ranges(self, key: str, starts: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Gets stretches of an object; those that lie close to each other come in one request.

        Raises:
            NotThere: If there is no such object.
            FeatxError: If the store cannot be reached, or a stretch is not within the object.
        """
        with self._errors_named(key):
            found = self._obstore.get_ranges(
                self._store, self._path(key), starts=list(starts), lengths=list(sizes)
            )
            return [bytes(each) for each in found]

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """Lists objects.

        Raises:
            FeatxError: If the store cannot be reached.
        """
        with self._errors_named(prefix):
            begin = f"{self._prefix}/" if self._prefix else ""
            for batch in self._obstore.list(self._store, self._path(prefix) or None, chunk_size=1000):
                for each in batch:
                    yield Listed(each["path"].removeprefix(begin), each["size"])

    def delete(self, key: str) -> None:
        """Deletes an object.

        Raises:
            FeatxError: If the store cannot be reached.
        """
        with self._errors_named(key), contextlib.suppress(FileNotFoundError, self._exceptions.NotFoundError):
            self._obstore.delete(self._store, self._path(key))

    def size(self, key: str) -> int:
        """Asks for an object's size.

        Raises:
            NotThere: If there is none.
            FeatxError: If the store cannot be reached.
        """
        with self._errors_named(key):
            return int(self._obstore.head(self._store, self._path(key))["size"])

    def _path(self, key: str) -> str:
        return f"{self._prefix}/{key}".strip("/")

    def _url(self, key: str) -> str:
        return f"{self.name}/{key}"

    @contextlib.contextmanager
    def _errors_named(self, key: str) -> Iterator[None]:
        exceptions = self._exceptions
        try:
            yield
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            raise NotThere(f"{self._url(key)}: is not there") from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise FeatxError(
                f"{self._url(key)}: access is denied ({_first_line(error)}); give the keys of an account that may read "
                "and write there, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise FeatxError(
                f"{self._url(key)}: the store does not do it ({_first_line(error)}); see that the bucket exists, and "
                "that this machine reaches it (AWS_ENDPOINT_URL for a server of your own)"
            ) from error


_MEMORY: dict[str, Any] = {}  # the one memory:// store of this process, for tests


def _client_options(url: str) -> Any:
    """Returns what the client may do: plain http only where the user's own address asks for it."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", ""))
    return {"allow_http": url.startswith("s3://") and endpoint.startswith("http://")}


def _first_line(error: Exception) -> str:
    """Returns what obstore says, without its dump of the error's source."""
    return str(error).split("\n", 1)[0]
