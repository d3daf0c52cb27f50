"""Tables and sentences of the final step."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_final import ACCURACY, BASE, BETTER, FIRST, RATIO, REASON, SETTING, about, bundle, pair

from hypercl.analysis.final import FinalResult, Reported, read_final, write_final
from hypercl.analysis.final_table import final_rows
from hypercl.analysis.optimism import joined_optimism, optimism_figure
from hypercl.analysis.statistics import difference, estimate
from hypercl.config import UserError
from hypercl.config.models import Goal


def setting_of(result: FinalResult, label: str) -> dict[str, Any]:
    return next(each for each in result.content["settings"] if each["label"] == label)


def measure(result: FinalResult, label: str, key: str = "test/final_accuracy") -> dict[str, Any]:
    return setting_of(result, label)["metrics"][key]


def test_the_claim_is_a_sentence_with_seeds_interval_difference_and_cost(tmp_path: Path) -> None:
    result = write_final(tmp_path, pair(), about())
    own, paired = estimate(BETTER), difference(BETTER, BASE)
    assert own.t_interval is not None
    assert paired.t_interval is not None
    low, high = (f"{100 * end:.1f}" for end in own.t_interval)
    below, above = (f"{100 * end:.1f}" for end in paired.t_interval)
    assert result.sentence == (
        f"On 10 fresh seeds trial 7 reached 93.8 % final test accuracy (95 % t interval {low} to {high}), 3.0 points "
        f"above the setting as written ({below} to {above}, sign-flip p = {paired.p:.3f}), after a search of 24 trials "
        "(12 h 18 min, 1.5e15 floating-point operations) on validation data alone."
    )
    assert paired.p == pytest.approx(2 / 2**10)


def test_what_was_promised_is_set_against_what_came_out_in_two_parts(tmp_path: Path) -> None:
    leader, base = pair()
    result = write_final(tmp_path, [replace(leader, interval=(0.95, 0.97)), base], about())
    assert result.optimism.startswith(
        "promised 96.0 % (95 % interval 95.0 to 97.0) on validation data by the best of 24 trials; 93.8 % came out on "
        "test data with fresh seeds: optimism 2.2 points (1.1 to 3.3), of which 1.2 (0.1 to 2.3) by selection "
        "(validation data, the search's seeds against fresh ones) and 1.0 (1.0 to 1.0) between validation and test data"
    )
    promise = setting_of(result, "trial-7")["promised"]["validation/final_accuracy"]
    assert promise["optimism"] == pytest.approx(promise["selection"]["mean"] + promise["gap"]["mean"])
    assert (
        "| trial 7 | 96.00 (95.00 to 97.00) | 94.80 (94.24 to 95.36) | 93.80 (93.24 to 94.36) | 1.20 (" in result.table
    )


@pytest.mark.parametrize(("protocol", "named"), [("first_k", "and other tasks"), ("transfer", "and another stream")])
def test_what_else_lies_between_promise_and_fresh_seeds_is_named(tmp_path: Path, protocol: str, named: str) -> None:
    result = write_final(tmp_path, pair(), about(protocol))
    assert f"by selection {named} (" in result.optimism
    assert f"| selection {named} |" in result.table


def test_a_promise_of_short_trials_is_named_so(tmp_path: Path) -> None:
    after = " after 10 % of the iterations"
    result = write_final(tmp_path, pair(), replace(about(), promised_at=after))
    assert f"by the best of 24 trials{after}; " in result.optimism
    assert after in result.table.splitlines()[0]
    assert after in optimism_figure(result.content).get_suptitle()
    assert joined_optimism({"made": result.content}).rows[0]["promised"].endswith(after)


def test_less_of_what_is_to_fall_is_no_optimism(tmp_path: Path) -> None:
    goal = ACCURACY._replace(metric="validation/forgetting", direction="minimize")
    reported = [replace(each, promised=0.005) for each in pair()]
    result = write_final(tmp_path, reported, about(goals=(goal,)))
    came_out = measure(result, "trial-7", "test/forgetting")["mean"]
    assert came_out == pytest.approx(0.02)
    promise = setting_of(result, "trial-7")["promised"]["validation/forgetting"]
    assert promise["optimism"] == pytest.approx(came_out - 0.005), "more forgetting than was promised"
    assert promise["selection"]["mean"] == pytest.approx(promise["fresh"] - 0.005)


def test_a_row_of_the_csv_is_a_setting_and_a_seed_with_every_metric(tmp_path: Path) -> None:
    write_final(tmp_path, pair(), about())
    frame = pd.read_csv(tmp_path / "final.csv")
    assert list(frame["setting"]) == ["trial-7"] * 10 + ["base"] * 10
    assert list(frame["seed"][:10]) == list(range(FIRST, FIRST + 10))
    own = frame[frame["setting"] == "trial-7"]
    assert list(own["test/final_accuracy"]) == pytest.approx(BETTER)
    assert list(own["validation/final_accuracy"]) == pytest.approx([value + 0.01 for value in BETTER])
    assert list(own["test/during_accuracy"]) == pytest.approx([value + 0.01 for value in BETTER])
    assert list(own["test/backward_transfer"]) == pytest.approx([-0.02] * 10)
    assert own["test/forward_transfer"].isna().all()
    assert set(own["compression_ratio"]) == {0.5}
    assert set(own["seeds_together"]) == {10}
    assert set(own["flops"]) == {10**12}


def test_single_runs_and_a_bundle_give_the_same(tmp_path: Path) -> None:
    singles = [
        replace(each, summaries=[bundle([value], FIRST + place) for place, value in enumerate(values)])
        for each, values in zip(pair(), (BETTER, BASE), strict=True)
    ]
    apart, together = write_final(tmp_path / "a", singles, about()), write_final(tmp_path / "b", pair(), about())
    assert apart.sentence == together.sentence
    assert measure(apart, "trial-7") == measure(together, "trial-7")


def test_a_seed_that_diverged_and_one_that_was_lost_count_as_the_worst_and_are_named(tmp_path: Path) -> None:
    better: list[float | None] = [*BETTER[:8], None]
    reported = [replace(pair(better=better)[0], lost=[(FIRST + 9, "its process died")]), pair()[1]]
    result = write_final(tmp_path, reported, about())
    found = measure(result, "trial-7")
    assert found["values"] == [*BETTER[:8], 0.0, 0.0]
    assert found["mean"] == pytest.approx(sum(BETTER[:8]) / 10)
    assert found["difference"]["mean"] == pytest.approx((sum(BETTER[:8]) - sum(BASE)) / 10)
    assert measure(result, "trial-7", "test/forgetting")["values"][-2:] == [1.0, 1.0]
    assert measure(result, "trial-7", "compression_ratio")["values"] == [0.5] * 10
    assert "2 of these seeds were lost and count as the worst." in result.sentence
    assert f"trial 7, seed {FIRST + 8}: diverged: {REASON}." in result.table
    assert f"trial 7, seed {FIRST + 9}: its process died." in result.table
    assert final_rows(result.content)[0]["seeds lost"] == "2 of 10"
    frame = pd.read_csv(tmp_path / "final.csv")
    assert list(frame["lost"].dropna()) == [f"diverged: {REASON}", "its process died"]
    assert frame["test/final_accuracy"][:10].mean() == pytest.approx(found["mean"])


def test_a_metric_of_the_users_own_is_measured_again_and_a_lost_seed_has_the_worst_there_is(tmp_path: Path) -> None:
    def with_own(reported: Reported) -> Reported:
        (summary,) = reported.summaries
        seeds = tuple(
            replace(seed, metrics={data: {**of, "mine": float(place)} for data, of in seed.metrics.items()})
            for place, seed in enumerate(summary.seeds)
        )
        return replace(reported, summaries=[replace(summary, seeds=seeds)], lost=[(FIRST + 99, "died")])

    goal = Goal("validation/mine", "maximize")
    result = write_final(tmp_path, [with_own(each) for each in pair()], about(goals=(goal,)))
    assert measure(result, "trial-7", "test/mine")["values"] == [*map(float, range(10)), 0.0]
    assert "% mine on test data (95 %" in result.sentence
    assert "validation/mine" in setting_of(result, "trial-7")["promised"]


def test_a_setting_that_lost_every_seed_has_the_worst_mean(tmp_path: Path) -> None:
    gone = Reported("trial-9", {}, 0.99, [], [(FIRST + place, "its process died") for place in range(10)])
    result = write_final(tmp_path, [gone, pair()[1]], about())
    found = measure(result, "trial-9")
    assert found["mean"] == 0.0
    assert found["difference"]["p"] == pytest.approx(2 / 2**10)
    assert measure(result, "trial-9", "compression_ratio")["mean"] is None
    assert measure(result, "trial-9", "test/task_inference_accuracy")["mean"] is None


def test_settings_are_paired_by_their_seeds_and_not_by_their_places(tmp_path: Path) -> None:
    base = replace(pair()[1], summaries=[bundle([value], FIRST + place) for place, value in enumerate(BASE)][::-1])
    found = measure(write_final(tmp_path, [pair()[0], base], about()), "trial-7")["difference"]
    assert found["mean"] == pytest.approx(0.03)
    assert found == measure(write_final(tmp_path, pair(), about()), "trial-7")["difference"]


def test_forward_transfer_is_what_is_gained_over_training_from_scratch_on_the_same_seeds(tmp_path: Path) -> None:
    scratch = [0.88, 0.90] * 5
    result = write_final(tmp_path, [*pair(), Reported("scratch", {}, None, [bundle(scratch)])], about())
    expected = [own - other for own, other in zip(BETTER, scratch, strict=True)]  # both 0.01 above when just learned
    assert measure(result, "trial-7", "test/forward_transfer")["values"] == pytest.approx(expected)
    assert measure(result, "base", "test/forward_transfer")["mean"] is not None
    assert measure(result, "scratch", "test/forward_transfer")["mean"] is None


def test_intransigence_is_what_joint_training_gains_on_the_same_seeds(tmp_path: Path) -> None:
    joint = [0.97, 0.99] * 5
    result = write_final(tmp_path, [*pair(), Reported("joint", {}, None, [bundle(joint)])], about())
    expected = [other - own for own, other in zip(BETTER, joint, strict=True)]
    assert measure(result, "trial-7", "test/intransigence")["mean"] == pytest.approx(sum(expected) / 10)
    assert measure(result, "joint", "test/intransigence")["mean"] is None
    alone = measure(write_final(tmp_path, pair(), about()), "trial-7", "test/intransigence")
    assert alone["mean"] is None
    assert "final.joint" in alone["why"]
    lost = Reported("joint", {}, None, [bundle([0.9] * 9)], [(FIRST + 9, "its process died")])
    found = measure(write_final(tmp_path, [*pair(), lost], about()), "trial-7", "test/intransigence")
    assert found["why"] == f"seed {FIRST + 9} of joint training is lost"


def test_without_runs_from_scratch_forward_transfer_is_unknown_and_says_why(tmp_path: Path) -> None:
    found = measure(write_final(tmp_path, pair(), about()), "trial-7", "test/forward_transfer")
    assert found["mean"] is None
    assert "final.from_scratch" in found["why"]
    scratch = Reported("scratch", {}, None, [bundle([0.9] * 9)], [(FIRST + 9, "its process died")])
    found = measure(write_final(tmp_path, [*pair(), scratch], about()), "trial-7", "test/forward_transfer")
    assert found["mean"] is None, "a lost seed from scratch would flatter"
    assert found["why"] == f"seed {FIRST + 9} from scratch is lost"


def test_five_seeds_are_said_to_be_few(tmp_path: Path) -> None:
    result = write_final(tmp_path, pair(BASE[:5], BETTER[:5]), about())
    assert result.sentence.startswith("On 5 fresh seeds (few: 10 are the rule) trial 7 reached")
    assert "sign-flip p = 0.062, of 5 seeds never below 0.0625)" in result.sentence
    assert "Of 5 pairs p cannot fall below 0.0625." in result.table
    six = write_final(tmp_path, pair(BASE[:6], BETTER[:6]), about())
    assert "Of 6 pairs p cannot fall below 0.03125." in six.table
    assert "never below" not in six.sentence
    assert measure(result, "trial-7")["bootstrap_interval"] is None
    assert "few" not in write_final(tmp_path, pair(), about()).table


def test_under_test_leak_every_file_title_and_sentence_says_so(tmp_path: Path) -> None:
    result = write_final(tmp_path, pair(), about("test_leak"))
    assert result.sentence.startswith("TEST LEAK: ")
    assert "ON THE TEST DATA ITSELF" in result.sentence
    assert result.optimism.startswith("TEST LEAK: promised 96.0 % on TEST data")
    assert "selection" not in result.optimism, "nothing lies between test data and test data"
    paragraphs = [part for part in result.table.strip().split("\n\n") if not part.startswith("| ")]
    assert all("TEST LEAK" in part for part in paragraphs)
    assert pd.read_csv(tmp_path / "final.csv")["protocol"].str.startswith("TEST LEAK").all()
    assert json.loads((tmp_path / "final.json").read_text())["warning"].startswith("TEST LEAK")
    assert "TEST LEAK" not in write_final(tmp_path, pair(), about()).table


def test_each_of_several_goals_has_its_row_and_its_clause(tmp_path: Path) -> None:
    reported = [
        Reported("trial-7", SETTING, (0.96, 0.5), [bundle(BETTER)]),
        Reported("trial-3", SETTING, (0.94, 0.1), [bundle(BASE, ratio=0.1)]),
        Reported("base", {}, (0.915, 0.8), [bundle(BASE, ratio=0.8)]),
    ]
    result = write_final(tmp_path, reported, about(goals=(ACCURACY, RATIO)))
    assert ", and a compression ratio of 0.5, 0.3 below the setting as written, after" in result.sentence
    first, its_ratio, second, their_ratio, *_ = final_rows(result.content)
    assert [(row["goal"], row["mean"]) for row in (first, its_ratio)] == [
        ("final accuracy", "93.80"),
        ("compression ratio", "0.5"),
    ]
    assert [row["setting"] for row in (first, its_ratio, second)] == ["trial 7", "", "trial 3"]
    assert (their_ratio["values"], their_ratio["difference"], their_ratio["seeds lost"]) == ("", "-0.7", "")
    assert "compression" not in result.optimism, "a ratio is the same wherever it is measured"


def test_a_goal_that_no_seed_measures_anew_is_left_to_the_search(tmp_path: Path) -> None:
    reported = [Reported("base", {}, (0.915, 7.0, 24_000.0), [bundle(BASE)])]
    costs = (Goal("seconds", "minimize"), Goal("parameters", "minimize"))
    result = write_final(tmp_path, reported, about(goals=(ACCURACY, *costs)))
    assert [goal["metric"] for goal in result.content["goals"]] == [ACCURACY.metric]
    assert list(setting_of(result, "base")["promised"]) == [ACCURACY.metric]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    written = write_final(tmp_path, pair(), about())
    assert read_final(tmp_path) == FinalResult(
        written.sentence, written.optimism, written.table, json.loads((tmp_path / "final.json").read_text())
    )
    assert (tmp_path / "final.md").read_text() == written.table
    assert read_final(tmp_path / "none") is None
    (tmp_path / "final.json").write_text('{"sentence": ')
    with pytest.raises(UserError, match=r"final\.json is damaged"):
        read_final(tmp_path)


def test_where_the_search_found_nothing_else_the_claim_is_on_the_setting_as_written(tmp_path: Path) -> None:
    result = write_final(tmp_path, pair()[1:], about(hours=None, flops=None))
    assert result.sentence.startswith("On 10 fresh seeds the setting as written reached 90.8 % final test accuracy")
    assert result.sentence.endswith("after a search of 24 trials on validation data alone.")


def test_where_the_search_ranks_the_setting_as_written_first_the_sentence_says_so(tmp_path: Path) -> None:
    result = write_final(tmp_path, pair()[::-1], about())
    who = "the setting as written, which the search found nothing better than, reached 90.8 % final test accuracy"
    assert who in result.sentence


def test_what_earlier_sweeps_cost_that_the_sampler_knew_is_part_of_the_cost(tmp_path: Path) -> None:
    earlier = {"sweeps": 1, "trials": 40.0, "hours": 2.0, "gpu_hours": 0.0, "flops": None, "opened": 1.0}
    result = write_final(tmp_path, pair(), replace(about(), earlier=earlier))
    assert "; that of what the search was warm-started from had been opened before." in result.table
    assert result.sentence.endswith(
        " on validation data alone, warm-started from an earlier sweep of 40 trials (2 h 0 min)."
    )
    assert joined_optimism({"made": result.content}).rows[0]["trials"] == "24 + 40"
    assert joined_optimism({"made": result.content}).rows[0]["operations"] == "1.5e15 + -"
    unknown = {"sweeps": 2, "trials": None, "hours": None, "gpu_hours": None, "flops": None, "opened": None}
    result = write_final(tmp_path, pair(), replace(about(), earlier=unknown))
    assert result.sentence.endswith(" warm-started from 2 earlier sweeps of unknown cost.")
