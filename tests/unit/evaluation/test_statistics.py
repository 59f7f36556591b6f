"""Paired results against figures that can be worked out by hand."""

import math

import numpy as np
import pytest

from impasto.evaluation.statistics import correct, holm, interval, paired, pairs_needed, spearman


def test_paired_all_higher_gives_the_smallest_p_there_is() -> None:
    found = paired([0.0] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], seed=0)
    assert (found.n, found.wins, found.ties, found.losses) == (6, 6, 0, 0)
    assert found.sign_p == found.wilcoxon_p == pytest.approx(2 / 2**6)
    assert found.median == pytest.approx(0.35)
    assert found.mean == pytest.approx(0.35)
    assert found.outcome == "better"


def test_paired_wilcoxon_p_is_that_of_the_signed_ranks() -> None:
    # Of the 2**6 equally likely signs, only "all positive" and "all but the smallest" are as extreme on this side.
    found = paired([0.0] * 6, [-1, 2, 3, 4, 5, 6], seed=0)
    assert found.wilcoxon_p == pytest.approx(2 * 2 / 2**6)
    assert found.sign_p == pytest.approx(2 * (1 + 6) / 2**6)


def test_paired_swapped_versions_give_the_opposite() -> None:
    draw = np.random.default_rng(3)
    a, b = draw.random(12), draw.random(12) + 0.5
    one, other = paired(a.tolist(), b.tolist(), seed=0), paired(b.tolist(), a.tolist(), seed=0)
    assert (one.outcome, other.outcome) == ("better", "worse")
    assert one.wilcoxon_p == other.wilcoxon_p
    assert one.median == pytest.approx(-other.median)
    assert (one.wins, one.losses) == (other.losses, other.wins)


@pytest.mark.parametrize(("better", "outcome"), [("higher", "better"), ("lower", "worse"), ("neither", "higher")])
def test_outcome_follows_the_direction(better: str, outcome: str) -> None:
    assert paired([0] * 7, [1, 2, 3, 4, 5, 6, 7], better=better, seed=0).outcome == outcome


def test_outcome_with_five_pairs_is_none() -> None:
    found = paired([0] * 5, [10, 11, 12, 13, 14], seed=0)
    assert found.outcome == "too few"
    assert found.verdict() == "too few pairs (5) for a verdict; at least 6 are needed"


def test_outcome_of_equal_values_is_identical_however_few() -> None:
    assert (
        paired([0.5, 0.25], [0.5, 0.25], seed=0).verdict("old", "new")
        == "old and new are identical in every pair, n = 2"
    )


def test_margin_makes_small_differences_ties_and_no_difference_an_outcome() -> None:
    small = [0.01, -0.01, 0.012, 0.009, -0.011, 0.01, 0.008, -0.009]
    found = paired([0.0] * 8, small, margin=0.05, seed=0)
    assert (found.wins, found.ties, found.losses) == (0, 8, 0)
    assert found.outcome == "equivalent"
    assert paired([0.0] * 8, [0.02] * 8, margin=0.05, seed=0).outcome == "equivalent"
    assert paired([0.0] * 8, [0.02] * 8, margin=0.01, seed=0).outcome == "better"


def test_pairs_without_a_number_are_left_out() -> None:
    found = paired([0, math.nan, 0, 0], [1, 1, math.inf, 1], seed=0)
    assert (found.n, found.wins) == (2, 2)


@pytest.mark.parametrize("count", [0, 1])
def test_no_interval_of_fewer_than_two(count: int) -> None:
    found = paired([0.0] * count, [1.0] * count, seed=0)
    assert found.median_interval is None
    assert found.mean_interval is None
    assert found.outcome == "too few"


def test_paired_of_different_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="a has 1 values and b 2"):
        paired([1], [1, 2], seed=0)


def test_interval_is_the_same_for_the_same_seed_and_narrows_with_more_pairs() -> None:
    values = np.random.default_rng(0).normal(size=400)
    few, many = interval(values[:20], seed=1), interval(values, seed=1)
    assert few == interval(values[:20], seed=1)
    assert few is not None
    assert many is not None
    assert many[1] - many[0] < (few[1] - few[0]) / 2
    assert many[0] < 0.1
    assert many[1] > -0.1


def test_interval_of_the_median_covers_it_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(5)
    hits = 0
    for _ in range(60):
        found = interval(draw.normal(2, 1, 15), seed=0)
        assert found is not None
        hits += found[0] <= 2 <= found[1]
    assert hits >= 51  # of 60 at 95 % that is three standard deviations below


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_correct_counts_only_what_was_tested() -> None:
    clear = paired([0] * 8, [1, 2, 3, 4, 5, 6, 7, 8], seed=0)
    few = paired([0] * 3, [1, 2, 3], seed=0)
    corrected = correct([clear, few, clear])
    assert [result.tests for result in corrected] == [2, 1, 2]
    assert corrected[0].p == pytest.approx(2 * clear.wilcoxon_p)
    assert corrected[1].outcome == "too few"


def test_correct_takes_a_verdict_back_and_says_how_many_pairs_are_needed() -> None:
    clear = paired([0] * 6, [1, 2, 3, 4, 5, 6], seed=0)
    assert clear.outcome == "better"
    corrected = correct([clear] * 5)[0]
    assert corrected.outcome == "undecided"
    assert corrected.verdict().endswith("for 5 tests at once at least 8 pairs are needed")


@pytest.mark.parametrize("tests", [1, 2, 3, 5, 12, 40])
def test_pairs_needed_is_where_the_smallest_p_first_passes(tests: int) -> None:
    needed = pairs_needed(tests)
    assert tests * 2 / 2**needed < 0.05 or needed == 6
    assert tests * 2 / 2 ** (needed - 1) >= 0.05


def test_spearman_sees_order_only() -> None:
    assert spearman([0, 1, 2, 3], [1, 10, 100, 1000]) == pytest.approx(1)
    assert spearman([0, 1, 2, 3], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(1 - 6 * 2 / (4 * 15))


@pytest.mark.parametrize(("x", "y"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5]), ([1, 2], [1, 2]), ([], [])])
def test_spearman_is_none_where_it_is_undefined(x: list[float], y: list[float]) -> None:
    assert spearman(x, y) is None
