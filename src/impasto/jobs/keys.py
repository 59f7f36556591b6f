"""API keys: ``impasto_<id>_<secret>``. Only the secret's hash is kept: of 256 random bits, a plain one will do.

A key says whose jobs it reaches, what it may do with them (scopes), how much it may ask for (quota) and until when.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.errors import InputError, SettingsError, first_problem
from impasto.jobs.database import KEYS

_KEY: Final = re.compile(r"impasto_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

#: What a key may do. ``admin`` holds the other two, and is asked for by what concerns all owners.
SCOPES: Final = ("jobs:read", "jobs:write", "admin")
#: Of a key that was made without a word about them, and of those from before there were any.
USUAL_SCOPES: Final = frozenset({"jobs:read", "jobs:write"})
#: How exactly is known when a key was last used: writing it down at every request would cost more than the request.
_USED_S: Final = 60.0


class Quota(BaseModel):
    """How much a key may ask for; None: as much as the service takes. Jobs of all the owner's keys count."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    waiting: int | None = Field(default=None, ge=1, description="jobs that may wait")
    running: int | None = Field(default=None, ge=1, description="jobs that may run at once; others wait")
    megapixels_a_day: float | None = Field(default=None, gt=0, description="of pictures asked for, by the day in UTC")
    requests_a_minute: int | None = Field(default=None, ge=1, description="in place of the service's rate")

    @classmethod
    def of(cls, **fields: Any) -> Quota:
        """Check what was given.

        Raises:
            SettingsError: one sentence with name and what is allowed.
        """
        try:
            return cls.model_validate({name: value for name, value in fields.items() if value is not None})
        except ValidationError as error:
            place, reason = first_problem(error)
            raise SettingsError(f"{place}: {reason}") from None


#: Of whoever needs no key.
NO_QUOTA: Final = Quota()


@dataclass(frozen=True)
class Key:
    """What is kept of a key."""

    id: str
    owner: str
    created_s: float
    revoked_s: float | None = None
    expires_s: float | None = None
    used_s: float | None = None
    """When it was last used, to the minute."""
    scopes: frozenset[str] = USUAL_SCOPES
    quota: Quota = NO_QUOTA

    @property
    def is_in_use(self) -> bool:
        """Whether it opens anything: neither revoked nor expired."""
        return self.revoked_s is None and (self.expires_s is None or time.time() < self.expires_s)

    def may(self, scope: str) -> bool:
        """Whether it has a scope."""
        return scope in self.scopes or "admin" in self.scopes


def add_key(
    engine: sa.Engine,
    owner: str,
    *,
    scopes: frozenset[str] = USUAL_SCOPES,
    quota: Quota = NO_QUOTA,
    lasts_s: float | None = None,
) -> str:
    """A new key for an owner; it is shown this once.

    Args:
        engine: of the service's database.
        owner: whose.
        scopes: what it may do.
        quota: how much it may ask for.
        lasts_s: for how long it is one; None: until it is revoked.

    Raises:
        InputError: the owner's name is none.
        SettingsError: a scope is none.
    """
    if not _OWNER.fullmatch(owner):
        raise InputError(f"{owner!r} is no owner's name; use letters, digits, '.', '_' and '-', at most 64")
    for scope in sorted(scopes):
        if scope not in SCOPES:
            raise SettingsError(f"there is no scope {scope!r}; there are {', '.join(SCOPES)}")
    name, secret, now = secrets.token_hex(8), secrets.token_urlsafe(32), time.time()
    values = {
        "sha256": _hash(secret),
        "owner": owner,
        "created_s": now,
        "expires_s": None if lasts_s is None else now + lasts_s,
        "scopes": " ".join(sorted(scopes)),
        "quota": quota.model_dump(exclude_none=True),
    }
    with engine.begin() as connection:
        connection.execute(sa.insert(KEYS).values(id=name, **values))
    return f"impasto_{name}_{secret}"


def find_key(engine: sa.Engine, key: str) -> Key | None:
    """The key that was shown; None if it is none, was revoked or has expired."""
    parts = _KEY.fullmatch(key)
    if parts is None:
        return None
    with engine.connect() as connection:
        row = connection.execute(sa.select(KEYS).where(KEYS.c.id == parts[1])).one_or_none()
    if row is None or not secrets.compare_digest(row.sha256, _hash(parts[2])):
        return None
    found = _key(row)
    return found if found.is_in_use else None


def note_use(engine: sa.Engine, key: Key) -> None:
    """Write down that a key is used, unless that was done less than a minute ago."""
    now = time.time()
    if key.used_s is not None and abs(now - key.used_s) < _USED_S:
        return
    with engine.begin() as connection:
        connection.execute(sa.update(KEYS).where(KEYS.c.id == key.id).values(used_s=now))


def list_keys(engine: sa.Engine) -> list[Key]:
    """All keys, oldest first."""
    with engine.connect() as connection:
        return [_key(row) for row in connection.execute(sa.select(KEYS).order_by(KEYS.c.created_s))]


def running_limit(connection: sa.Connection, owner: str) -> int | None:
    """How many jobs of an owner may run at once: what the most generous of the keys in use allows; None: any number."""
    rows = connection.execute(sa.select(KEYS).where(KEYS.c.owner == owner, KEYS.c.revoked_s.is_(None)))
    limits = [key.quota.running for key in map(_key, rows) if key.is_in_use]
    known = [limit for limit in limits if limit is not None]
    return max(known) if known and len(known) == len(limits) else None


def limits_running(connection: sa.Connection) -> bool:
    """Whether any key in use has a limit of running jobs."""
    rows = connection.execute(sa.select(KEYS).where(KEYS.c.revoked_s.is_(None), KEYS.c.quota.is_not(None)))
    return any(key.is_in_use and key.quota.running is not None for key in map(_key, rows))


def revoke_key(engine: sa.Engine, name: str) -> None:
    """Let a key be none from now on.

    Raises:
        InputError: there is no such key.
    """
    with engine.begin() as connection:
        query = sa.update(KEYS).where(KEYS.c.id == name, KEYS.c.revoked_s.is_(None)).values(revoked_s=time.time())
        if not connection.execute(query).rowcount:
            raise InputError(f"there is no key {name!r} that is in use; `impasto keys list` shows them")


def _key(row: sa.Row[Any]) -> Key:
    known = {name: row._mapping[name] for name in ("id", "owner", "created_s", "revoked_s", "expires_s", "used_s")}
    scopes = USUAL_SCOPES if row.scopes is None else frozenset(row.scopes.split())
    return Key(**known, scopes=scopes, quota=Quota(**(row.quota or {})))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
