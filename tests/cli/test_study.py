"""`impasto study` from the first word to the result: the page's real server, raters made of requests, votes on disk."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import impasto
from impasto.cli.study import study_app
from impasto.cli.study_page import StudyPage
from impasto.errors import ImpastoError, InputError
from impasto.evaluation.study import ATTENTION_TRIALS, Study, load_study, read_votes, session, votes_file
from impasto.images import read, read_metadata, write
from impasto.recipe import Recipe

SOURCE = str(Path(impasto.__file__).parents[1])
PAIRS = 6


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two variants of six pairs, and the manifest."""
    monkeypatch.chdir(tmp_path)
    rows = ["output,content,style"]
    for seed, name in enumerate(["content0", "content1", "style0", "style1"]):
        paint(tmp_path / f"{name}.png", seed)
    for number in range(PAIRS):
        rows.append(f"plain/{number}.png,content{number % 2}.png,style{number // 2 % 2}.png")
        for index, variant in enumerate(("plain", "fancy")):
            paint(tmp_path / variant / f"{number}.png", 10 * (index + 1) + number, width=24 * (index + 1))
    Path("manifest.csv").write_text("\n".join(rows))
    return tmp_path


def paint(path: Path, seed: int, *, width: int = 24) -> None:
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (2 * width // 3, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def study(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``impasto study`` with these words."""
    outcome = CliRunner().invoke(study_app, words)
    if isinstance(outcome.exception, ImpastoError):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout, outcome.stderr


def begin(*words: str) -> Study:
    """A new study in ``st``."""
    code, _, _ = study("new", "st", "plain", "fancy", "--manifest", "manifest.csv", *words)
    assert code == 0
    return load_study(Path("st"))


class Browser:
    """Asks as the page does."""

    def __init__(self, page: StudyPage) -> None:
        self.page = page

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"X-Impasto-Token": self.page.secret} | {name.replace("_", "-"): text for name, text in headers.items()}
        request = urllib.request.Request(self.page.address + path, data, given)  # noqa: S310 — our own server
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def send(self, path: str, body: object) -> dict[str, object]:
        status, _, data = self.ask(path, body)
        assert status == 200, data
        return json.loads(data)

    def join(self, rater: str) -> dict[str, list[dict[str, object]]]:
        return self.send("/join", {"rater": rater})

    def choose(self, trial: object, choice: str = "left", ms: int = 4000) -> dict[str, object]:
        return self.send("/choose", {"trial": trial, "choice": choice, "ms": ms})

    def picture(self, trial: object, where: str) -> Image.Image:
        status, headers, data = self.ask(f"/picture/{trial}/{where}")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        with Image.open(BytesIO(data)) as image:
            image.load()
            return image


@pytest.fixture
def browser(place: Path) -> Iterator[Browser]:
    """A study that is being served."""
    with StudyPage(begin("--votes", "12"), Path("st")) as page:
        yield Browser(page)


def answers(page: StudyPage, rater: str, prefer: str) -> Callable[[int], str]:
    """What a rater with a preferred variant chooses in each trial, attention trials rightly: by looking behind."""
    trials = session(page.study, rater, {"ann": 0, "bob": 1}[rater])
    index = page.study.variants.index(prefer)

    def choose(order: int) -> str:
        trial = trials[order]
        return trial.answer or ("left" if trial.left == trial.pair.outputs[index] else "right")

    return choose


