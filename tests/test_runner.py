"""Runs of the toy plugin: what is computed again, what is not, and what happens to a sample that fails."""

from __future__ import annotations

import importlib
import json

import pytest

from pixcore import masks
from tests.workplace import TOY, unpacked


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_a_second_run_computes_nothing(workplace):
    log = workplace.folder / "log"
    config = workplace.config(model={"name": "toy", "log": str(log)})
    workplace("run", str(config))
    first, report = workplace.summary(), (workplace.folder / "out" / "predictions.jsonl").read_bytes()
    assert len(lines(log)) == 18
    workplace("run", str(config))
    assert len(lines(log)) == 18
    assert workplace.summary() == first
    assert (workplace.folder / "out" / "predictions.jsonl").read_bytes() == report


def test_what_a_later_stage_lacks_is_told_before_the_first_answer(workplace):
    log = workplace.folder / "log"
    changes = {"model": {"name": "toy", "log": str(log)}, "masks": {"name": "toy-squares", "weights": "gone.bin"}}
    failed = workplace("run", str(workplace.config(**changes)), status=2)
    assert failed.stderr.strip().splitlines()[-1] == "error: there are no toy weights gone.bin (make some)"
    assert not lines(log)
    (workplace.folder / "gone.bin").touch()
    workplace("run", str(workplace.config(**changes)))
    (workplace.folder / "gone.bin").unlink()
    workplace("run", str(workplace.config(**changes)))  # nothing is left to compute, so nothing is missing


def test_another_strategy_runs_no_model_and_no_generator(workplace):
    log = workplace.folder / "log"
    model = {"name": "toy", "log": str(log)}
    workplace("run", str(workplace.config(model=model, selections=["toy-first"])))
    stores = {path.name for path in (workplace.folder / "store").glob("*.sqlite")}
    workplace("run", str(workplace.config(model=model, selections=["toy-best"])))
    assert len(lines(log)) == 18
    new = {path.name for path in (workplace.folder / "store").glob("*.sqlite")} - stores
    assert {name.split("-")[0] for name in new} == {"select"}


def test_another_point_selector_asks_the_model_nothing(workplace):
    log = workplace.folder / "log"
    model = {"name": "toy", "log": str(log)}
    workplace("run", str(workplace.config(model=model)))
    workplace("run", str(workplace.config(model=model, points="toy-anywhere")))
    assert len(lines(log)) == 18


def test_limit_and_sample(workplace):
    """No more of a benchmark is read than they need: this one would take days."""
    config = str(workplace.config())
    long = ("--set", "benchmark={name: toy-boxes, pairs: 1000000000}")
    workplace("run", config, "--limit", "2", *long)
    assert workplace.summary()["samples"] == 2
    workplace("run", config, "--sample", "s3", "--sample", "s1", *long)
    assert [line["sample_id"] for line in workplace.predictions()] == ["s3", "s3", "s3", "s1", "s1", "s1"]
    workplace("run", config, "--sample", "s1", "--sample", "s1")
    assert workplace.summary()["samples"] == 1
    assert [line["sample_id"] for line in workplace.predictions()] == ["s1"] * 3
    workplace("score", "out/predictions.jsonl", "--sample", "s1", "--sample", "s1")
    failed = workplace("run", config, "--sample", "s33", status=2)
    assert "no sample 's33'" in failed.stderr


def test_set_goes_into_sections(workplace):
    config = str(workplace.config(benchmark="toy-boxes", selections=["toy-first"]))
    workplace("run", config, "--set", "benchmark.pairs=1", "--set", "selections.0=toy-random")
    document = json.loads((workplace.folder / "out" / "run.json").read_text())
    assert document["config"]["benchmark"]["pairs"] == 1
    assert document["config"]["selections"][0]["name"] == "toy-random"
    assert workplace.summary()["samples"] == 2


def test_stop_keeps_what_was_computed(workplace):
    log = workplace.folder / "log"
    model = {"name": "toy", "log": str(log), "fails_on": ["s4"]}
    failed = workplace("run", str(workplace.config(model=model, batch_size=2)), status=1)
    assert "sample s4 (question) failed in stage answer: RuntimeError: toy failure on s4" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert len(failed.stderr.strip().splitlines()[-1]) < 300
    assert len(lines(log)) == 4


