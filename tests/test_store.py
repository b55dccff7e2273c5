"""Records come back as they were put, however large and odd."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixcore.errors import StoreError
from pixcore.notices import Notice
from pixcore.stages.serialise import Entry
from pixcore.stages.store import StageStore

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(body=JSON, repeat=st.sampled_from([1, 2000]))
def test_a_body_comes_back(tmp_path_factory: pytest.TempPathFactory, body: object, repeat: int):
    """Also one that is large enough to be compressed."""
    with closing(StageStore(tmp_path_factory.mktemp("store"), "answer", {})) as store:
        store.put("key", "sample", Entry([body] * repeat))
        found = store.get("key")
    assert found is not None
    assert found.body == [body] * repeat


def test_a_large_body_is_compressed_and_a_small_one_is_text(tmp_path: Path):
    counts = "".join(np.random.default_rng(0).choice(list("0123456789abcdefgh"), 50_000))
    with closing(StageStore(tmp_path, "propose", {})) as store:
        store.put("small", "one", Entry({"text": "short"}))
        store.put("large", "two", Entry({"counts": counts}))
        path = store.path
        assert store.get("large").body == {"counts": counts}
    stored = dict(sqlite3.connect(path).execute("SELECT key, body FROM records"))
    assert stored["small"] == '{"text":"short"}'
    assert len(stored["large"]) < 0.7 * len(counts)


def test_numpys_numbers_are_numbers_and_arrays_are_refused(tmp_path: Path):
    with closing(StageStore(tmp_path, "select", {})) as store:
        store.put("key", "one", Entry({"score": np.float32(0.5), "votes": np.int64(3), "fine": np.bool_(True)}))
        assert store.get("key").body == {"score": 0.5, "votes": 3, "fine": True}
        with pytest.raises(TypeError, match="ndarray is not JSON data"):
            store.put("other", "two", Entry({"votes": np.arange(3)}))


ARRAYS = st.tuples(
    st.sampled_from(["float16", "float32", "int64", "int8", "bool"]),
    st.lists(st.integers(0, 4), max_size=3),
    st.integers(0, 2**32 - 1),
)


@given(described=st.dictionaries(st.text(), ARRAYS, max_size=4))
def test_arrays_come_back_with_their_dtypes_and_shapes(tmp_path_factory: pytest.TempPathFactory, described):
    arrays = {
        name: np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)
        for name, (dtype, shape, seed) in described.items()
    }
    with closing(StageStore(tmp_path_factory.mktemp("store"), "answer", {})) as store:
        store.put("key", "sample", Entry({}, arrays))
        found = store.get("key").arrays
    assert list(found) == list(arrays)
    for name, values in arrays.items():
        assert (found[name].dtype, found[name].shape) == (values.dtype, values.shape)
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET body = replace(body, '41', '47') WHERE key = 'first'",
        "UPDATE records SET key = 'third' WHERE key = 'second'",
        "UPDATE records SET arrays = NULL WHERE key = 'first'",
        "UPDATE records SET checksum = NULL WHERE key = 'first'",
    ],
)
def test_a_record_that_changed_on_disk_is_no_record(tmp_path: Path, change: str) -> None:
    with closing(StageStore(tmp_path, "select", {"a": 1})) as store:
        store.put("first", "one", Entry({"mask": 41}, {"values": np.arange(3)}))
        store.put("second", "two", Entry({"mask": 2}))
        path = store.path
    with sqlite3.connect(path) as db:
        db.execute(change)
    with closing(StageStore(tmp_path, "select", {"a": 1})) as store:
        wrong = [key for key in ("first", "second", "third") if _refused(store, key)]
        assert wrong == (["third"] if "third" in change else ["first"])


def _refused(store: StageStore, key: str) -> bool:
    try:
        store.get(key)
    except StoreError as error:
        return store.path.name in str(error)
    return False


def test_what_can_not_be_remembered_is_no_damage_of_the_file(tmp_path: Path) -> None:
    with closing(StageStore(tmp_path, "exchanges", {})) as store:
        with pytest.raises(TypeError, match="set is not JSON"):
            store.remember("key", {"votes": {1, 2}})
        assert store.recall("key") is None


@pytest.mark.parametrize(
    "change",
    [
        "replace(document, 'yes', 'yet')",
        "substr(document, 1, 9)",
        "replace(document, '{', 'null {')",
        "'null' || substr(document, instr(document, char(10)))",
        "CAST(x'7bff7d' AS TEXT)",
        "zeroblob(40)",
    ],
)
def test_a_paid_answer_that_changed_on_disk_is_told_and_asked_for_anew(tmp_path: Path, change: str) -> None:
    with closing(StageStore(tmp_path, "exchanges", {})) as store:
        for key in ("first", "second"):
            store.remember(key, {"text": "yes"})
        with sqlite3.connect(store.path) as db:
            db.execute(f"UPDATE exchanges SET document = {change} WHERE key = 'first'")
        with pytest.warns(Notice, match=f"{store.path}: what was remembered under first is not as it was written"):
            assert store.recall("first") is None
        assert store.recall("second") == {"text": "yes"}
        store.remember("first", {"text": "no"})
        assert store.recall("first") == {"text": "no"}


def test_an_answer_that_was_paid_for_before_they_had_checksums_is_recalled(tmp_path: Path) -> None:
    with closing(StageStore(tmp_path, "exchanges", {})) as store:
        store._db.execute("INSERT INTO exchanges VALUES ('old', '{\"text\": \"yes\"}')")
        assert store.recall("old") == {"text": "yes"}


def test_a_text_that_is_no_utf8_any_more_is_damage_and_no_matter_of_the_folder(tmp_path: Path) -> None:
    with closing(StageStore(tmp_path, "select", {})) as store:
        store.put("key", "one", Entry({"mask": 1}))
        store._db.execute("UPDATE records SET body = CAST(x'7bff7d' AS TEXT)")
        with pytest.raises(StoreError) as refused:
            store.get("key")
        assert "move this file away" in refused.value.hint


def test_an_id_or_an_error_that_has_no_utf8_is_no_damage_of_the_file(tmp_path: Path) -> None:
    with closing(StageStore(tmp_path, "select", {})) as store:
        store.put("key", "a\ud800", Entry({"mask": 1}))
        store.put_failure("other", "b\ud800", "can't read '\ud83d'")
        assert store.get("key").body == {"mask": 1}
        assert store.failure("other") == "can't read '\\ud83d'"
        assert [row.sample_id for row in store.rows(["key", "other"])] == ["a\\ud800"]


def test_one_record_is_forgotten_or_all_are(tmp_path: Path) -> None:
    with closing(StageStore(tmp_path, "select", {})) as store:
        for key in "abc":
            store.put(key, key, Entry(key))
        store.clear("b")
        assert [key for key in "abc" if store.has(key)] == ["a", "c"]
        store.clear()
        assert not any(map(store.has, "abc"))


def test_one_record_is_forgotten_without_a_look_at_all(tmp_path: Path) -> None:
    said: list[str] = []
    with closing(StageStore(tmp_path, "select", {})) as store:
        store._db.set_trace_callback(said.append)
        store.clear("b")
        store._db.set_trace_callback(None)
        (plan,) = store._db.execute(f"EXPLAIN QUERY PLAN {said[0]}").fetchall()
    assert plan[-1].startswith("SEARCH records USING PRIMARY KEY")


def test_a_store_under_anothers_name_is_refused(tmp_path: Path) -> None:
    with closing(StageStore(tmp_path, "select", {"a": 1})) as store:
        store.put("key", "one", Entry({"mask": 1}))
        path = store.path
    with closing(StageStore(tmp_path, "select", {"a": 2})) as other:
        target = other.path
    target.write_bytes(path.read_bytes())
    with pytest.raises(StoreError, match="another stage"):
        StageStore(tmp_path, "select", {"a": 2})
