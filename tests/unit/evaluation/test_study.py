"""Studies: a frozen protocol, balanced trials, raters who are checked, votes that survive, and honest verdicts."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.errors import InputError, SettingsError
from impasto.evaluation.study import (
    ATTENTION_TRIALS,
    QUESTIONS,
    Question,
    Study,
    Trial,
    Vote,
    VoteLog,
    VoteRecord,
    analyse,
    bradley_terry,
    changed_pictures,
    create_study,
    detectable_rate,
    examples,
    load_study,
    read_votes,
    session,
    votes_file,
    votes_needed,
)
from impasto.evaluation.study.bradley_terry import fleiss_kappa

CONTENTS, STYLES = 4, 3

Make = Callable[..., Study]


def paint(path: Path, seed: int, *, width: int = 24, height: int = 16) -> Path:
    """A picture of its own for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def set_up(place: Path, variants: str, pairs: int) -> list[Path]:
    """Folders of outputs, and the manifest that says what they were made of."""
    for number in range(CONTENTS):
        paint(place / f"content{number}.png", 100 + number)
    for number in range(STYLES):
        paint(place / f"style{number}.png", 200 + number, width=20)
    rows = ["output,content,style"]
    for number in range(pairs):
        rows.append(f"a/{number}.png,content{number % CONTENTS}.png,style{number % STYLES}.png")
        for index, variant in enumerate(variants):
            paint(place / variant / f"{number}.png", 1000 * (index + 1) + number)
    (place / "manifest.csv").write_text("\n".join(rows))
    return [place / variant for variant in variants]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a study of so many variants and pairs."""

    def create(variants: str = "ab", pairs: int = 6, **options: object) -> Study:
        folders = set_up(tmp_path, variants, pairs)
        return create_study(tmp_path / "study", folders, manifest=tmp_path / "manifest.csv", **options)

    return create


def vote(study: Study, trial: Trial, rater: str, choice: str, *, order: int = 0, ms: int = 5000) -> Vote:
    """A vote on a trial."""
    return Vote(
        protocol=study.digest,
        rater=rater,
        block=0,
        when=datetime(2026, 1, 2, tzinfo=UTC),
        order=order,
        ms=ms,
        question=trial.question,
        pair=trial.pair.name,
        left=trial.left.sha256,
        right=trial.right.sha256,
        choice=choice,
        answer=trial.answer,
    )


def whole(
    study: Study, rater: str, block: int, prefer: Callable[[Trial], str], *, wrong: int = 0, ms: int = 5000
) -> list[Vote]:
    """A rater's session, with so many attention trials wrong."""
    votes = []
    for order, trial in enumerate(session(study, rater, block)):
        choice = prefer(trial)
        if trial.answer:
            wrong -= 1
            choice = trial.answer if wrong < 0 else {"left": "right", "right": "left"}[trial.answer]
        votes.append(vote(study, trial, rater, choice, order=order, ms=ms))
    return votes


def prefer_first(trial: Trial) -> str:
    """The side of the first variant."""
    return "left" if trial.left == trial.pair.outputs[0] else "right"


def counted(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.answer is None]


# The protocol


def test_protocol_names_every_picture_by_its_hash_and_comes_back(make: Make, tmp_path: Path) -> None:
    study = make("abc", votes=30, seed=5)
    assert load_study(tmp_path / "study") == study
    assert study.variants == ("a", "b", "c")
    assert study.questions == QUESTIONS
    assert [pair.name for pair in study.pairs] == [f"{number}.png" for number in range(6)]
    fourth = study.pairs[4]
    assert fourth.content == study.pairs[0].content  # both are of content0
    assert fourth.style_name == "style1"
    assert not changed_pictures(study, tmp_path / "study")
    paint(tmp_path / "b" / "4.png", 7)
    (tmp_path / "content1.png").unlink()
    assert changed_pictures(study, tmp_path / "study") == ["../b/4.png", "../content1.png"]


def test_protocol_with_votes_is_never_written_again(make: Make, tmp_path: Path) -> None:
    study = make()
    assert make(votes=7).votes == 7  # nobody has voted yet
    study = load_study(tmp_path / "study")
    with VoteLog(tmp_path / "study") as log:
        with pytest.raises(InputError, match="being shown to people"):
            make(votes=8)
        log.append(vote(study, session(study, "ann", 0)[0], "ann", "left"))
    before = (tmp_path / "study" / "study.json").read_bytes()
    with pytest.raises(InputError, match="has votes already"):
        make(votes=1)
    assert (tmp_path / "study" / "study.json").read_bytes() == before