def test_two_raters_vote_and_the_result_says_so(place: Path) -> None:
    protocol = begin("--votes", "12")
    assert protocol.variants == ("plain", "fancy")
    code, text, _ = study("result", "st")
    assert code == 3
    assert "needs 12 valid votes, has 0; 12 are missing" in text
    with StudyPage(protocol, Path("st")) as page:
        browser = Browser(page)
        for rater in ("ann", "bob"):
            choose = answers(page, rater, "fancy")
            joined = browser.join(rater)
            assert len(joined["examples"]) == 2
            assert len(joined["trials"]) == PAIRS * 3 + ATTENTION_TRIALS
            for order, trial in enumerate(joined["trials"]):
                assert browser.choose(trial["id"], choose(order)) == {"kept": True}
            assert study("result", "st")[0] == (3 if rater == "ann" else 0)
    code, text, _ = study("result", "st")
    assert code == 0
    assert text.count("fancy is better than plain") == 3
    code, text, stderr = study("result", "st", "--json")
    result = json.loads(text)
    assert (code, stderr, result["complete"]) == (0, "", True)
    assert [(rater["rater"], rater["kept"], rater["right"]) for rater in result["raters"]] == [
        ("ann", True, 6),
        ("bob", True, 6),
    ]
    for question in result["questions"]:
        (comparison,) = question["comparisons"]
        assert (comparison["wins"], comparison["votes"], comparison["outcome"]) == (0, 12, "second")
        assert question["kappa"] == 1.0
        assert question["shared_trials"] == PAIRS
        assert question["missing"] == 0
    votes = read_votes(Path("st")).votes
    hashes = {picture.sha256 for pair in protocol.pairs for picture in (*pair.outputs, *pair.styles, pair.content)}
    assert {vote.left for vote in votes} | {vote.right for vote in votes} <= hashes
    assert [vote.order for vote in votes if vote.rater == "bob"] == list(range(PAIRS * 3 + ATTENTION_TRIALS))
    with pytest.raises(InputError, match="has votes already"):
        begin()


def test_new_says_what_so_many_votes_can_show(place: Path) -> None:
    code, _, text = study("new", "st", "plain", "fancy", "--manifest", "manifest.csv", "--question", "overall")
    assert code == 0
    assert "2 variants (plain, fancy), 6 pairs, 1 comparison, 1 question; a rater sees 12 trials, and 34 raters" in text
    assert "0.55 → 783" in text
    assert "6 pairs tell little" in text
    _, _, text = study("new", "st", "plain", "fancy", "--manifest", "manifest.csv", "--votes", "1")
    assert "2 raters or more" in text  # one rater's taste is no verdict, however few votes it takes
    assert study("run", "--help")[0] == 0


def test_page_never_says_which_variant_it_shows(browser: Browser) -> None:
    _, headers, page = browser.ask("/")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert b"{{" not in page
    _, _, joined = browser.ask("/join", {"rater": "ann"})
    for word in (
        "plain",
        "fancy",
        ".png",
        "attention",
        "answer",
        *(p.sha256 for p in browser.page.study.pairs[0].outputs),
    ):
        assert word.encode() not in joined, word
    trials = json.loads(joined)["trials"]
    assert {tuple(trial) for trial in trials} == {("id", "question", "styles", "done")}
    assert len({trial["id"] for trial in trials}) == len(trials)
    for trial in trials:
        left, right = browser.picture(trial["id"], "left"), browser.picture(trial["id"], "right")
        # Variant "fancy" has twice the size of "plain", which nobody may see. (A content is as small as "plain".)
        assert left.size == right.size
        assert browser.picture(trial["id"], "content").size == (24, 16)
        assert browser.picture(trial["id"], "style0").size == (24, 16)
    again = json.loads(browser.ask("/join", {"rater": " ANN "})[2])
    assert again["trials"] == trials
    other = json.loads(browser.ask("/join", {"rater": "bob"})[2])
    assert not {trial["id"] for trial in other["trials"]} & {trial["id"] for trial in trials}


def test_page_shows_the_very_pictures_of_the_trial(browser: Browser, place: Path) -> None:
    pairs = {pair.name: pair for pair in browser.page.study.pairs}
    joined = browser.join("ann")["trials"]
    for told, trial in zip(joined, session(browser.page.study, "ann", 0), strict=True):
        assert told["question"] == trial.question
        with Image.open(place / "st" / pairs[trial.pair.name].content.path) as content:
            assert browser.picture(told["id"], "content").convert("RGB").tobytes() == content.tobytes()
        for side, picture in (("left", trial.left), ("right", trial.right)):
            if picture.width == 24:
                with Image.open(place / "st" / picture.path) as image:
                    assert browser.picture(told["id"], side).convert("RGB").tobytes() == image.tobytes()