def test_record_keeps_the_sample_as_failed_and_tries_again(workplace):
    model = {"name": "toy", "fails_on": ["s4"]}
    config = workplace.config(model=model, on_error="record", batch_size=4)
    first = workplace("run", str(config))
    assert "3 failed" in first.stderr
    assert workplace.summary()["failed"] == 3
    assert "failed" in first.stdout
    failed = [line for line in workplace.predictions() if line.get("error")]
    assert {line["sample_id"] for line in failed} == {"s4"}
    assert all("toy failure" in line["error"] and not line["text"] for line in failed)
    searched = unpacked(workplace.folder / "out" / "report.html")[-1]["samples"]
    assert [one["id"] for one in searched if "toy failure on s4" in one["text"]] == ["s4"]
    again = workplace("run", str(config))
    assert "3 failed" in again.stderr


def test_memory_that_runs_out_halves_the_batch_for_good_and_is_told_once(workplace):
    log = workplace.folder / "log"
    config = workplace.config(model={"name": "toy", "log": str(log), "room": 2}, batch_size=8, on_error="record")
    told = workplace("run", str(config)).stderr
    assert told.count("memory ran out") == 1
    assert "note: memory ran out on 8 requests at once: 4 at a time from here on, or fewer" in told
    assert [line for line in lines(log) if line.startswith("too many")] == ["too many: 8", "too many: 4"]
    assert len(lines(log)) == 18 + 2
    assert workplace.summary()["failed"] == 0


def test_memory_that_one_sample_exhausts_stops_the_run(workplace):
    config = workplace.config(model={"name": "toy", "room": 0}, batch_size=2, on_error="record")
    failed = workplace("run", str(config), status=2)
    last = failed.stderr.strip().splitlines()[-1]
    assert last.startswith("error: memory ran out in stage answer on sample s")
    assert "1 requests need more than there is" in last


def test_a_model_that_cannot_be_loaded_stops_the_run_at_once(workplace):
    log = workplace.folder / "log"
    config = workplace.config(model={"name": "toy", "log": str(log), "damaged": True}, on_error="record")
    failed = workplace("run", str(config), status=2)
    assert failed.stderr.strip().splitlines()[-1].startswith("error: can't load toy.bin: KeyError: 'head.weight'")
    assert lines(log) == ["load"]


def test_outputs_that_are_no_numbers_fail_their_sample_or_stop_a_run_of_them(workplace):
    model = {"name": "toy", "overflows_on": ["s1", "s4"]}
    workplace("run", str(workplace.config(model=model, batch_size=4, on_error="record")))
    failed = {line["sample_id"]: line["error"] for line in workplace.predictions() if line.get("error")}
    assert failed.keys() == {"s1", "s4"}
    assert "the logits are not finite in float16 (float16 overflows: try bfloat16" in failed["s1"]
    everywhere = {"name": "toy", "overflows_on": [f"s{number}" for number in range(10)]}
    stopped = workplace("run", str(workplace.config(model=everywhere, batch_size=4, on_error="record")), status=2)
    assert "in all of the first batch the logits are not finite in float16" in stopped.stderr


def test_maps_that_are_no_numbers_point_nowhere(workplace):
    """A plugin's model may let them pass: the first cell would be the highest of all."""
    config = workplace.config(model={"name": "toy", "blinks_on": ["s2"]}, on_error="record")
    workplace("run", str(config))
    failed = {line["sample_id"]: line["error"] for line in workplace.predictions() if line.get("error")}
    assert failed.keys() == {"s2"}
    assert "a group's map holds values that are not finite numbers" in failed["s2"]


def test_a_failure_counts_as_wrong_and_zero(workplace):
    workplace("run", str(workplace.config()))
    whole = {row["name"]: row["figures"] for row in workplace.summary()["rows"]}
    model = {"name": "toy", "fails_on": ["s4"]}
    workplace("run", str(workplace.config(model=model, on_error="record")))
    less = {row["name"]: row["figures"] for row in workplace.summary()["rows"]}
    assert less["toy-best"]["M"]["n"] == whole["toy-best"]["M"]["n"] == 6
    per_sample = [line for line in workplace.predictions() if line["protocol"] == "segment"]
    assert len(per_sample) == 6
    assert less["toy-best"]["M"]["value"] < whole["toy-best"]["M"]["value"]


