"""``impasto gc``, ``backup`` and ``restore``: what a service keeps, and for how long."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.serve import _Database, _Home, _open, _place_of
from impasto.cli.terminal import print_json, say
from impasto.errors import SettingsError

_AGE = re.compile(r"(\d{1,5})([hd])")
_HOURS = {"h": 1, "d": 24}


def gc(
    *,
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="what ended so long ago, in days or hours: 30d, 12h")
    ] = "30d",
    state: Annotated[
        list[str] | None,
        typer.Option(show_default="all", help="only jobs that ended so: done, failed, cancelled; once per state"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="remove nothing, only say what would be")] = False,
    home: _Home = None,
    database: _Database = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Remove old jobs with their results, uploads that no job needs, and records of what has ended.

    [dim]impasto gc --older-than 30d --dry-run[/dim]

    Starred jobs and those that have not ended are never taken.
    What is removed is in DIR/audit.jsonl.
    """
    age = _AGE.fullmatch(older_than)
    if age is None:
        raise SettingsError(f"--older-than {older_than!r} is no age; give days or hours, such as 30d or 12h")
    jobs = _open(home, database)
    from impasto.jobs.retention import STATES, clean_up

    for one in state or ():
        if one not in STATES:
            raise SettingsError(f"--state {one!r} is none that jobs end in; there are {', '.join(STATES)}")

    seconds = 3600 * int(age[1]) * _HOURS[age[2]]
    by = f"gc --older-than {older_than}"
    removed = clean_up(
        jobs, older_than_s=seconds, states=[one for one in STATES if one in (state or STATES)], dry_run=dry_run, by=by
    )
    jobs.close()
    if json:
        print_json({"dry_run": dry_run, **asdict(removed)})
        return
    say(
        f"{'would remove' if dry_run else 'removed'} {len(removed.jobs)} jobs and {len(removed.uploads)} uploads, "
        f"{removed.bytes / 2**20:.1f} MiB"
    )


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="a tar archive to write")],
    *,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="leave the database out: PostgreSQL's is kept by pg_dump")
    ] = False,
    home: _Home = None,
    database: _Database = None,
) -> None:
    """Keep a service's database and files in one file, while it runs.

    [dim]impasto backup monday.tar[/dim]
    """
    jobs = _open(home, database)
    from impasto.jobs.backup import back_up

    kept = back_up(jobs, file, files_only=files_only)
    jobs.close()
    say(f"{file}: {kept.jobs} jobs, {kept.files} files")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="what impasto backup wrote")],
    *,
    home: _Home = None,
) -> None:
    """Make a service's folder from a backup; jobs that had not ended go on when it is served.

    [dim]impasto restore monday.tar --home DIR[/dim]
    """
    home = _place_of(home)
    from impasto.jobs.backup import restore as bring_back

    kept = bring_back(file, home)
    lost = f"; {kept.lost} were deleted while the backup was made" if kept.lost else ""
    say(f"{home}: {kept.jobs} jobs, {kept.files} files of {kept.at}{lost}")