def test_recipes_say_what_outputs_were_made_of_and_never_reach_the_page(copy_of_finished: Path) -> None:
    text = read_metadata("out.png")
    assert text is not None
    recipe = Recipe.from_json(text)
    turned = recipe.model_copy(update={"content": recipe.styles[0], "styles": (recipe.content,)})
    picture = read("out.png")
    for shade, variant in ((0.0, "one"), (0.1, "two")):
        Path(variant).mkdir()
        for number, made_of in enumerate((recipe, turned, recipe)):
            pixels = (picture.pixels + shade + number / 50).clamp(0.0, 1.0)
            write(picture.with_pixels(pixels), f"{variant}/{number}.png", metadata=made_of.to_json())
    with pytest.raises(InputError, match=r"not known: 0\.png: the recipe names 'content\.png'.* not found"):
        study("new", "st", "one", "two")
    assert study("new", "st", "one", "two", "--inputs", ".")[0] == 0
    protocol = load_study(Path("st"))
    assert [pair.style_name for pair in protocol.pairs] == ["style", "content", "style"]
    with StudyPage(protocol, Path("st")) as page:
        browser = Browser(page)
        for trial in browser.join("ann")["trials"]:
            assert not any(browser.picture(trial["id"], side).text for side in ("left", "right"))
    write(picture, "two/2.png", metadata=turned.to_json())
    with pytest.raises(InputError, match=r"2\.png were not all made of the same content and style"):
        study("new", "other", "one", "two", "--inputs", ".")


def test_page_refuses_whoever_is_not_the_page(browser: Browser) -> None:
    trial = browser.join("ann")["trials"][0]["id"]
    body = {"trial": trial, "choice": "left", "ms": 1}
    for host in ("example.org", "127.0.0.1", "localhost:1"):
        assert browser.ask("/", Host=host)[0] == 403
        assert browser.ask(f"/picture/{trial}/left", Host=host)[0] == 403
        assert browser.ask("/choose", body, Host=host)[0] == 403
    for token in ("", "x", "\xe9" * 43):
        assert browser.ask("/choose", body, X_Impasto_Token=token)[0] == 403
        assert browser.ask("/join", {"rater": "bob"}, X_Impasto_Token=token)[0] == 403
    assert not read_votes(Path("st")).votes


def test_page_refuses_what_it_never_sends(browser: Browser) -> None:
    trial = browser.join("ann")["trials"][0]["id"]
    for path in ("/study.json", "/votes.jsonl", f"/picture/{trial}", f"/picture/{trial}/middle", "/picture/x/left"):
        assert browser.ask(path)[0] == 404, path
    for name in ("../../content0.png", "..%2f..%2fcontent0.png", "content0.png", "left/../../study.json"):
        assert browser.ask(f"/picture/{trial}/{name}")[0] == 404, name
    assert browser.ask("/picture", {})[0] == 404
    good = {"trial": trial, "choice": "left", "ms": 1}
    for change in (
        {"choice": "both"},
        {"choice": None},
        {"ms": -1},
        {"ms": "soon"},
        {"ms": 1e12},
        {"more": 1},
        {"trial": 5},
    ):
        assert browser.ask("/choose", good | change)[0] == 400, change
    for body in (b"", b"[", b"null", b"\xff", b"[" * 4000, b'{"trial":"' + b"x" * 9000 + b'"}'):
        assert browser.ask("/choose", body)[0] == 400, body[:20]
    assert browser.ask("/choose", good | {"trial": "unknown"})[0] == 404
    for name in ("", "   ", "x" * 41, "a\x1b[31m", "x" * 300):
        assert browser.ask("/join", {"rater": name})[0] == 400, name
    assert not read_votes(Path("st")).votes


@pytest.mark.parametrize(
    ("line", "host", "code"),
    [(b"/", "example.org", b"403"), (b"x", None, b"404"), (b"http://example.org/", None, b"404")],
)
def test_every_request_gets_exactly_one_answer(browser: Browser, line: bytes, host: str | None, code: bytes) -> None:
    port = int(browser.page.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (line, (host or f"localhost:{port}").encode()))
        answer = connection.makefile("rb").read()
    assert answer.split(b"\r\n")[0].split()[1] == code
    assert answer.count(b"HTTP/1.0") == 1