def test_a_text_that_can_not_be_grouped_costs_no_other(workplace):
    config = workplace.config(grouper="toy-stumbles", on_error="record", control=None)
    done = workplace("run", str(config))
    assert "6 failed" in done.stderr
    failed = [line for line in workplace.predictions() if line.get("error")]
    assert len(failed) == 6
    assert all("can't parse this" in line["error"] for line in failed)


def test_scores_and_stabilities_that_are_no_numbers_fail_their_samples_alone(workplace):
    config = workplace.config(masks="toy-unsure", on_error="record")
    workplace("run", str(config))
    failed = {line["sample_id"] for line in workplace.predictions() if "not a finite number" in line.get("error", "")}
    assert failed == {"s0", "s1"}


def test_a_pixel_level_model_needs_no_attention(workplace):
    config = workplace.config(model="toy-masks", extractor=None, masks=None, selections=[])
    workplace("run", str(config))
    (row,) = workplace.summary()["rows"]
    assert row["name"] == "own masks"
    assert row["figures"]["M"]["value"] == 100.0


def test_a_mask_of_another_size_is_its_samples_failure(workplace):
    config = workplace.config(model={"name": "toy-masks", "fails_on": ["s2"]}, on_error="record")
    workplace("run", str(config))
    failed = [line for line in workplace.predictions() if line.get("error")]
    assert {line["sample_id"] for line in failed} == {"s2"}
    assert all("model adapter 'toy-masks' gave a mask that is not (" in line["error"] for line in failed)
    (row,) = workplace.summary()["rows"]
    assert row["figures"]["M"]["value"] == pytest.approx(100 * 5 / 6)
    stopped = workplace("run", str(config), "--set", "on_error=stop", status=1)
    assert "sample s2 (question) failed in stage answer: model adapter 'toy-masks' gave a mask" in stopped.stderr


def test_a_pixel_level_model_scores_to_its_own_row_alone(workplace):
    workplace("run", str(workplace.config(model="toy-masks")))
    workplace("score", "out/predictions.jsonl", "--json", "score.json")
    scored = json.loads((workplace.folder / "score.json").read_text())
    assert [row["name"] for row in scored["rows"]] == ["own masks"] == [r["name"] for r in workplace.summary()["rows"]]


def failed_choices(workplace, name):
    lines = [line for line in workplace.predictions() if line["protocol"] == "segment"]
    choices = {line["sample_id"]: line["choices"][name] for line in lines}
    return {sample: choice["failed"] for sample, choice in choices.items() if "failed" in choice}


def test_a_choice_of_what_was_not_offered_fails_its_sample_alone(workplace):
    workplace("run", str(workplace.config(selections=["toy-beyond"], on_error="record")))
    failed = failed_choices(workplace, "toy-beyond")
    assert list(failed) == ["s3"]
    assert "'toy-beyond' chose candidate 5, mask 0, where 5 candidates" in failed["s3"]


def test_a_strategy_that_fails_fails_its_own_row_alone(workplace):
    workplace("run", str(workplace.config(selections=["toy-best"])))
    (alone, control) = workplace.summary()["rows"]
    done = workplace("run", str(workplace.config(selections=["toy-best", "toy-careless"], on_error="record")))
    best, careless, still, _ = workplace.summary()["rows"]
    assert (best["figures"], still["figures"]) == (alone["figures"], control["figures"])
    assert careless["figures"]["A per sample"] == best["figures"]["A per sample"]
    assert careless["figures"]["M"]["n"] == 6
    assert workplace.summary()["failed"] == 12  # three samples, two protocols, its own control too
    assert "3 choice(s) of toy-careless failed under segment" in done.stdout
    failed = failed_choices(workplace, "toy-careless")
    assert list(failed) == ["s1", "s2", "s3"]
    assert "toy strategy failed" in failed["s1"]
    assert "chose a NoneType" in failed["s2"]
    assert "a ndarray is not JSON data" in failed["s3"]
    assert "toy strategy failed" in json.dumps(workplace.cards())
    workplace("score", "out/predictions.jsonl", "--json", "score.json")
    scored = json.loads((workplace.folder / "score.json").read_text())
    assert scored["failed"] == 12
    assert [row["figures"] for row in scored["rows"]] == [row["figures"] for row in workplace.summary()["rows"]]


