"""Anyone's measurements: formats read, faults refused with one sentence that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rating.errors import FileRefused
from rating.files import read_measurements

HEAD = "model,task,item,energy_j,quality\n"
GOOD = HEAD + "a,qa,1,2.5,1\nb,qa,1,,0.5\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(FileRefused) as caught:
        read_measurements(path)
    for sentence in (caught.value.en, caught.value.zh):
        assert path.name in sentence
        assert "\n" not in sentence
    assert caught.value.exit_code == 2
    return caught.value.en


def test_a_plain_csv(tmp_path: Path) -> None:
    found = read_measurements(written(tmp_path, "m.csv", GOOD))
    assert [c.model for c in found.configurations] == ["a", "b"]
    assert found.energy_j[0] == 2.5
    assert np.isnan(found.energy_j[1])
    assert found.quality.tolist() == [1.0, 0.5]
    assert found.cohorts == (None,)
    assert found.items == ("1",)
    assert found.gpu_energy_j is None


def test_every_format_reads_the_same(tmp_path: Path) -> None:
    rows = [
        {"model": "a", "task": "qa", "item": str(item), "repeat": repeat, "load": "short", "language": "zh",
         "energy_j": 1.5 + item, "quality": 0.25, "cohort": "机器", "energy_tier": "wall", "energy_scope": "machine",
         "cpu_energy_j": 0.5, "gpu_energy_j": 1.0, "duration_s": 2.0}
        for item in range(2) for repeat in (1, 2)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    written(tmp_path, "m.csv", "\r\n".join(lines))
    written(tmp_path, "bom.csv", b"\xef\xbb\xbf" + "\n".join(lines).encode())
    written(tmp_path, "wide.csv", "\n".join(lines).encode("utf-16"))
    written(tmp_path, "m.tsv", "\n".join(lines).replace(",", "\t"))
    written(tmp_path, "m.jsonl", "\n".join(json.dumps(row) for row in rows))
    for name in ("m.csv", "bom.csv", "wide.csv", "m.tsv", "m.jsonl", "m.parquet"):
        found = read_measurements(tmp_path / name)
        assert found.energy_j.tolist() == [1.5, 1.5, 2.5, 2.5], name
        assert found.repeat.tolist() == [1, 2, 1, 2]
        assert found.items == ("0 [short, zh]", "1 [short, zh]")
        assert found.cohorts == ("机器",)
        assert found.conditions[0][:4] == ("short", "zh", "wall", "machine")
        assert found.duration_s is not None
        assert found.duration_s.tolist() == [2.0] * 4


def test_passed_is_a_quality_of_one_or_zero(tmp_path: Path) -> None:
    text = "model,task,item,energy_j,passed\na,qa,1,1,true\na,qa,2,1,NO\na,qa,3,1,\na,qa,4,1,1\n"
    found = read_measurements(written(tmp_path, "m.csv", text))
    assert found.quality.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(found.quality[2])
    assert found.quality[3] == 1.0
    table = pa.table({"model": ["a"], "task": ["qa"], "item": [7], "energy_j": [3], "passed": [False]})
    pq.write_table(table, tmp_path / "m.parquet")
    assert read_measurements(tmp_path / "m.parquet").quality.tolist() == [0.0]


def test_names_that_look_like_numbers_or_nothing_stay_names(tmp_path: Path) -> None:
    text = HEAD + '"NA","null",007,1,1\n"a, ""b""","null",7,1,1\n'
    found = read_measurements(written(tmp_path, "m.csv", text))
    assert [c.model for c in found.configurations] == ["NA", 'a, "b"']
    assert found.tasks == ("null",)
    assert found.items == ("007", "7")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        (HEAD, "no rows"),
        ("model,task,item,energy,quality\na,qa,1,1,1\n", "energy_j; rename 'energy'?"),
        ("task,item,energy_j,quality\nqa,1,1,1\n", "no column model"),
        ("model,task,item,energy_j\na,qa,1,1\n", "quality or passed"),
        ("model,task,item,energy_j,quality,energy_teir\na,qa,1,1,1,wall\n", "'energy_tier'"),
        ("model,task,item,energy_j,energy_j,quality\na,qa,1,1,1,1\n", "twice"),
        ("1,2,3\n4,5,6\n", "no column model"),
        (HEAD + "a,qa,1,1,1.5\n", "row 1: quality is 1.5"),
        (HEAD + "a,qa,1,-1,1\n", "row 1: energy_j is negative"),
        (HEAD + "a,qa,1,inf,1\n", "row 1: energy_j is infinite"),
        (HEAD + "a,qa,1,1,1\na,qa,2,much,1\n", "row 2: energy_j is 'much', not a number"),
        (HEAD + "a,qa,1,1,1\n,qa,2,1,1\n", "row 2: model is empty"),
        (HEAD + "a,overall,1,1,1\n", "reserved"),
        (HEAD + "a,qa,1,1\n", "readable"),
        (HEAD + "a,qa,1,1,1,9\n", "readable"),
        ("model,task,item,energy_j,quality,energy_tier\na,qa,1,1,1,guess\n", "'guess', must be one of"),
        ("model,task,item,energy_j,quality,repeat\na,qa,1,1,1,1\na,qa,1,2,1,1\n", "rows 1 and 2"),
        ("model,task,item,energy_j,quality,repeat\na,qa,1,1,1,1.5\n", "whole number"),
        ("model,task,item,energy_j,quality,repeat\na,qa,1,1,1,\n", "whole number"),
        ("model,task,item,energy_j,passed\na,qa,1,1,perhaps\n", "true or false"),
        (b"\x00\x01\x02", "not text"),
        (b"PAR1xxxx", "not text"),
        (GOOD.encode() + "模型,qa,1,1,1\n".encode("gb18030"), "UTF-8 from line 4"),
    ],
)
def test_faults_are_refused(tmp_path: Path, content: str | bytes, says: str) -> None:
    assert says in refusal(written(tmp_path, "m.csv", content))