def test_choice_that_is_sent_again_counts_once(browser: Browser) -> None:
    trial = browser.join("ann")["trials"][0]["id"]
    for choice in ("left", "left", "right"):
        assert browser.choose(trial, choice) == {"kept": True}
    assert [vote.choice for vote in read_votes(Path("st")).votes] == ["left"]
    assert len(votes_file(Path("st")).read_text().splitlines()) == 1


def test_examples_give_feedback_and_are_not_kept(browser: Browser) -> None:
    for example in browser.join("ann")["examples"]:
        told = [browser.choose(example["id"], side) for side in ("left", "right")]
        assert {answer["right"] for answer in told} == {True, False}
        assert told[0]["answer"] == told[1]["answer"]
        assert told[0]["reason"]
    assert not read_votes(Path("st")).votes


def test_rater_goes_on_after_everything_was_ended_and_a_vote_was_cut_off(place: Path) -> None:
    protocol = begin("--votes", "12")
    with StudyPage(protocol, Path("st")) as page:
        browser = Browser(page)
        browser.join("idle")  # looks, and leaves without a vote
        first = browser.join("ann")["trials"]
        for trial in first[:5]:
            browser.choose(trial["id"], "right")
    path = votes_file(Path("st"))
    path.write_bytes(path.read_bytes()[:-40])
    with StudyPage(protocol, Path("st")) as page:
        browser = Browser(page)
        second = browser.join("Ann")["trials"]
        assert [trial["question"] for trial in second] == [trial["question"] for trial in first]
        assert [trial["done"] for trial in second] == [order < 4 for order in range(len(second))]
        browser.choose(second[4]["id"], "left")
        assert browser.ask("/choose", {"trial": first[6]["id"], "choice": "left", "ms": 1})[0] == 404
        browser.choose(browser.join("bob")["trials"][0]["id"])
    record = read_votes(Path("st"))
    assert record.damaged == (5,)
    assert [vote.choice for vote in record.votes] == ["right"] * 4 + ["left"] * 2
    assert {vote.rater: vote.block for vote in record.votes} == {"ann": 1, "bob": 0}
    code, _, stderr = study("result", "st")
    assert code == 3
    assert "damaged and left out: 5" in stderr


def test_page_is_not_served_with_other_pictures_than_the_protocols(place: Path) -> None:
    protocol = begin()
    with StudyPage(protocol, Path("st")) as page:
        with pytest.raises(InputError, match="being collected already"):
            StudyPage(protocol, Path("st")).__enter__()
        browser = Browser(page)
        trial = browser.join("ann")["trials"][0]["id"]
        for variant in ("plain", "fancy"):
            for number in range(PAIRS):
                paint(place / variant / f"{number}.png", 99)
        content = browser.picture(trial, "content")
        assert content.size == (24, 16)
        statuses = {browser.ask(f"/picture/{trial}/{side}")[0] for side in ("left", "right")}
        assert 500 in statuses
    with pytest.raises(InputError, match=r"fancy/0\.png and 11 others is not the picture it was"):
        StudyPage(protocol, Path("st")).__enter__()
    for variant in ("plain", "fancy"):
        for number in range(PAIRS):
            (place / variant / f"{number}.png").unlink()
    with pytest.raises(InputError, match="is not the picture it was"):
        StudyPage(protocol, Path("st")).__enter__()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_run_says_where_it_is_and_ends_well_with_ctrl_c(place: Path) -> None:
    begin()
    program = "from impasto.cli.study import study_app; study_app()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "run", "st"], stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": SOURCE}
    ) as process:
        assert process.stderr is not None
        address = re.match(r"the study is at (http://127\.0\.0\.1:\d+);", process.stderr.readline())
        assert address
        with urllib.request.urlopen(address[1], timeout=30) as page:  # noqa: S310
            assert b"Which of two pictures?" in page.read()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()  # or the block would wait for ever
        assert "0 votes of 0 raters are in st/votes.jsonl" in process.stderr.read()


def test_study_that_is_being_shown_is_not_made_anew(place: Path) -> None:
    begin()
    before = Path("st/study.json").read_bytes()
    with StudyPage(load_study(Path("st")), Path("st")), pytest.raises(InputError, match="being shown to people"):
        begin()
    assert Path("st/study.json").read_bytes() == before