def test_a_judge_that_fails_costs_no_mask(workplace):
    workplace("run", str(workplace.config()))
    before = workplace.summary()
    done = workplace("run", str(workplace.config(judge="toy-sulky-judge", on_error="record")))
    after = workplace.summary()
    assert "A† (under question): 6 failed count as wrong" in " ".join(done.stdout.split())
    for old, new in zip(before["rows"], after["rows"], strict=True):
        assert new["figures"]["A† per sample"]["value"] == 0
        assert [new["figures"][name] for name in ("A", "M†", "M")] == [old["figures"][n] for n in ("A", "M†", "M")]
    workplace("score", "out/predictions.jsonl", "--json", "score.json")
    scored = json.loads((workplace.folder / "score.json").read_text())
    assert [row["figures"] for row in scored["rows"]] == [row["figures"] for row in after["rows"]]
    again = workplace("run", str(workplace.config(judge="toy-sulky-judge", on_error="record")))
    assert "6 failed" in again.stderr  # asked again, not remembered as an answer


def test_a_text_with_half_a_surrogate_pair_is_kept(workplace):
    workplace("run", str(workplace.config(model={"name": "toy", "says": r"a bright box \ud83d"})))
    assert workplace.predictions()[0]["text"] == "a bright box \ud83d"


def test_a_benchmarks_notes_stand_below_the_table(workplace):
    done = workplace("run", str(workplace.config()))
    assert "every box is bright" in workplace.summary()["notes"]
    assert "every box is bright" in done.stdout


def test_answers_alone(workplace):
    config = workplace.config(extractor=None, masks=None, selections=[], protocols=["letter"])
    workplace("run", str(config))
    (row,) = workplace.summary()["rows"]
    assert row["figures"]["A per sample"]["value"] == 50.0
    assert row["figures"]["A"]["value"] == 0.0
    assert row["figures"]["M"]["value"] is None


def test_a_failure_gives_no_mask_a_figure_where_nothing_is_mined(workplace):
    model = {"name": "toy", "fails_on": ["s1"]}
    workplace("run", str(workplace.config(model=model, extractor=None, masks=None, selections=[], on_error="record")))
    (row,) = workplace.summary()["rows"]
    assert row["figures"]["A per sample"]["n"] == 6
    assert [row["figures"][name]["value"] for name in ("M†", "M", "S")] == [None] * 3
    scored = json.loads(workplace("score", "out", "--json", "-").stdout)
    assert scored["rows"][0]["figures"] == row["figures"]


def test_the_models_own_prompt_is_asked(workplace):
    workplace("run", str(workplace.config()))
    prompts = {line["protocol"]: line["prompt"] for line in workplace.predictions()}
    assert prompts["segment"] == "Where is the box?"
    workplace("run", str(workplace.config(prompts={"segment": "Show {expression}!"})))
    prompts = {line["protocol"]: line["prompt"] for line in workplace.predictions()}
    assert prompts["segment"] == "Show the box!"


def test_report_is_written_again_from_records(workplace):
    workplace("run", str(workplace.config()))
    before = workplace.summary()
    for name in ("report.html", "summary.json", "predictions.jsonl"):
        (workplace.folder / "out" / name).unlink()
    seconds = json.loads((workplace.folder / "out" / "run.json").read_text())["seconds"]
    workplace("report", "out")
    assert workplace.summary() == before
    assert json.loads((workplace.folder / "out" / "run.json").read_text())["seconds"] == seconds
    assert (workplace.folder / "out" / "report.html").stat().st_size > 10_000


def test_report_without_the_runs_records_changes_nothing(workplace):
    workplace("run", str(workplace.config()))
    before = {path.name: path.read_bytes() for path in (workplace.folder / "out").iterdir()}
    store = workplace.folder / "store"
    store.rename(workplace.folder / "elsewhere")
    assert "are not at store/" in workplace("report", "out", status=2).stderr
    (workplace.folder / "elsewhere").rename(store)
    document = json.loads(before["run.json"])
    document["config"]["seed"] = 5  # as another version of a plugin, it changes every key
    (workplace.folder / "out" / "run.json").write_text(json.dumps(document))
    assert "run the config again" in workplace("report", "out", status=2).stderr
    for name in ("summary.json", "predictions.jsonl", "report.html"):
        assert (workplace.folder / "out" / name).read_bytes() == before[name]