@pytest.mark.parametrize("name", ["m.parquet", "m.jsonl", "m.xlsx", "m"])
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, name: str) -> None:
    assert refusal(written(tmp_path, name, GOOD))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "cannot be read" in refusal(tmp_path / "folder.csv")


def test_columns_of_the_wrong_kind(tmp_path: Path) -> None:
    table = pa.table({"model": [["a"]], "task": ["qa"], "item": ["1"], "energy_j": [1.0], "quality": [1.0]})
    pq.write_table(table, tmp_path / "m.parquet")
    assert "model" in refusal(tmp_path / "m.parquet")
    lines = '{"model":"a","task":"qa","item":"1","energy_j":{"x":1},"quality":1}\n'
    assert "energy_j" in refusal(written(tmp_path, "m.jsonl", lines))


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_break_the_reader(tmp_path: Path, junk: bytes) -> None:
    for name in ("j.csv", "j.parquet", "j.jsonl"):
        for content in (junk, HEAD.encode() + junk):
            try:
                read_measurements(written(tmp_path, name, content))
            except FileRefused as error:
                assert name in error.en  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("list.json", '[{"model": "a", "task": "qa", "item": 1, "energy_j": 2, "quality": 1}]', "one object per line"),
        ("european.csv", "model;task;item;energy_j;quality\na;qa;1;2,5;1\n", "semicolons"),
        ("tabs.csv", "model\ttask\titem\tenergy_j\tquality\na\tqa\t1\t2\t1\n", "by tabs"),
        ("far.csv", "model,task,item,energy_j,quality,repeat\na,qa,1,1,1,1e30\n", "repeat must be a whole number"),
        ("lines.csv", '{"model": "a", "task": "qa", "item": 1, "energy_j": 2, "quality": 1}\n', "no column model"),
    ],
)
def test_a_file_of_another_kind_is_named_with_the_cure(tmp_path: Path, name: str, content: str, said: str) -> None:
    assert said in refusal(written(tmp_path, name, content))


def test_truth_values_are_no_joules_but_a_quality(tmp_path: Path) -> None:
    row = {"model": "a", "task": "qa", "item": "1", "energy_j": 2.0, "quality": True}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "m.parquet")
    assert read_measurements(tmp_path / "m.parquet").quality.tolist() == [1.0]
    pq.write_table(pa.Table.from_pylist([row | {"energy_j": True}]), tmp_path / "m.parquet")
    assert "energy_j does not hold numbers" in refusal(tmp_path / "m.parquet")
