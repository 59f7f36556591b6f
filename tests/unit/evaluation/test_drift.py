"""Drift is seen where there is some, soon, and rarely where there is none."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from impasto.errors import InputError
from impasto.evaluation.charts import EwmaAlarm, ewma, ewma_alarm, psi, rate_change
from impasto.evaluation.drift import MIN_RECENT, MIN_REFERENCE, DriftReport, drift
from impasto.evaluation.quality_log import NamedFile, QualityRow

METRICS = 8
Stream = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Metrics that hang together, as real ones do."""
    return 0.6 * rng.standard_normal((rows, 1)) + 0.8 * rng.standard_normal((rows, METRICS))


def awkward(rng: np.random.Generator, rows: int) -> np.ndarray:
    """The same with skew, heavy tails, many zeros and few different values."""
    values = normal(rng, rows)
    values[:, 1:3] = np.exp(values[:, 1:3])
    values[:, 3] = rng.standard_t(2, rows)
    values[:, 4:6] = np.maximum(values[:, 4:6] - 0.8, 0)
    values[:, 6] = np.round(values[:, 6])
    values[:, 7] = 0.25
    return values


def rows_of(values: np.ndarray, rng: np.random.Generator, share_ok: float = 0.9, engine: str = "e") -> list[QualityRow]:
    outcomes = rng.choice(["ok", "review", "reject"], len(values), p=[share_ok, (1 - share_ok) / 2, (1 - share_ok) / 2])
    return [
        QualityRow(
            output_sha256="",
            engine=engine,
            impasto="0",
            settings={},
            content=NamedFile("c", ""),
            styles=(),
            outcome=outcome,
            values={f"m{number}": float(value) for number, value in enumerate(row) if not math.isnan(value)},
        )
        for row, outcome in zip(values, outcomes.tolist(), strict=True)
    ]


def compared(
    seed: int, stream: Stream, change: Callable[[np.ndarray], None], reference: int = 200, recent: int = 50
) -> DriftReport:
    """The report on recent rows that ``change`` was done to."""
    rng = np.random.default_rng(seed)
    then, now = stream(rng, reference), stream(rng, recent)
    change(now)
    return drift(rows_of(then, rng), rows_of(now, rng))


def nothing(values: np.ndarray) -> None:
    pass


@pytest.mark.parametrize(("stream", "reference", "recent"), [(normal, 100, 50), (awkward, 60, 20)])
def test_no_false_alarm_in_95_of_100(stream: Stream, reference: int, recent: int) -> None:
    quiet = [compared(seed, stream, nothing, reference, recent).outcome == "ok" for seed in range(100)]
    assert sum(quiet) >= 95


@pytest.mark.parametrize("stream", [normal, awkward])
@pytest.mark.parametrize("sigmas", [-1.0, 1.0])
def test_a_shift_of_one_sigma_in_one_metric_is_caught_within_50_rows(stream: Stream, sigmas: float) -> None:
    def shift(values: np.ndarray) -> None:
        values[:, 0] += sigmas

    reports = [compared(seed, stream, shift) for seed in range(20)]
    caught = [{found.name: found for found in report.metrics}["m0"] for report in reports]
    assert sum(found.drifted for found in caught) >= 18
    alarms = [found.alarm for found in caught if found.alarm]
    assert len(alarms) >= 16
    assert {alarm.direction for alarm in alarms} == {"up" if sigmas > 0 else "down"}
    assert np.median([alarm.row for alarm in alarms]) < 30


def test_a_shift_of_two_sigma_is_caught_within_25_rows() -> None:
    def shift(values: np.ndarray) -> None:
        values[:, 0] += 2

    for seed in range(20):
        first = compared(seed, normal, shift).metrics[0]
        assert first.name == "m0"
        assert first.alarm is not None
        assert first.alarm.row < 25


def test_another_spread_around_the_same_middle_shows_in_the_index() -> None:
    def widen(values: np.ndarray) -> None:
        values[:, 0] *= 3

    report = compared(0, normal, widen, 300, 150)
    assert report.metrics[0].name == "m0"
    assert report.metrics[0].alarm is None
    assert report.metrics[0].psi > report.metrics[0].psi_limit
    assert "spread differently" in report.reasons[0]


def test_a_metric_that_never_varied_and_now_does_is_caught() -> None:
    def stir(values: np.ndarray) -> None:
        values[::2, 7] = 0.2  # below what it always was

    assert compared(1, awkward, nothing).outcome == "ok"
    assert [found.name for found in compared(1, awkward, stir).metrics if found.drifted] == ["m7"]


def test_the_row_of_an_alarm_counts_rows_without_a_value() -> None:
    def shift(values: np.ndarray) -> None:
        values[:, 0] += 4
        values[:30, 0] = math.nan

    alarm = compared(0, normal, shift, recent=60).metrics[0].alarm
    assert alarm is not None
    assert alarm.row >= 30


