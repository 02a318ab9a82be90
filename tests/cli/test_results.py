from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sortograph.cli import results
from sortograph.records import AbstainRow, Estimate, Rejected, Trust


def shown(capsys, evaluation, *, verbose: bool = False, trust: Trust | None = None) -> str:
    results.show_evaluation(evaluation, verbose=verbose, trust=trust)
    return capsys.readouterr().out


def test_every_figure_has_its_split_count_and_interval(capsys, make_record):
    lines = shown(capsys, make_record().evaluation).splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["split", "photos", "accuracy", "95", "%", "interval"],
        ["train", "40", "95.0", "%", "90.0", "–", "100.0"],
        ["validation", "10", "96.0", "%", "91.0", "–", "100.0"],
        ["test", "10", "80.0", "%", "75.0", "–", "85.0"],
    ]


def test_a_sentence_says_what_to_expect(capsys, make_record):
    lines = shown(capsys, make_record().evaluation).splitlines()
    assert "80.0 % of 10 test photos" in lines[4]
    assert "never saw" in lines[4]
    assert "75.0 – 85.0 %" in lines[4]


def test_without_test_photos_nothing_is_promised(capsys, make_result):
    text = shown(capsys, {"train": make_result("train", 1.0, 9), "new": make_result("new", 0.5, 9)})
    assert "never saw" not in text
    assert text.count("\n") == 3


def test_where_nothing_was_held_out_it_says_so(capsys, make_result):
    assert "says nothing about new photos" in shown(capsys, {"train": make_result("train", 1.0, 9)})


def test_gaps_have_their_sign(capsys, make_record):
    lines = shown(capsys, make_record().evaluation).splitlines()
    assert lines[5:] == ["gap train − validation: −1.0 points", "gap train − test: +15.0 points"]


def test_gaps_have_their_interval(capsys, make_record):
    evaluation = make_record().evaluation
    ends = {"accuracy: train - test": (0.01, 0.2749), "accuracy: train - validation": (-0.034, 0.005)}
    evaluation = {**evaluation, "train": replace(evaluation["train"], gap_intervals=ends)}
    assert shown(capsys, evaluation).splitlines()[5:] == [
        "gap train − validation: −1.0 points (95 %: −3.4 to +0.5)",
        "gap train − test: +15.0 points (95 %: +1.0 to +27.5)",
    ]


def trusted(*rows: AbstainRow) -> Trust:
    return Trust("validation", 118, 104, 0.6612, rows, ())


def measured(evaluation, **metrics: Estimate):
    test = evaluation["test"]
    return {**evaluation, "test": replace(test, metrics={**test.metrics, **metrics})}


REFUSED = AbstainRow(0.01, None, 0.0, 104, 0, "unattainable: 104 photos promise at best 4.1 %")


def test_a_line_tells_how_far_it_may_be_trusted(capsys, make_record):
    before, after = (Estimate(x, x - 0.01, x + 0.03, 0.95, 336, "bootstrap") for x in (0.028, 0.0314))
    evaluation = measured(make_record().evaluation, ece_uncalibrated=before, ece=after)
    rows = (REFUSED, AbstainRow(0.05, 0.8, 0.888, 104, 1), AbstainRow(0.1, 0.0, 1.0, 104, 4))
    lines = shown(capsys, evaluation, trust=trusted(*rows)).splitlines()
    assert lines[-2:] == [
        "calibrated on 118 validation photos: temperature 0.66, calibration error 2.8 → 3.1 % "
        "(2.1 – 6.1; test, n = 336)",
        "--max-error 5%: 88.8 % of photos answered, at most 5 % of them wrong (n = 104)",
    ]


def test_what_can_be_promised_is_told_in_a_line(capsys, make_record):
    evaluation = make_record().evaluation
    for rows, said in (
        ((REFUSED,), f"at most 1 % wrong is {REFUSED.reason}"),
        ((REFUSED, AbstainRow(0.1, 0.0, 1.0, 104, 4)), "all answers given: at most 10 % wrong (n = 104)"),
    ):
        lines = shown(capsys, evaluation, trust=trusted(*rows)).splitlines()
        assert lines[-2:] == ["calibrated on 118 validation photos: temperature 0.66", said]
    assert "calibrated" not in shown(capsys, evaluation)


def test_classes_that_nothing_is_promised_of_are_named(capsys, make_record):
    told = replace(trusted(REFUSED), lacking=("cat", "\x1b[31mdog"))
    lines = shown(capsys, make_record().evaluation, trust=told).splitlines()
    assert lines[-2] == "none of them is of cat, \\x1b[31mdog: nothing is promised of those"


