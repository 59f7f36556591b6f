"""A page on this machine that asks people which of two pictures, and keeps what they choose.

The browser never learns which variant it shows: it gets trials under names drawn by chance, and pictures that are
encoded anew, without their recipes. Only programs on this machine reach it, and no path from a request is opened.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.cli.local_server import LocalHandler, LocalServer
from impasto.cli.terminal import one_line
from impasto.errors import ImpastoError, InputError
from impasto.evaluation.study import Trial, Vote, VoteLog, changed_pictures, examples, read_votes, session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from impasto.evaluation.study import Study, StudyPicture

logger = logging.getLogger("impasto")

#: After so many choices there is a break, and it cannot be skipped.
BREAK_EVERY: Final = 40
BREAK_S: Final = 20

#: Longer sides, pixels: of the pictures to choose from, and of content and style above them.
_OUTPUT_PX: Final = 1024
_REFERENCE_PX: Final = 640

#: Encoded pictures that are kept in memory: about one megabyte each.
_CACHED: Final = 64

_MAX_BODY: Final = 4096


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Joining(_Body):
    """What the page sends when somebody begins or goes on."""

    rater: str = Field(max_length=200)


class Choice(_Body):
    """What the page sends when somebody has chosen."""

    trial: str = Field(max_length=64)
    choice: Literal["left", "right"]
    ms: int = Field(ge=0, le=24 * 3600 * 1000)


@dataclass
class _Shown:
    """A trial as the server knows it."""

    trial: Trial
    rater: str | None
    """None: an example, which is not kept."""
    block: int = 0
    order: int = 0
    done: bool = False


class StudyPage:
    """Serves a study inside a ``with`` block, at :attr:`address`.

    Args:
        study: its protocol.
        folder: where it lies; votes are kept there.

    Raises:
        InputError: a picture is not what it was when the study was made; another process collects votes already.
        OSError: this machine does not let it serve a page.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self.study = study
        self.secret = secrets.token_urlsafe(32)
        self._folder = folder
        self._stack = ExitStack()
        self._log = VoteLog(folder)
        self._lock = threading.Lock()  # guards what follows
        self._examples = {secrets.token_urlsafe(9): _Shown(trial, rater=None) for trial in examples(study)}
        self._shown = dict(self._examples)
        self._sessions: dict[str, dict[str, _Shown]] = {}
        self._drawing = threading.Lock()  # guards what follows
        self._drawn: dict[tuple[str, int], bytes] = {}

    def __enter__(self) -> Self:
        changed = changed_pictures(self.study, self._folder)
        if changed:
            more = f" and {len(changed) - 1} others" if len(changed) > 1 else ""
            raise InputError(
                f"{changed[0]}{more} is not the picture it was when the study was made; restore it, or make a new study"
            )
        with ExitStack() as stack:
            stack.enter_context(self._log)
            votes = [vote for vote in read_votes(self._folder).votes if vote.protocol == self.study.digest]
            self._blocks = {vote.rater: vote.block for vote in votes}
            self._voted = {(vote.rater, vote.trial) for vote in votes}
            self._server = _Server(self)
            self._server.start()
            stack.callback(self._server.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        """Where the page is."""
        return self._server.address

    def join(self, name: str) -> Mapping[str, object]:
        """A rater's trials, and which of them are done; somebody new gets the next part of all trials.

        Args:
            name: upper and lower case are the same, and so are runs of spaces.

        Raises:
            ValueError: the name is empty, longer than 40 characters, or holds what cannot be printed.
        """
        rater = " ".join(name.split()).casefold()
        if not (0 < len(rater) <= 40 and rater.isprintable()):
            raise ValueError("a name has 1 to 40 characters")
        with self._lock:
            if rater not in self._sessions:
                used = set(self._blocks.values())
                free = next(block for block in range(len(used) + 1) if block not in used)
                block = self._blocks.setdefault(rater, free)
                mine = {}
                for order, trial in enumerate(session(self.study, rater, block)):
                    done = (rater, trial.key) in self._voted
                    mine[secrets.token_urlsafe(9)] = _Shown(trial, rater, block, order, done)
                self._sessions[rater] = mine
                self._shown |= mine
            return {
                "examples": [_told(name, shown) for name, shown in self._examples.items()],
                "trials": [_told(name, shown) for name, shown in self._sessions[rater].items()],
                "break_every": BREAK_EVERY,
                "break_s": BREAK_S,
            }

    def choose(self, choice: Choice) -> Mapping[str, object] | None:
        """Keep a choice, once however often it is sent; of an example, say whether it is right.

        Returns:
            None if there is no such trial.

        Raises:
            OSError: it could not be kept.
        """
        with self._lock:
            shown = self._shown.get(choice.trial)
            if shown is None:
                return None
            trial = shown.trial
            if shown.rater is None:
                return {"right": choice.choice == trial.answer, "answer": trial.answer, "reason": trial.reason}
            if not shown.done:
                self._log.append(
                    Vote(
                        protocol=self.study.digest,
                        rater=shown.rater,
                        block=shown.block,
                        when=datetime.now(UTC),
                        order=shown.order,
                        ms=choice.ms,
                        question=trial.question,
                        pair=trial.pair.name,
                        left=trial.left.sha256,
                        right=trial.right.sha256,
                        choice=choice.choice,
                        answer=trial.answer,
                    )
                )
                shown.done = True
            return {"kept": True}

    def picture(self, name: str, place: str) -> bytes | None:
        """A picture of a trial as PNG, without anything else that its file holds.

        Args:
            name: of the trial.
            place: ``content``, ``left``, ``right``, or ``style0`` and on.

        Returns:
            None if there is no such trial or place.

        Raises:
            ImpastoError: the file cannot be read any more, or is another one.
        """
        with self._lock:
            shown = self._shown.get(name)
        if shown is None:
            return None
        trial = shown.trial
        # Both at the same size: sharpness alone would tell variants of different sizes apart.
        longer = min(max(trial.left.width, trial.left.height), max(trial.right.width, trial.right.height), _OUTPUT_PX)
        places = {"left": (trial.left, longer), "right": (trial.right, longer), "content": (trial.pair.content, None)}
        places |= {f"style{number}": (style, None) for number, style in enumerate(trial.pair.styles)}
        if place not in places:
            return None
        picture, size = places[place]
        return self._draw(picture, size or min(max(picture.width, picture.height), _REFERENCE_PX))

    def _draw(self, picture: StudyPicture, longer: int) -> bytes:
        """PNG with that longer side, drawn once and kept for a while."""
        from impasto.images import encode, fit_size, read, resize

        key = picture.sha256, longer
        with self._drawing:
            if key not in self._drawn:
                pixels = read(self._folder / picture.path)
                if pixels.sha256 != picture.sha256:
                    raise InputError(f"{picture.path} was changed while the study runs; restore it")
                small = resize(pixels.pixels, *fit_size(pixels.height, pixels.width, longer))
                while len(self._drawn) >= _CACHED:
                    del self._drawn[next(iter(self._drawn))]
                self._drawn[key] = encode(pixels.with_pixels(small), ".png")
            return self._drawn[key]


def _told(name: str, shown: _Shown) -> dict[str, object]:
    """What the page may know of a trial: neither the variants nor whether it is an attention trial."""
    question, styles = shown.trial.question, len(shown.trial.pair.styles)
    return {"id": name, "question": question, "styles": styles, "done": shown.done}


class _Server(LocalServer):
    """Serves one study."""

    def __init__(self, page: StudyPage) -> None:
        self.page = page
        super().__init__(_Handler, page.secret)

    def warn(self, error: BaseException) -> None:
        """The study goes on; the rater's page says that something failed."""
        logger.warning(f"the page of the study could not answer: {one_line(error)}")


class _Handler(LocalHandler):
    """Answers one request."""

    server: _Server

    def do_GET(self) -> None:  # noqa: N802 — http.server's name
        """The page, or a picture of a trial."""
        path = self.asked_path()
        if path is None:
            return
        match path.split("/"):
            case ["", ""]:
                self.send_page("study.html")
            case ["", "picture", name, place]:
                self._send_picture(name, place)
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def _send_picture(self, name: str, place: str) -> None:
        try:
            data = self.server.page.picture(name, place)
        except (ImpastoError, MemoryError, RuntimeError) as error:  # PyTorch's errors are RuntimeErrors
            self.server.warn(error)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        if data is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self.begin(HTTPStatus.OK, "image/png")
            self.wfile.write(data)

    def do_POST(self) -> None:  # noqa: N802 — http.server's name
        """Somebody joins or has chosen; the token proves that the page itself asks."""
        body = self._body()  # read in any case: a connection closed before that would lose the answer
        path = self.asked_path()
        if path is None:
            return
        if path not in ("/join", "/choose"):
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.has_token():
            try:
                if path == "/join":
                    answer: Mapping[str, object] | None = self.server.page.join(Joining.model_validate_json(body).rater)
                else:
                    answer = self.server.page.choose(Choice.model_validate_json(body))
            except ValidationError:
                self.send_error(HTTPStatus.BAD_REQUEST, explain="this is not what the page sends")
            except ValueError as error:
                self.send_error(HTTPStatus.BAD_REQUEST, explain=str(error))
            except OSError as error:
                self.server.warn(error)
                self.send_error(HTTPStatus.INSUFFICIENT_STORAGE, explain="the choice could not be kept")
            else:
                self._send_json(answer)

    def _body(self) -> bytes:
        """What was sent; nothing if that is more than the page ever sends."""
        text = self.headers.get("Content-Length", "")
        length = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        return self.rfile.read(length) if length <= _MAX_BODY else b""

    def _send_json(self, answer: Mapping[str, object] | None) -> None:
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain="there is no such trial")
        else:
            self.begin(HTTPStatus.OK, "application/json")
            self.wfile.write(json.dumps(answer).encode())
