"""API keys: ``impasto_<id>_<secret>``. Only the secret's hash is kept: of 256 random bits, a plain one will do."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from impasto.errors import InputError
from impasto.jobs.database import KEYS

_KEY: Final = re.compile(r"impasto_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Key:
    """What is kept of a key."""

    id: str
    owner: str
    created_s: float
    revoked_s: float | None


def add_key(engine: sa.Engine, owner: str) -> str:
    """A new key for an owner; it is shown this once.

    Raises:
        InputError: the name is none.
    """
    if not _OWNER.fullmatch(owner):
        raise InputError(f"{owner!r} is no owner's name; use letters, digits, '.', '_' and '-', at most 64")
    name, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    with engine.begin() as connection:
        connection.execute(
            sa.insert(KEYS).values(id=name, sha256=_hash(secret), owner=owner, created_s=time.time(), revoked_s=None)
        )
    return f"impasto_{name}_{secret}"


def owner_of(engine: sa.Engine, key: str) -> str | None:
    """Whose key it is; None if it is none, or was revoked."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(KEYS.c.sha256, KEYS.c.owner).where(KEYS.c.id == found[1], KEYS.c.revoked_s.is_(None))
        ).one_or_none()
    if row is None or not secrets.compare_digest(row.sha256, _hash(found[2])):
        return None
    return str(row.owner)


def list_keys(engine: sa.Engine) -> list[Key]:
    """All keys, oldest first."""
    fields = [KEYS.c[name] for name in Key.__dataclass_fields__]
    with engine.connect() as connection:
        return [Key(*row) for row in connection.execute(sa.select(*fields).order_by(KEYS.c.created_s))]


def revoke_key(engine: sa.Engine, name: str) -> None:
    """Let a key be none from now on.

    Raises:
        InputError: there is no such key.
    """
    with engine.begin() as connection:
        query = sa.update(KEYS).where(KEYS.c.id == name, KEYS.c.revoked_s.is_(None)).values(revoked_s=time.time())
        if not connection.execute(query).rowcount:
            raise InputError(f"there is no key {name!r} that is in use; `impasto keys list` shows them")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
