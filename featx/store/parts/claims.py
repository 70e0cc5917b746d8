"""Who works on which part: advice to others and news for people. Nothing depends on its truth.

A claim is an object of the part's number that says who began it and when. It may be lost, stale, or overwritten by
another machine; then a part is done twice, and the first commit counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from featx.store.backends.interface import Backend, NotThere

CLAIMS_FOLDER = "claims"
CLAIM_KEY = re.compile(rf"{CLAIMS_FOLDER}/part-(\d{{5,}})\.json")


@dataclass(frozen=True)
class Claim:
    """A machine's word that it works on a part.

    Attributes:
        station: The machine and the process.
        began: When, in seconds since 1970.
    """

    station: str
    began: float


def claim(backend: Backend, number: int, mine: Claim) -> None:
    """Says that one works on a part."""
    backend.put(_key(number), json.dumps(asdict(mine)).encode())


def release(backend: Backend, number: int) -> None:
    """Says that nobody works on a part any more."""
    backend.delete(_key(number))


def read_claims(backend: Backend) -> dict[int, Claim]:
    """Returns the claims by the number of the part; what cannot be read is left out, as if it were not there."""
    found = {}
    for listed in list(backend.list(CLAIMS_FOLDER)):
        if match := CLAIM_KEY.fullmatch(listed.key):
            try:
                found[int(match[1])] = Claim(**json.loads(backend.get(listed.key)))
            except (NotThere, ValueError, TypeError):
                continue
    return found


def _key(number: int) -> str:
    return f"{CLAIMS_FOLDER}/part-{number:05d}.json"