def test_protocol_needs_what_is_in_every_folder(make: Make, tmp_path: Path) -> None:
    make()
    (tmp_path / "b" / "0.png").unlink()
    folders = [tmp_path / "a", tmp_path / "b"]
    options = {"manifest": tmp_path / "manifest.csv"}
    study = create_study(tmp_path / "other", folders, **options)
    assert [pair.name for pair in study.pairs] == ["1.png", "2.png", "3.png", "4.png", "5.png"]
    for number in (1, 2, 3):
        (tmp_path / "a" / f"{number}.png").unlink()
    with pytest.raises(InputError, match=r"only 2 file names .* 3 pairs"):
        create_study(tmp_path / "other", folders, **options)


def test_protocol_refuses_what_nobody_could_judge(make: Make, tmp_path: Path) -> None:
    make()
    folders = [tmp_path / "a", tmp_path / "b"]

    def again(**options: object) -> Study:
        return create_study(tmp_path / "other", folders, **{"manifest": tmp_path / "manifest.csv", **options})

    with pytest.raises(InputError, match="at least 2 variants"):
        create_study(tmp_path / "other", folders[:1])
    with pytest.raises(InputError, match="not all different"):
        create_study(tmp_path / "other", [folders[0], folders[0]])
    with pytest.raises(InputError, match="is no folder"):
        create_study(tmp_path / "other", [folders[0], tmp_path / "nothing"])
    with pytest.raises(SettingsError, match="margin is 0"):
        again(margin=0.0)
    with pytest.raises(SettingsError, match="votes is 0"):
        again(votes=0)
    with pytest.raises(SettingsError, match="once"):
        again(questions=("style", "style"))
    with pytest.raises(SettingsError, match="questions are beauty"):
        again(questions=("beauty",))
    with pytest.raises(SettingsError, match="from 3 to 6"):
        again(trials=7)
    with pytest.raises(InputError, match=r"not known: .*holds no recipe"):
        again(manifest=None)
    paint(tmp_path / "b" / "3.png", 9, width=16, height=24)
    with pytest.raises(InputError, match="24x16 px in a and 16x24 px in b"):
        again()
    (tmp_path / "b" / "3.png").write_bytes((tmp_path / "a" / "3.png").read_bytes())
    with pytest.raises(InputError, match="the same file in a and b"):
        again()
    rows = ["output,content,style", *(f"{number}.png,content0.png,style0.png" for number in range(3))]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    for number in (3, 4, 5):
        (tmp_path / "b" / f"{number}.png").unlink()
    with pytest.raises(InputError, match="all pairs have the same content and style"):
        again()
    assert not (tmp_path / "other").exists()


def test_protocol_refuses_pairs_that_were_not_made_of_the_same(make: Make, tmp_path: Path) -> None:
    make()
    with (tmp_path / "manifest.csv").open("a") as file:
        file.write("\nb/2.png,content3.png,style2.png")
    with pytest.raises(InputError, match=r"2\.png were not all made of the same"):
        create_study(tmp_path / "other", [tmp_path / "a", tmp_path / "b"], manifest=tmp_path / "manifest.csv")


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"study": 2}'])
def test_damaged_protocol_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="there is no study"):
        load_study(tmp_path)
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(InputError, match="cannot be read as a study"):
        load_study(tmp_path)


def test_protocol_that_was_edited_into_one_without_attention_trials_is_refused(make: Make, tmp_path: Path) -> None:
    study = make()
    twins = tuple(pair.model_copy(update={"name": str(index)}) for index, pair in enumerate(study.pairs[:1] * 3))
    for pairs, reason in ((twins, "same content and style"), (study.pairs[:1] * 3, "same name")):
        (tmp_path / "study" / "study.json").write_text(study.model_copy(update={"pairs": pairs}).model_dump_json())
        with pytest.raises(InputError, match=reason):
            load_study(tmp_path / "study")


# The trials


@pytest.mark.parametrize(
    ("variants", "pairs", "trials"), [("ab", 6, None), ("abc", 5, 7), ("abcd", 8, 16), ("abc", 3, 3)]
)
def test_over_raters_every_comparison_comes_equally_often_within_every_pair(
    make: Make, variants: str, pairs: int, trials: int | None
) -> None:
    study = make(variants, pairs, trials=trials)
    everything = pairs * len(study.comparisons)
    seen: Counter[tuple[str, str, frozenset[str]]] = Counter()
    for block in range(everything):  # the ring comes round a whole number of times
        for trial in counted(session(study, f"rater {block}", block)):
            seen[trial.question, trial.pair.name, frozenset((trial.left.sha256, trial.right.sha256))] += 1
    assert len(seen) == everything * len(QUESTIONS)
    assert set(seen.values()) == {study.trials}


