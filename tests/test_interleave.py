"""Two models' sets drafted into one, and what may be said of who wins."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from math import comb, log

import pytest
from scipy.integrate import quad

from review.insight.interval import Share
from review.insight.win_rate import CHANCE, Duel, Outcome, duel, duels, evidence
from review.llm.interleave import BOTH, OWN, RIVAL, team_draft
from review.llm.sampling import TagSet


def sets(*letters: str) -> list[TagSet]:
    """One set for each word, its letters the tags."""
    return [TagSet(tuple(word), word, 0.0, 1) for word in letters]


def drafted(own: list[TagSet], rival: list[TagSet], seed: int = 0) -> list[tuple[str, str]]:
    found = team_draft(own, rival, random.Random(seed))
    return [("".join(one.tags), one.giver) for one in found]


def test_each_gives_its_best_in_turn_and_the_coin_says_who_gives_the_third() -> None:
    seen = {tuple(drafted(sets("a", "b", "c"), sets("x", "y", "z"), seed)) for seed in range(50)}
    assert seen == {
        (("a", OWN), ("x", RIVAL), ("b", OWN)),
        (("a", OWN), ("x", RIVAL), ("y", RIVAL)),
        (("x", RIVAL), ("a", OWN), ("b", OWN)),
        (("x", RIVAL), ("a", OWN), ("y", RIVAL)),
    }


def test_the_same_coin_drafts_the_same() -> None:
    own, rival = sets("a", "b", "c"), sets("x", "y", "z")
    assert drafted(own, rival, 7) == drafted(own, rival, 7)


def test_what_both_would_give_next_counts_for_neither_in_any_order_of_its_tags() -> None:
    found = drafted(sets("ab", "c", "d"), sets("ba", "x", "y"))
    assert found[0] == ("ab", BOTH)
    assert sorted(found[1:]) == [("c", OWN), ("x", RIVAL)]
    alike = sets("a", "b", "c")
    assert drafted(alike, alike) == [("a", BOTH), ("b", BOTH), ("c", BOTH)]


def test_a_set_that_the_other_thought_less_of_is_whose_turn_it_was() -> None:
    for seed in range(10):
        found = drafted(sets("a", "b", "c"), sets("b", "c", "z"), seed)
        assert sorted(found[:2]) == [("a", OWN), ("b", RIVAL)]
        assert found[2] == ("c", BOTH)


def test_where_one_has_no_more_the_own_model_fills_up_and_that_counts_for_neither() -> None:
    for seed in range(10):
        found = drafted(sets("a", "b", "c"), sets("x"), seed)
        assert sorted(found[:2]) == [("a", OWN), ("x", RIVAL)]
        assert found[2] == ("b", "")
        # Not the rival: it would have two of three.
        assert len(drafted(sets("a"), sets("x", "y", "z"), seed)) == 2
    assert drafted(sets("a", "b"), sets("a")) == [("a", BOTH), ("b", "")]
    assert drafted(sets("a", "b", "c"), []) == [("a", ""), ("b", ""), ("c", "")]
    assert drafted(sets("a"), sets("a")) == [("a", BOTH)]


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_who_picks_blindly_lets_neither_win_whatever_the_models_said(longest: int) -> None:
    """Each pair of answers over five sets, over each fall of the coin, exactly."""
    answers = list(itertools.permutations("abcde", longest))
    for own, rival in itertools.product(answers[: len(answers) // 5], answers):
        chances = {OWN: Fraction(0), RIVAL: Fraction(0), BOTH: Fraction(0), "": Fraction(0)}
        for falls in itertools.product([False, True], repeat=3):
            for one in (found := team_draft(sets(*own), sets(*rival), Falling(falls))):
                chances[one.giver] += Fraction(1, 8 * len(found))
        assert chances[OWN] == chances[RIVAL], (own, rival)
        assert sum(chances.values()) == 1


class Falling(random.Random):
    """A coin that falls as it is told."""

    def __init__(self, falls: tuple[bool, ...]) -> None:
        super().__init__(0)
        self.falls = list(falls)

    def shuffle(self, x: object) -> None:
        assert isinstance(x, list)
        if self.falls.pop(0):
            x.reverse()


# --- People who pick -----------------------------------------------------------------------


def picked(draw: random.Random, own_worth: float, rival_worth: float, count: int) -> Duel:
    """The duel of `count` documents: each set has a worth by chance, the best one is picked."""
    found = []
    for _ in range(count):
        worth: dict[str, float] = {}
        said = []
        for better in (own_worth, rival_worth):
            three = draw.sample("abcdefgh", 3)
            for word in three:
                worth[word] = worth.get(word, 0) + better + draw.gauss(0, 1)
            said.append(sets(*three))
        shown = team_draft(said[0], said[1], draw)
        draw.shuffle(shown)
        best = max(shown, key=lambda one: worth[one.tags[0]])
        winner = {OWN: "old", RIVAL: "new"}.get(best.giver, "")
        found.append(Outcome("old", "new", "5", winner, shown.index(best) + 1))
    return duel("new", "old", found)


def test_equal_models_win_half_and_it_is_seldom_said_of_one() -> None:
    draw = random.Random(6)
    trials = [picked(draw, 0, 0, 200) for _ in range(60)]
    all_of_them = Share(sum(it.won.wins for it in trials), sum(it.won.of for it in trials))
    assert all_of_them.low is not None
    assert all_of_them.high is not None
    assert all_of_them.low < 0.5 < all_of_them.high
    assert all_of_them.of > 6000
    assert sum(it.wins or it.loses for it in trials) <= 3


def test_the_better_model_wins_and_the_other_way_round_it_loses() -> None:
    draw = random.Random(6)
    found = picked(draw, 0, 0.6, 400)
    assert found.wins
    assert not found.loses
    assert found.won.value is not None
    assert found.won.value > 0.6
    found = picked(draw, 0.6, 0, 400)
    assert found.loses
    assert not found.wins


# --- What may be said ----------------------------------------------------------------------


def test_the_evidence_is_the_mean_likelihood_of_all_rates_against_a_half() -> None:
    for wins, of in ((0, 0), (0, 5), (3, 7), (12, 20), (40, 60)):
        mean = quad(lambda rate, w=wins, n=of: rate**w * (1 - rate) ** (n - w), 0, 1)[0]
        assert evidence(Share(wins, of)) == pytest.approx(log(mean * 2**of), abs=1e-6)


def test_however_often_one_looks_a_fair_coin_is_seldom_said_to_win() -> None:
    """Exactly: the chance that it is ever said within 300 picks, looked at after each."""
    alive = {0: Fraction(1)}  # by wins so far: the chance to be there, unsaid
    said = Fraction(0)
    for of in range(1, 301):
        after: dict[int, Fraction] = {}
        for wins, chance in alive.items():
            for now in (wins, wins + 1):
                after[now] = after.get(now, Fraction(0)) + chance / 2
        over = [wins for wins in after if evidence(Share(wins, of)) >= log(1 / CHANCE)]
        said += sum((after.pop(wins) for wins in over), Fraction(0))
        alive = after
    assert said + sum(alive.values()) == 1
    assert 0.01 < said <= CHANCE


def test_an_interval_looked_at_after_every_pick_is_no_such_rule() -> None:
    """Why the plain interval is shown, but does not decide."""
    draw = random.Random(3)
    wrong = 0
    for _ in range(100):
        wins = 0
        for of in range(1, 301):
            wins += draw.random() < 0.5
            share = Share(wins, of)
            if of >= 20 and share.low is not None and share.low > 0.5:
                wrong += 1
                break
    assert wrong > 5


def test_sixty_four_of_a_hundred_are_needed_and_few_are_never_enough() -> None:
    assert Duel("b", "a", "", Share(91, 143), (), 0, 0).wins
    assert not Duel("b", "a", "", Share(58, 100), (), 0, 0).wins
    assert not Duel("b", "a", "", Share(5, 5), (), 0, 0).wins
    assert Duel("b", "a", "", Share(8, 8), (), 0, 0).wins
    assert comb(8, 8) / 2**8 < CHANCE  # as a test of eight picks, planned beforehand, also says


def test_a_pair_is_one_whoever_of_them_was_the_rival() -> None:
    found = list(
        duels(
            [
                Outcome("a", "b", "4", "b", 1),
                Outcome("a", "c", "4", "", 2),
                Outcome("b", "a", "5", "b", 3),
                Outcome("b", "a", "5", "", 0),
            ]
        )
    )
    assert [(whole.model, whole.against) for whole, _parts in found] == [("a", "b"), ("c", "a")]
    whole, parts = found[0]
    assert (whole.won, whole.no_news, whole.unpicked) == (Share(0, 2), 0, 1)
    assert whole.by_place == (Share(0, 1), Share(0, 0), Share(0, 1))
    assert [(it.prompt_version, it.documents) for it in parts] == [("5", 2), ("4", 1)]
    assert (found[1][0].won, found[1][0].no_news) == (Share(0, 0), 1)