def test_more_rejects_are_seen_without_any_metric() -> None:
    rng = np.random.default_rng(0)
    report = drift(rows_of(normal(rng, 200), rng, 0.95), rows_of(normal(rng, 100), rng, 0.5))
    rates = {rate.name: rate for rate in report.rates}
    assert rates["not ok"].drifted
    assert rates["not ok"].low <= rates["not ok"].now - rates["not ok"].then <= rates["not ok"].high
    assert any("more than chance explains" in reason for reason in report.reasons)


def test_a_metric_missing_in_one_window_is_named_and_left_out() -> None:
    rng = np.random.default_rng(0)
    then, now = normal(rng, 100), normal(rng, 50)
    now[:, 3] = math.nan
    then[:-10, 5] = math.nan
    report = drift(rows_of(then, rng), rows_of(now, rng))
    assert {found.name for found in report.metrics} == {f"m{number}" for number in range(METRICS)} - {"m3", "m5"}
    assert [reason.split(":")[0] for reason in report.ignored] == ["m3", "m5"]


def test_values_that_are_not_finite_do_not_count() -> None:
    def spoil(values: np.ndarray) -> None:
        values[:30, 0] = math.inf

    report = compared(0, normal, spoil)
    assert report.outcome == "ok"
    assert all(math.isfinite(found.median_now) for found in report.metrics)


def test_rows_without_metrics_are_compared_by_their_rates() -> None:
    rng = np.random.default_rng(0)
    report = drift(rows_of(np.empty((60, 0)), rng), rows_of(np.empty((30, 0)), rng))
    assert (report.outcome, report.metrics) == ("ok", ())


@pytest.mark.parametrize(
    ("then", "now", "needed"), [(MIN_REFERENCE - 1, 50, MIN_REFERENCE), (100, MIN_RECENT - 1, MIN_RECENT)]
)
def test_a_window_that_is_too_small_is_refused_with_what_is_needed(then: int, now: int, needed: int) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=f"at least {needed} are needed"):
        drift(rows_of(normal(rng, then), rng), rows_of(normal(rng, now), rng))


def test_several_engines_are_refused_by_name() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="fast, optimize"):
        drift(rows_of(normal(rng, 60), rng, engine="optimize"), rows_of(normal(rng, 30), rng, engine="fast"))


def test_the_same_rows_and_seed_give_the_same_report() -> None:
    assert compared(3, normal, nothing) == compared(3, normal, nothing)


def test_psi_does_not_see_a_change_of_scale_or_order() -> None:
    rng = np.random.default_rng(0)
    then, now = rng.standard_normal(500), rng.standard_normal(300) + 0.5
    assert psi(then, now) == pytest.approx(psi(np.exp(then), np.exp(rng.permutation(now))), abs=1e-12)


def test_psi_of_a_known_shift_is_the_symmetrised_divergence() -> None:
    # Of two normal distributions a distance d apart it is d² for infinitely fine bins; coarser ones see a little less.
    then = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert psi(then, then + 0.5, bins=50) == pytest.approx(0.25, rel=0.1)
    assert psi(then, then) == 0


def test_psi_sees_values_on_either_side_of_one_that_never_varied() -> None:
    always = np.full(100, 0.5)
    assert psi(always, always) < 0.05
    assert min(psi(always, always - 1e-9), psi(always, always + 1e-9)) > 1


def test_ewma_is_standard_normal_at_every_row_while_all_is_well() -> None:
    found = ewma(np.random.default_rng(0).normal(3, 2, (20_000, 40)), center=np.full(20_000, 3), sigma=2)
    assert np.abs(found.mean(0)).max() < 0.03
    assert np.abs(found.std(0) - 1).max() < 0.03


def test_ewma_at_the_textbook_limit_alarms_once_in_500_rows() -> None:
    values = np.random.default_rng(0).standard_normal((400, 4000))
    alarms = [ewma_alarm(row, limit=2.814) for row in ewma(values, center=0, sigma=1, weight=0.1)]
    lengths = [alarm.row + 1 if alarm else 4000 for alarm in alarms]
    assert 430 < np.mean(lengths) < 570  # Lucas and Saccucci 1990, table 3


def test_ewma_alarm_says_where_and_whither() -> None:
    assert ewma_alarm([0, -1, 2.9, -3.1, 5], limit=3) == EwmaAlarm(3, "down")
    assert ewma_alarm([0, 1, 2], limit=3) is None


def test_the_interval_of_a_rate_change_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        low, high = rate_change((int(rng.binomial(80, 0.1)), 80), (int(rng.binomial(40, 0.3)), 40), confidence=0.9)
        covered += low <= 0.2 <= high
    assert covered >= 440