def test_batches_change_nothing(workplace):
    workplace("run", str(workplace.config(batch_size=1)))
    one = workplace.predictions()
    workplace("run", str(workplace.config(batch_size=4, store="other")))
    assert workplace.predictions() == one


def test_every_strategy_has_its_own_matched_control(workplace, monkeypatch):
    monkeypatch.syspath_prepend(str(TOY))
    components = importlib.import_module("toy_pixcore.components")
    size = importlib.import_module("toy_pixcore.config").ToyBoxesConfig().size
    done = workplace("run", str(workplace.config(selections=["toy-first", "toy-best"])))
    rows = {row["name"]: row for row in workplace.summary()["rows"]}
    assert [name for name, row in rows.items() if row["control"]] == [
        "toy-anywhere points, toy-best pick",
        "toy-anywhere points, toy-first pick",
    ]
    drawn = [line for line in workplace.predictions() if line["protocol"] == "segment"]
    first = [line["control"]["candidates"][0]["masks"][0] for line in drawn]
    truths = [masks.encode(components._scene(int(line["sample_id"][1:]), size)[1]) for line in drawn]
    expected = [masks.iou([mask], [truth])[0, 0] for mask, truth in zip(first, truths, strict=True)]
    shown = rows["toy-anywhere points, toy-first pick"]["figures"]["M"]["value"]
    assert shown == pytest.approx(100 * sum(expected) / len(expected))
    assert f"{shown:.1f}" in done.stdout
    assert "toy-first pick" not in done.stdout  # a column beside the strategy, not a line of its own


def test_labels_that_end_alike_each_have_their_own_control(workplace):
    """With "x points, b" and "b" the end of a control's name fits both; each row shows its own all the same."""
    first, best = {"name": "toy-first", "label": "b"}, {"name": "toy-best", "label": "x points, b"}
    done = workplace("run", str(workplace.config(selections=[best, first])))
    rows = {row["key"]: row for row in workplace.summary()["rows"]}
    controls = {row["control_of"]: row for row in rows.values() if row["control"]}
    assert set(controls) == {"b", "x points, b"}
    apart = {name: rows[name]["figures"]["M"]["value"] - one["figures"]["M"]["value"] for name, one in controls.items()}
    shown = {name: f"{value:.1f}" for name, value in apart.items()}
    assert shown["b"] != shown["x points, b"]  # the best mask of random points, and the first of them
    beside = done.stdout[done.stdout.rindex("M less") :]
    for name, value in shown.items():
        line = next(line for line in beside.splitlines() if line.startswith(f"{name} "))
        assert line.split()[-1] == f"{value}*", beside  # of six samples
    scored = workplace("score", "out", "--json", "-")
    again = {row["key"]: row for row in json.loads(scored.stdout)["rows"]}
    assert {key: row["control_of"] for key, row in again.items()} == {
        key: row["control_of"] for key, row in rows.items()
    }


def test_a_control_is_matched_by_what_it_is(workplace):
    """The config's own control is the labelled strategy's, which it equals; another's config makes it another's."""
    labelled = [{"name": "toy-best", "label": "b"}, {"name": "toy-first", "label": "toy-best"}]
    workplace("run", str(workplace.config(selections=labelled)))
    controls = [row["control_of"] for row in workplace.summary()["rows"] if row["control"]]
    assert controls == ["b", "toy-best"]
    workplace("run", str(workplace.config(selections=labelled[1:])))
    controls = [row["control_of"] for row in workplace.summary()["rows"] if row["control"]]
    assert controls == ["toy-best (as the control has it)", "toy-best"]


def test_a_label_is_no_controls_name(workplace):
    label = "toy-anywhere points, toy-best pick"
    config = workplace.config(selections=["toy-best", {"name": "toy-first", "label": label}])
    failed = workplace("run", str(config), status=2)
    assert f"'{label}' is the name of a matched control's row" in failed.stderr


def test_one_strategy_twice_has_two_rows(workplace):
    twice = [{"name": "toy-first", "label": "one"}, {"name": "toy-first", "label": "two"}]
    workplace("run", str(workplace.config(selections=twice)))
    one, two, control, *_ = workplace.summary()["rows"]
    assert (one["name"], two["name"], control["control"]) == ("one", "two", True)
    assert one["figures"] == two["figures"]
    workplace("report", "out")
    assert [row["name"] for row in workplace.summary()["rows"][:2]] == ["one", "two"]
