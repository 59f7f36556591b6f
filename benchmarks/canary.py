"""How often a canary is held by mistake, and how soon one that is worse is: simulated streams of results.

python benchmarks/canary.py [--streams 2000]
"""

import argparse
import random

from impasto.jobs.canary import FIRST_LOOK, limit, p_worse


def held_after(rate_stable: float, rate_canary: float, share: float, most: int, rng: random.Random) -> int | None:
    """The canary's results until it is held by one of its two tests; None: not within so many.

    Only failures are bent; verdicts are the same in both arms, so that both tests have their chance of a mistake.
    """
    looks = done = wrong = review = 0
    others = others_wrong = others_review = 0.0
    while done < most:
        if rng.random() < share:
            done += 1
            wrong += rng.random() < rate_canary
            review += rng.random() < rate_stable
        else:
            others += 1
            others_wrong += rng.random() < rate_stable
            others_review += rng.random() < rate_stable
        if done >= FIRST_LOOK * 2**looks:
            for bad, others_bad in ((wrong, others_wrong), (review, others_review)):
                if p_worse(bad, done, others_bad, others) <= limit(looks):
                    return done
            looks += 1
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=2000)
    streams = parser.parse_args().streams
    rng = random.Random(0)
    print("| wrong, stable | wrong, canary | held within 640 of its results | median of its results until then |")
    print("| - | - | - | - |")
    for stable, worse in ((0.05, 0.05), (0.2, 0.2), (0.05, 0.1), (0.05, 0.2), (0.05, 0.5), (0.2, 0.4), (0.2, 0.6)):
        found = [held_after(stable, worse, 0.1, 640, rng) for _ in range(streams)]
        when = sorted(one for one in found if one is not None)
        middle = when[len(when) // 2] if when else "–"
        print(f"| {stable:.0%} | {worse:.0%} | {len(when) / streams:.1%} | {middle} |")


if __name__ == "__main__":
    main()
