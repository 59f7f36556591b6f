"""The command ``impasto``: its verbs, and the one place where an error becomes a sentence and an exit code.

Exit codes: 0 done, 1 our fault or the machine's, 2 the input's, 3 done but a gate asks for review, 4 done but a gate
rejects it, 130 or 143 cancelled by Ctrl-C or SIGTERM.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from impasto.cli.batch import batch
from impasto.cli.compare import compare
from impasto.cli.doctor import doctor
from impasto.cli.drift import drift
from impasto.cli.evaluate import evaluate
from impasto.cli.explain import explain
from impasto.cli.export import export
from impasto.cli.gc import backup, gc, restore
from impasto.cli.generate import generate
from impasto.cli.golden import golden
from impasto.cli.info import info
from impasto.cli.live import live
from impasto.cli.mcp import mcp
from impasto.cli.models import models_app
from impasto.cli.plan import plan
from impasto.cli.provenance import provenance_app, verify
from impasto.cli.rerun import rerun
from impasto.cli.serve import keys_app, serve, work
from impasto.cli.study import study_app
from impasto.cli.styles import styles_app
from impasto.cli.stylize import stylize
from impasto.cli.sweep import sweep
from impasto.cli.terminal import one_line, say, warnings_on_stderr
from impasto.cli.train import train_app
from impasto.cli.video import video
from impasto.errors import ImpastoError

# Threads that wait for each other spin only for a moment, then sleep, unless the user says otherwise. On a machine that
# is busy with something else, spinning threads stand in their own way: two runs at once took a third of the time so,
# and one alone takes no longer. It must be set before PyTorch is first imported, which is when a verb runs.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

#: Set to anything, it makes an internal error show its traceback.
DEBUG_VARIABLE = "IMPASTO_DEBUG"

app = typer.Typer(
    name="impasto",
    help="Neural style transfer: the style of one picture, or of several, on the content of another.",
    epilog="Exit codes: 0 done, 1 our fault or the machine's, 2 the input's, 3 a person should look, 4 rejected, "
    "130 cancelled.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    stylize,
    generate,
    batch,
    video,
    plan,
    info,
    rerun,
    verify,
    evaluate,
    explain,
    sweep,
    compare,
    drift,
    golden,
    export,
    live,
    serve,
    gc,
    backup,
    restore,
    mcp,
    doctor,
):
    app.command()(verb)
app.command("worker")(work)
app.add_typer(keys_app, name="keys")
app.add_typer(study_app, name="study")
app.add_typer(train_app, name="train")
app.add_typer(styles_app, name="styles")
app.add_typer(provenance_app, name="provenance")
app.add_typer(models_app, name="models")


def _show_version(wanted: bool) -> None:
    """Print the version and end; called by typer before any verb."""
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"impasto {version('impasto')}")
        except PackageNotFoundError:
            typer.echo("impasto (run from its source, not installed)")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="show the version and end"),
    ] = False,
) -> None:
    """Options of the program itself."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the words after ``impasto``; by default the process's own.

    Returns:
        The exit code. No exception leaves it, unless ``IMPASTO_DEBUG`` is set.
    """
    try:
        with warnings_on_stderr():
            typer.main.get_command(app)(args=args, prog_name="impasto")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        return _flush(code)
    except KeyboardInterrupt:
        return 130
    except ImpastoError as error:
        say(f"impasto: error: {one_line(error)}")
        return error.exit_code
    except MemoryError:
        say("impasto: error: there is not enough memory; use a smaller image_size or close other programs")
        return 1
    except Exception as error:  # a user gets a sentence, never a traceback they did not ask for
        if os.environ.get(DEBUG_VARIABLE):
            raise
        reason = one_line(error)
        say(
            f"impasto: internal error: {type(error).__name__}{': ' if reason else ''}{reason}; "
            f"run again with {DEBUG_VARIABLE}=1 for a traceback"
        )
        return 1
    return 0


def _flush(code: int) -> int:
    """Write out what is buffered now; a reader that has gone (``| head``) is no error worth a message."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