def test_photos_that_chose_are_counted(capsys, make_record):
    evaluation = make_record().evaluation
    evaluation = {**evaluation, "validation": replace(evaluation["validation"], chose=4)}
    assert "4 of the 10 validation photos are for choosing the model." in shown(capsys, evaluation)


def test_what_is_no_share_is_no_percentage(capsys, make_record):
    brier = Estimate(1.25, 1.1, 1.4, 0.95, 10, "student t")
    text = shown(capsys, measured(make_record().evaluation, brier=brier, ece=brier), verbose=True)
    assert "1.250  1.100 – 1.400" in text
    assert "125.0 %  110.0 – 140.0" in text


def leaking(evaluation, unseen: Estimate | None, **leaks: int):
    """The same, with test photos that lie in other splits, too."""
    test = evaluation["test"]
    metrics = {**test.metrics, **({} if unseen is None else {"accuracy_unseen": unseen})}
    return {**evaluation, "test": replace(test, metrics=metrics, leaks=leaks)}


def test_what_training_has_seen_is_said_beside_the_accuracy(capsys, make_record):
    unseen = Estimate(0.5, 0.15, 0.85, 0.95, 4, "wilson")
    lines = shown(capsys, leaking(make_record().evaluation, unseen, train=6)).splitlines()
    assert lines[0].split()[-3:] == ["also", "in", "train"]
    assert lines[3].split() == ["test", "10", "80.0", "%", "75.0", "–", "85.0", "6"]
    assert lines[4].split() == ["test,", "not", "in", "train", "4", "50.0", "%", "15.0", "–", "85.0"]
    assert lines[5] == (
        "It named 80.0 % of 10 test photos correctly, but training has seen 6 of them, or nearly: it named "
        "50.0 % of the 4 others correctly; of more photos like those, expect 15.0 – 85.0 %."
    )


def test_where_training_has_seen_all_nothing_is_promised(capsys, make_record):
    text = shown(capsys, leaking(make_record().evaluation, None, train=10))
    assert "training has seen 10 of them, or nearly: this says nothing of new photos." in text
    assert "never saw" not in text
    assert "expect" not in text


def test_test_photos_that_are_validation_photos_are_named(capsys, make_record):
    text = shown(capsys, leaking(make_record().evaluation, None, validation=3))
    assert "which training never saw (though 3 of them are validation photos, too); of more" in text
    assert "also in train" not in text


def test_what_is_left_out(capsys):
    files = [Rejected(f"a/{k}.jpg", "damaged\x1b[2J") for k in range(12)]
    results.show_left_out(files, 3, verbose=False)
    lines = capsys.readouterr().out.replace("\\", "/").splitlines()
    assert lines[:2] == ["cannot be used: 12", "  a/0.jpg: damaged/x1b[2J"]
    assert lines[-2:] == ["  and 2 more (--verbose lists all)", "no photos, left aside: 3"]
    results.show_left_out(files, 0, verbose=True)
    assert capsys.readouterr().out.count("damaged") == 12
    results.show_left_out([], 0, verbose=False)
    assert capsys.readouterr().out == ""


def test_details_are_of_every_split(capsys, make_record):
    short, text = (shown(capsys, make_record().evaluation, verbose=verbose) for verbose in (False, True))
    assert text.startswith(short)
    for split in ("train", "validation", "test"):
        assert f"\n{split}" in text[len(short) :]
    assert "0.432  0.400 – 0.500" in text  # a loss is no share
    assert "precision" in text
    assert text.count("truth \\ predicted  cat  dog") == 3


def test_of_many_classes_the_worst_mistakes_are_shown(capsys, make_result):
    names = tuple(f"class-{number:02}" for number in range(30))
    text = shown(capsys, {"test": make_result("test", 0.5, 900, names)}, verbose=True)
    table = text[text.index("test: truth") :].splitlines()
    assert len(table) == 21
    assert table[1].split() == ["class-29", "class-28", "898"]  # 899 of the last were right
    assert max(map(len, table)) < 80


def test_nothing_measured_nothing_said(capsys):
    assert shown(capsys, {}) == ""


def test_places_that_exist_and_what_to_type_next(capsys):
    results.show_places([("report", Path("a/report.html")), ("run", None)], Path("my run"))
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "report  a/report.html".replace("/", str(Path("/"))[-1])
    assert out[1].startswith("next    sortograph predict ")
    assert out[1].endswith("PHOTOS")
    assert len(out) == 2
