"""PostgreSQL in place of SQLite: one URL, from which each service gets a database of its own.

The URL carries a password. It is taken from the environment once, kept among the secrets, and
handed on in the environment of the services alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import asyncpg

from fedcore.errors import FedcoreError, InputError, problem

VARIABLE = "FEDCORE_DATABASE_URL"
PREFECT, MLFLOW = "fedcore_prefect", "fedcore_mlflow"
FORM = "write it as postgresql://user:password@host:5432"
SECONDS = 15.0


@dataclass(frozen=True)
class Postgres:
    """Where PostgreSQL is; `parts` hold the password."""

    parts: SplitResult

    @classmethod
    def parse(cls, url: str) -> Postgres:
        """Read a URL; `InputError`, without the password, for what is none."""
        try:
            parts = urlsplit(url)
            good = parts.scheme in {"postgresql", "postgres"} and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise InputError(problem("environment", VARIABLE, "no address of PostgreSQL", FORM))
        return cls(parts)

    def __repr__(self) -> str:
        """Without the password: it may be in a traceback."""
        return f"Postgres({self.place})"

    @property
    def place(self) -> str:
        """Host and port, to be shown."""
        return f"{self.parts.hostname}:{self.parts.port or 5432}"

    def url(self, driver: str, database: str) -> str:
        """The address of one database for SQLAlchemy."""
        mode = parse_qs(self.parts.query).get("sslmode", [])
        name = "ssl" if driver == "postgresql+asyncpg" else "sslmode"
        query = f"?{name}={mode[0]}" if mode else ""
        return f"{driver}://{self.parts.netloc}/{database}{query}"

    def make_databases(self) -> None:
        """Make what is missing; `FedcoreError` where PostgreSQL is out of reach or refuses."""
        try:
            asyncio.run(self._make())
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as broken:
            said = str(broken).splitlines()[0] if str(broken) else type(broken).__name__
            remedy = f"start it, or set {VARIABLE} right and run fedcore up again"
            raise FedcoreError(f"PostgreSQL at {self.place}: {said}: {remedy}") from None

    async def _make(self) -> None:
        parts = self.parts
        line = await asyncpg.connect(
            host=parts.hostname,
            port=parts.port or 5432,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            database=parts.path.strip("/") or "postgres",
            ssl=parse_qs(parts.query).get("sslmode", [None])[0],
            timeout=SECONDS,
        )
        try:
            for name in (PREFECT, MLFLOW):
                if not await line.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                    await line.execute(f'CREATE DATABASE "{name}"')
        finally:
            await line.close()