@pytest.mark.parametrize(
    ("variants", "pairs", "trials"), [("ab", 3, None), ("abc", 4, 5), ("abcd", 6, None), ("abc", 3, 3), ("ab", 5, 4)]
)
def test_a_rater_never_gets_the_same_twice_nor_a_pair_twice_in_a_row(
    make: Make, variants: str, pairs: int, trials: int | None
) -> None:
    study = make(variants, pairs, trials=trials)
    for block in range(20):
        mine = session(study, f"rater {block}", block)
        assert len(mine) == study.trials * len(QUESTIONS) + ATTENTION_TRIALS
        assert len({key for trial in mine for key in (trial.key, trial.swapped().key)}) == 2 * len(mine)
        assert all(before.pair.name != after.pair.name for before, after in pairwise(mine))
        questions = [trial.question for trial in mine]
        assert sum(before != after for before, after in pairwise(questions)) == len(QUESTIONS) - 1


def test_sides_and_order_are_the_raters_own_and_stay(make: Make) -> None:
    study = make("abc", 8)
    ann, bob = session(study, "ann", 0), session(study, "bob", 0)
    assert ann == session(study, "ann", 0)
    assert ann != bob

    def shown(trials: Iterable[Trial]) -> set[tuple[str, frozenset[str]]]:
        return {(trial.question, frozenset((trial.left.sha256, trial.right.sha256))) for trial in counted(trials)}

    assert shown(ann) == shown(bob)  # the same block
    for trials in (ann, bob):
        for question in QUESTIONS:
            on_left = [
                trial.pair.outputs.index(trial.left) < trial.pair.outputs.index(trial.right)
                for trial in counted(trials)
                if trial.question == question
            ]
            assert abs(2 * sum(on_left) - len(on_left)) <= 1


@pytest.mark.parametrize("questions", [("overall",), ("style",), ("content",), ("style", "content"), QUESTIONS])
def test_attention_trials_have_an_answer_that_the_pictures_give(make: Make, questions: tuple[Question, ...]) -> None:
    study = make("abc", 6, questions=questions)
    kinds = {
        picture.sha256: (index, pair.content.sha256, pair.style_key)
        for pair in study.pairs
        for index, picture in enumerate(pair.outputs)
    }
    for block in range(5):
        known = [trial for trial in session(study, f"rater {block}", block) if trial.answer]
        assert len(known) == ATTENTION_TRIALS
        assert {trial.question for trial in known} == set(questions)
        for trial in known:
            right, wrong = (trial.left, trial.right) if trial.answer == "left" else (trial.right, trial.left)
            if trial.question == "content":
                assert right == trial.pair.content
                assert wrong in trial.pair.outputs
                continue
            right_kind, wrong_kind = kinds[right.sha256], kinds[wrong.sha256]
            assert right in trial.pair.outputs
            assert right_kind[0] == wrong_kind[0]  # the same variant: it says nothing about which is better
            if trial.question == "style":
                assert right_kind[2] != wrong_kind[2]
            else:
                assert right_kind[1] != wrong_kind[1]
                assert right_kind[2] != wrong_kind[2]
    first, second = examples(study)
    assert (first.answer, second.answer) == ("left", "right")
    assert first.pair.name != second.pair.name


def test_attention_to_a_study_of_one_style_is_checked_with_the_style_itself(make: Make, tmp_path: Path) -> None:
    make(pairs=4)
    rows = ["output,content,style", *(f"{number}.png,content{number}.png,style0.png" for number in range(4))]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    study = create_study(tmp_path / "one", [tmp_path / "a", tmp_path / "b"], manifest=tmp_path / "manifest.csv")
    for trial in session(study, "ann", 0):
        if trial.answer and trial.question == "style":
            right, wrong = (trial.left, trial.right) if trial.answer == "left" else (trial.right, trial.left)
            assert (right, wrong) == (trial.pair.styles[0], trial.pair.content)


# The votes


