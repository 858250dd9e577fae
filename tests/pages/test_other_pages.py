"""Compare, collection and method."""

from pathlib import Path

import rating
from db import FLAGS, Store
from pages._ui import i18n
from tests.fakes.sample_store import LIVE, NIGHT, configuration_id
from tests.pages.conftest import Open, everything

EN = i18n.catalogue("en")


def test_compare_starts_with_the_most_efficient(sample: Path, app: Open) -> None:
    at = app(sample, "compare.py")
    assert at.multiselect[0].value[0] == configuration_id("llama3.2:3b-instruct-q4_K_M")
    assert len(at.get("vega_lite_chart")) == 5  # the plane, and energy and quality of two tasks


def test_compare_takes_its_choice_from_the_address(sample: Path, app: Open) -> None:
    wanted = [configuration_id(m) for m in ("gemma2:9b-instruct-q4_K_M", "llama3.2:3b-instruct-q8_0")]
    at = app(sample, "compare.py", **{"with": wanted})
    assert at.multiselect[0].value == wanted
    at.multiselect[0].set_value(wanted[:1]).run()
    assert [info.value for info in at.info] == [EN["compare.too_few"]]
    assert at.query_params["with"] == wanted[0]


def test_compare_pairs_the_precisions_of_one_model(sample: Path, app: Open) -> None:
    pairs = app(sample, "compare.py", task="qa").dataframe[-1].value
    assert set(pairs["change"]) == {"Q8_0 → Q4_K_M"}
    assert sorted(pairs["task"]) == [EN["task.qa"], EN["task.summary"]]


def test_compare_pairs_only_what_was_chosen(sample: Path, app: Open) -> None:
    others = [configuration_id(m) for m in ("gemma2:9b-instruct-q4_K_M", "llama3.2:3b-instruct-q8_0")]
    at = app(sample, "compare.py", **{"with": others})
    assert EN["compare.no_pairs"] in everything(at)
    assert not at.dataframe


def test_collection_shows_a_running_campaign_and_its_silence(sample: Path, app: Open) -> None:
    at = app(sample, "collection.py")
    metrics = {metric.label: metric.value for metric in at.metric}
    assert metrics[EN["collection.cells"]] == "20 / 80"
    assert metrics[EN["collection.left"]] == "3 hours"
    assert any(EN["collection.silent"].split("{")[0] in warning.value for warning in at.warning)


def test_collection_names_faults_with_their_effect(sample: Path, app: Open) -> None:
    at = app(sample, "collection.py", campaign=NIGHT)
    faults = next(table.value for table in at.dataframe if "meaning" in table.value)
    row = faults.set_index("flag").loc["http_500"]
    assert row["effect"] == EN["effect.left_out"]
    assert row["example"].startswith("runs?run=run-")


def test_collection_gives_the_cure_of_a_denied_sensor(sample: Path, app: Open) -> None:
    at = app(sample, "collection.py", campaign=LIVE)
    assert any("chmod" in code.value for code in at.code)


def test_a_campaign_without_runs_or_sensors_is_shown(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute(
            "INSERT INTO campaigns SELECT * REPLACE ('fresh' AS campaign_id, 'running' AS status, NULL AS heartbeat_at) "
            "FROM campaigns LIMIT 1"
        )
    at = app(own.path, "collection.py", campaign="fresh")
    assert not at.exception
    assert EN["collection.no_faults"] in everything(at)
    assert EN["collection.no_sensors"] in everything(at)


def test_method_shows_the_stored_scheme_and_every_flag(sample: Path, app: Open) -> None:
    at = app(sample, "method.py")
    flags = next(table.value for table in at.dataframe if "meaning" in table.value)
    assert list(flags["flag"]) == [flag.name for flag in FLAGS]
    classes = at.dataframe[0].value
    assert list(classes["letter"]) == list(rating.LETTERS)
    assert list(classes["eei"])[:2] == ["< 0.125", "< 0.25"]
    assert any("sample-1" in str(table.value) for table in at.table)


def test_method_survives_a_scheme_that_it_cannot_read(own: Store, app: Open) -> None:
    with own.write() as w:
        w.execute("UPDATE schemes SET definition = '{\"strange\": 1}'")
    at = app(own.path, "method.py")
    assert not at.exception
    assert EN["method.scheme_unknown"].format(name="sample-1") in everything(at)
