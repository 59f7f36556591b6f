"""``impasto study``: people choose between two pictures, by a protocol that is fixed before the first vote."""

from __future__ import annotations

import dataclasses
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from impasto.cli.terminal import print_json, printable, result_console, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from impasto.evaluation.study import Question, QuestionResult, Study, StudyResult

study_app = typer.Typer(
    help="Ask people which of two versions is better: forced choices on a local page, with checks on the raters.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

#: The exit code of a result without its votes: done, but somebody has to see to it.
_MISSING_VOTES = 3

_Folder = Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="the study's folder")]


@study_app.command()
def new(
    folder: _Folder,
    variants: Annotated[
        list[Path],
        typer.Argument(
            metavar="VARIANT",
            show_default=False,
            help="two or more folders of outputs; files of the same name are the same content and style",
        ),
    ],
    *,
    votes: Annotated[int, typer.Option(min=1, help="valid votes that a verdict on a question needs")] = 200,
    question: Annotated[
        list[str] | None,
        typer.Option(
            metavar="overall|style|content",
            show_default="all three",
            help="what people are asked; once per question",
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="the recipes inside",
            help="a CSV file output,content,style that says what the outputs were made of",
        ),
    ] = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="where contents and styles that recipes name lie, there or one folder down; once per folder",
        ),
    ] = None,
    margin: Annotated[float, typer.Option(help="how far from 1/2 a win rate may be without mattering")] = 0.1,
    trials: Annotated[
        int | None,
        typer.Option(show_default="all there are, at most 40", help="that a rater gets for each question"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the order and of what goes left")] = 0,
) -> None:
    """Fix what is compared and how many votes decide; DIR/study.json then says it for good."""
    from impasto.evaluation.study import QUESTIONS, create_study, study_file

    study = create_study(
        folder,
        variants,
        votes=votes,
        questions=cast("Sequence[Question]", question) or QUESTIONS,  # checked there
        manifest=manifest,
        inputs=inputs or (),
        margin=margin,
        trials=trials,
        seed=seed,
    )
    for line in _power(study):
        say(line)
    say(f"the protocol is in {study_file(folder)}; begin with: impasto study run {folder}")


def _power(study: Study) -> Iterable[str]:
    """What so many votes can show, before anybody has given one."""
    from impasto.evaluation.study import ATTENTION_TRIALS, MIN_RATERS, detectable_rate, votes_needed

    comparisons, pairs, asked = len(study.comparisons), len(study.pairs), len(study.questions)
    each = study.votes / comparisons
    seen = study.trials * asked + ATTENTION_TRIALS
    yield (
        f"{len(study.variants)} variants ({', '.join(map(printable, study.variants))}), {pairs} pairs, {comparisons} "
        f"comparison{'s' * (comparisons > 1)}, {asked} question{'s' * (asked > 1)}; a rater sees {seen} trials, and "
        f"{max(MIN_RATERS, -(-study.votes // study.trials))} raters or more are needed"
    )
    per_pair = max(1.0, each / pairs)
    rate, independent = detectable_rate(each, per_pair=per_pair), detectable_rate(each)
    yield (
        f"{each:.0f} votes on a comparison, {per_pair:.1f} on each of its pairs, show a win rate of "
        f"{f'{rate:.2f}' if rate else 'no less than 0.99'} (four times in five; "
        f"{f'{independent:.2f}' if independent else '0.99'} if every vote were on another pair)"
    )
    needed = ", ".join(
        f"{win:.2f} → {votes_needed(win)} to {votes_needed(win, per_pair=5)}" for win in (0.55, 0.6, 0.65, 0.7, 0.75)
    )
    yield f"votes on a comparison needed to show a win rate, with 1 to 5 votes on a pair: {needed}"
    if pairs < 24:
        yield f"impasto: warning: {pairs} pairs tell little about other pictures; 24 or more are usual"


@study_app.command()
def run(folder: _Folder) -> None:
    """Serve the page on this machine until Ctrl-C; every choice is kept at once in DIR/votes.jsonl."""
    from impasto.cli.study_page import StudyPage
    from impasto.evaluation.study import load_study, read_votes, votes_file

    study = load_study(folder)
    with StudyPage(study, folder) as page:
        say(f"the study is at {page.address}; Ctrl-C ends it, and the votes stay")
        # Installed here, because a program that was started in the background has Ctrl-C switched off.
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        while not ended.wait(1.0):  # in turns: on Windows a signal does not end a longer one
            pass
    votes = read_votes(folder).votes
    raters = len({vote.rater for vote in votes})
    say(f"{len(votes)} votes of {raters} rater{'s' * (raters != 1)} are in {votes_file(folder)}")


@study_app.command()
def result(
    folder: _Folder,
    *,
    json: Annotated[bool, typer.Option("--json", help="write the result to stdout, as one JSON document")] = False,
) -> None:
    """Show what the votes say, once there are as many as the protocol asks for; exit code 3 while there are not."""
    from impasto.evaluation.study import analyse, load_study, read_votes

    study = load_study(folder)
    found = analyse(study, read_votes(folder))
    if found.damaged:
        lines = ", ".join(map(str, found.damaged))
        say(f"impasto: warning: these lines of the votes are damaged and left out: {lines}")
    if found.foreign:
        say(f"impasto: warning: {found.foreign} votes were given under another protocol and do not count")
    if json:
        print_json(_document(study, found))
    else:
        console = result_console()
        if found.raters:
            console.print("[bold]raters[/bold]")
            console.print(_raters(found))
        for question in found.questions:
            console.print(f"[bold]{question.question}[/bold]: {question.votes} of {question.needed} votes")
            for table in _tables(question):
                console.print(table)
            console.print(f"  {printable(question.verdict)}", markup=False)
    if not found.complete:
        raise typer.Exit(_MISSING_VOTES)


def _document(study: Study, found: StudyResult) -> dict[str, object]:
    """What ``--json`` writes."""
    document = dataclasses.asdict(found)
    for question, of in zip(document["questions"], found.questions, strict=True):
        question.update(missing=of.missing, complete=of.complete)
    return {"protocol": study.digest, "margin": study.margin, "complete": found.complete, **document}


def _raters(found: StudyResult) -> Table:
    rows = [
        (
            rater.rater,
            str(rater.votes),
            f"{rater.right}/{rater.attention}",
            f"{rater.median_s:.1f} s",
            rater.reason or "counts",
        )
        for rater in found.raters
    ]
    return _table(("rater", "votes", "attention", "median", ""), rows)


def _tables(question: QuestionResult) -> Iterable[Table]:
    """Strengths, comparisons and styles; none without a verdict."""
    if not question.complete:
        return
    strengths = sorted(question.strengths.items(), key=lambda item: -item[1][1])
    yield _table(
        ("variant", "strength", "95 %"),
        [(name, f"{middle:+.2f}", f"{low:+.2f} to {high:+.2f}") for name, (low, middle, high) in strengths],
    )
    yield _table(
        ("comparison", "wins", "if independent", "by strength", "over pairs and raters", ""),
        [
            (
                f"{row.first} over {row.second}",
                f"{row.wins} of {row.votes}",
                "–" if row.wilson is None else f"{row.wilson[0]:.2f} to {row.wilson[1]:.2f}",
                f"{row.win_rate:.2f}",
                f"{row.interval[0]:.2f} to {row.interval[1]:.2f}",
                {"first": row.first, "second": row.second}.get(row.outcome, row.outcome),
            )
            for row in question.comparisons
        ],
    )
    yield _table(
        ("style", "variant", "wins"),
        [(row.style, row.variant, f"{row.wins} of {row.votes}") for row in question.styles],
    )
    kappa = "–" if question.kappa is None else f"{question.kappa:.2f}"
    yield _table((), [("agreement of raters", f"κ {kappa} over {question.shared_trials} trials that two or more saw")])


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """Texts in columns; they come from files and can neither colour nor steer."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for row in (titles, *rows) if titles else rows:
        style = "dim" if row is titles else ""
        table.add_row(
            *(Text(f"  {printable(text)}" if index == 0 else printable(text), style) for index, text in enumerate(row))
        )
    return table