def test_votes_come_back_and_a_line_cut_off_by_a_crash_takes_no_other_with_it(make: Make, tmp_path: Path) -> None:
    study = make()
    folder = tmp_path / "study"
    assert read_votes(folder) == VoteRecord()
    first, second, third = (vote(study, trial, "ann", "left") for trial in session(study, "ann", 0)[:3])
    with VoteLog(folder) as log:
        log.append(first)
        log.append(second)
    whole_file = votes_file(folder).read_bytes()
    for cut in range(1, len(second.model_dump_json())):
        votes_file(folder).write_bytes(whole_file[: -1 - cut])
        assert read_votes(folder) == VoteRecord((first,), (2,))
    with VoteLog(folder) as log:
        log.append(third)
        log.append(third)  # as if it had been sent twice
    assert read_votes(folder) == VoteRecord((first, third), (2,))
    line = json.loads(votes_file(folder).read_text().splitlines()[0])
    assert line["when"] == "2026-01-02T00:00:00Z"
    assert {"rater", "order", "ms", "question", "left", "right", "choice", "answer"} <= line.keys()


def test_votes_are_collected_by_one_process_at_a_time(make: Make, tmp_path: Path) -> None:
    make()
    with VoteLog(tmp_path / "study"), pytest.raises(InputError, match="being collected already"):
        VoteLog(tmp_path / "study").__enter__()
    with VoteLog(tmp_path / "study"):
        pass


# The analysis


def test_bradley_terry_finds_the_strengths_that_made_the_votes() -> None:
    rng = np.random.default_rng(3)
    truth = np.array([0.9, 0.3, -0.2, -1.0])
    wins = np.zeros((4, 4))
    for i in range(4):
        for j in range(i + 1, 4):
            wins[i, j] = rng.binomial(4000, 1 / (1 + np.exp(truth[j] - truth[i])))
            wins[j, i] = 4000 - wins[i, j]
    assert bradley_terry(wins) == pytest.approx(truth, abs=0.06)
    order = [2, 0, 3, 1]
    assert bradley_terry(wins[np.ix_(order, order)]) == pytest.approx(bradley_terry(wins)[order], abs=1e-6)
    both = bradley_terry(np.stack([wins, 2 * wins]))
    assert both[0] == pytest.approx(bradley_terry(wins))
    assert both[1] == pytest.approx(bradley_terry(2 * wins), abs=1e-6)


def test_bradley_terry_is_at_its_maximum() -> None:
    """The expected wins of each equal its wins, prior included: the likelihood's gradient is zero."""
    wins = np.random.default_rng(1).integers(0, 9, (5, 5)).astype(float)
    strengths = bradley_terry(wins, prior=0.5)
    padded = (wins + 0.5) * (1 - np.eye(5))
    expected = ((padded + padded.T) / (1 + np.exp(strengths[None] - strengths[:, None]))).sum(1)
    assert expected == pytest.approx(padded.sum(1), abs=1e-6)


def test_bradley_terry_of_a_clean_sweep_is_finite() -> None:
    strengths = bradley_terry(np.array([[0.0, 10.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    assert np.isfinite(strengths).all()
    assert strengths[0] > strengths[2] > strengths[1]
    assert bradley_terry(np.array([[0.0, 10.0], [0.0, 0.0]]))[0] * 2 == pytest.approx(np.log(21))
    with pytest.raises(ValueError, match="prior"):
        bradley_terry(np.zeros((2, 2)), prior=0.0)
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        bradley_terry(np.zeros((2, 3)))


def test_kappa_is_one_in_agreement_zero_by_chance_and_as_published() -> None:
    assert fleiss_kappa(np.array([[3, 0], [0, 2]])) == 1.0
    assert fleiss_kappa(np.array([[1, 0], [0, 1]])) is None
    assert fleiss_kappa(np.array([[2, 0], [2, 0]])) is None
    drawn = np.random.default_rng(0).binomial(5, 0.5, 20_000)
    assert fleiss_kappa(np.stack([drawn, 5 - drawn], axis=1)) == pytest.approx(0.0, abs=0.01)
    # Two raters, 10 of 12 alike, both with even shares: (10/12 - 1/2) / (1/2).
    counts = np.array([[2, 0]] * 5 + [[0, 2]] * 5 + [[1, 1]] * 2)
    assert fleiss_kappa(counts) == pytest.approx(2 / 3)


def test_result_below_the_number_of_votes_says_only_what_is_missing(make: Make) -> None:
    study = make(votes=13)
    votes = whole(study, "ann", 0, prefer_first) + whole(study, "bob", 1, prefer_first)
    result = analyse(study, VoteRecord(tuple(votes)))
    assert not result.complete
    for question in result.questions:
        assert (question.votes, question.needed, question.missing) == (12, 13, 1)
        assert question.verdict == "no verdict: needs 13 valid votes, has 12; 1 are missing"
        assert not question.strengths
        assert not question.comparisons
        assert not question.styles


def test_result_says_which_is_better_whatever_the_order_of_votes(make: Make) -> None:
    study = make("abc", 8, votes=100, questions=("overall",))
    rng = np.random.default_rng(0)

    def mostly_earlier(trial: Trial) -> str:
        if trial.answer:
            return trial.answer
        left_is_earlier = trial.pair.outputs.index(trial.left) < trial.pair.outputs.index(trial.right)
        return "left" if left_is_earlier == (rng.random() < 0.9) else "right"

    votes = [vote for number in range(6) for vote in whole(study, f"rater {number}", number, mostly_earlier)]
    result = analyse(study, VoteRecord(tuple(votes)))
    assert result.complete
    (overall,) = result.questions
    assert overall.votes == 6 * 24
    assert overall.verdict == "a is better than b and c"
    low, middle, high = overall.strengths["a"]
    assert low < middle < high
    assert middle > overall.strengths["b"][1] > overall.strengths["c"][1]
    for row in overall.comparisons:
        assert row.votes == 48
        assert row.wilson is not None
        assert row.wilson[0] < row.wins / 48 < row.wilson[1]
        assert row.interval[0] < row.win_rate < row.interval[1]
        assert row.outcome == "first"
    assert overall.kappa is not None
    assert 0.3 < overall.kappa < 1.0
    assert overall.shared_trials == 24
    assert {row.style for row in overall.styles} == {"style0", "style1", "style2"}
    assert sum(row.votes for row in overall.styles) == 2 * sum(row.wins for row in overall.styles) == 2 * 144
    shuffled = [votes[index] for index in rng.permutation(len(votes))]
    assert analyse(study, VoteRecord(tuple(shuffled))) == result


def test_result_of_a_clean_sweep_has_an_interval_and_takes_more_than_a_few_votes(make: Make) -> None:
    """Resampling it gives nothing but itself; what is known of it is as much as so many votes can tell."""
    study = make("ab", 3, votes=6, questions=("overall",))

    def sweep(raters: int) -> tuple[str, tuple[float, float]]:
        votes = [vote for number in range(raters) for vote in whole(study, str(number), 0, prefer_first)]
        (overall,) = analyse(study, VoteRecord(tuple(votes))).questions
        return overall.verdict, overall.comparisons[0].interval

    verdict, (low, high) = sweep(2)
    assert verdict == "no difference shown"
    assert low < 0.5 < high
    verdict, (low, high) = sweep(20)
    assert verdict == "a is better than b"
    assert 0.5 < low < 0.95 < high < 1.0


def test_result_is_never_the_taste_of_one_rater(make: Make) -> None:
    study = make("ab", 6, votes=6)
    result = analyse(study, VoteRecord(tuple(whole(study, "ann", 0, prefer_first))))
    assert not result.complete
    assert {question.missing for question in result.questions} == {0}
    assert {question.verdict for question in result.questions} == {"no verdict: needs valid votes of 2 raters, has 1"}


def test_result_knows_equal_from_open(make: Make) -> None:
    study = make("ab", 12, votes=12, questions=("style",), margin=0.2)

    def toss(trial: Trial) -> str:
        return "left"  # sides are balanced

    few = analyse(study, VoteRecord(tuple(whole(study, "ann", 0, toss) + whole(study, "bob", 0, toss))))
    assert few.questions[0].verdict == "no difference shown"
    many = [vote for number in range(40) for vote in whole(study, f"rater {number}", 0, toss)]
    found = analyse(study, VoteRecord(tuple(many)))
    assert found.questions[0].comparisons[0].outcome == "equal"
    assert found.questions[0].verdict == "no difference that matters: every win rate is within 0.2 of 1/2"


def test_verdict_of_three_says_what_is_equal_and_calls_nothing_open_that_is_not(make: Make) -> None:
    study = make("abc", 6, votes=6, questions=("style",), margin=0.2)

    def prefer_the_first_two(trial: Trial) -> str:
        last = trial.pair.outputs[2]
        return "right" if trial.left == last else "left"  # between the others by side, which is balanced

    raters = [(f"rater {number}", number) for number in range(60)]
    votes = [vote for name, block in raters for vote in whole(study, name, block, prefer_the_first_two)]
    (found,) = analyse(study, VoteRecord(tuple(votes))).questions
    assert found.verdict == ("a is better than c; b is better than c; a and b do not differ so that it matters")


def test_intervals_are_wider_where_raters_disagree_than_where_votes_do(make: Make) -> None:
    """The same number of wins: from raters who always choose the same, or from raters who choose by chance."""
    study = make("ab", 6, votes=6, questions=("style",))
    rng = np.random.default_rng(0)

    def toss(trial: Trial) -> str:
        return "left" if rng.random() < 0.5 else "right"

    def prefer_second(trial: Trial) -> str:
        return {"left": "right", "right": "left"}[prefer_first(trial)]

    def width(prefers: list[Callable[[Trial], str]]) -> float:
        votes = [vote for number, prefer in enumerate(prefers) for vote in whole(study, str(number), 0, prefer)]
        low, high = analyse(study, VoteRecord(tuple(votes))).questions[0].comparisons[0].interval
        return high - low

    assert width([prefer_first, prefer_second] * 5) > 1.3 * width([toss] * 10)


def test_raters_count_with_attention_and_time(make: Make) -> None:
    study = make("ab", 6, votes=1)
    votes = [
        *whole(study, "ann", 0, prefer_first, wrong=1, ms=6000),
        *whole(study, "bob", 0, prefer_first, wrong=2, ms=100),
        *whole(study, "cy", 0, prefer_first, ms=8000),
        *whole(study, "dot", 0, prefer_first, ms=2900),
        *whole(study, "eve", 0, prefer_first, ms=3100),
        *[vote for vote in whole(study, "flo", 0, prefer_first, ms=6000) if not vote.attention][:3],
    ]
    result = analyse(study, VoteRecord(tuple(votes)))
    found = {rater.rater: rater for rater in result.raters}
    assert [rater for rater, report in found.items() if report.kept] == ["ann", "cy", "dot", "eve"]
    assert found["bob"].reason == "2 attention trials wrong"
    assert found["flo"].reason == "0 of 6 attention trials so far"
    assert (found["ann"].right, found["ann"].attention, found["ann"].votes) == (5, 6, 18)
    # The group's median is 4.55 s, of those who paid attention; with one more slow rater it is 6 s.
    slower = analyse(study, VoteRecord((*votes, *whole(study, "gus", 0, prefer_first, ms=9000))))
    gone = {rater.rater: rater.reason for rater in slower.raters if rater.rater == "dot"}
    assert gone == {"dot": "median 2.9 s, below half the group's (6.0 s)"}
    assert slower.questions[0].votes == 4 * 6


def test_votes_under_another_protocol_or_on_other_pictures_do_not_count(make: Make) -> None:
    study = make(votes=1)
    votes = whole(study, "ann", 0, prefer_first)
    other = [vote.model_copy(update={"protocol": "0" * 16, "rater": "bob"}) for vote in votes]
    odd = next(vote for vote in votes if not vote.attention).model_copy(update={"left": "0" * 64})
    result = analyse(study, VoteRecord((*votes, *other, odd), (9,)))
    assert result.foreign == len(other) + 1
    assert result.damaged == (9,)
    assert [rater.rater for rater in result.raters] == ["ann"]
    assert [question.votes for question in result.questions] == [6, 6, 6]


def test_votes_needed_are_those_of_the_textbook() -> None:
    assert [votes_needed(rate) for rate in (0.55, 0.6, 0.65, 0.7)] == [783, 194, 85, 47]
    assert votes_needed(0.4) == votes_needed(0.6)
    assert votes_needed(0.6, per_pair=5) == pytest.approx(194 * 2.88, abs=2)
    with pytest.raises(ValueError, match="1/2"):
        votes_needed(0.5)
    for votes in (30, 200, 1000):
        rate = detectable_rate(votes)
        assert rate is not None
        assert votes_needed(rate) <= votes < votes_needed(rate - 0.01)
    assert detectable_rate(2) is None


def test_verdict_names_a_chance_finding_less_often_than_one_time_in_twenty(make: Make) -> None:
    """Votes by chance over three comparisons: the intervals must hold together."""
    study = make("abc", 8, votes=24, questions=("overall",))
    rng = np.random.default_rng(11)

    def toss(trial: Trial) -> str:
        return "left" if rng.random() < 0.5 else "right"

    found = 0
    for _ in range(40):
        votes = [vote for number in range(4) for vote in whole(study, str(number), number, toss)]
        verdict = analyse(study, VoteRecord(tuple(votes))).questions[0].verdict
        found += bool(re.search("better", verdict))
    assert found <= 3
