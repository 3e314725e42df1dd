"""Any table is taken in as what it says: frames, lists, whole numbers, dates."""

import datetime
import sys
from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

import mixjax
import mixjax.explorer
from mixjax.rows.frames import in_order, keys_of, rows_of, values_of
from mixjax.sklearn import GaussianMixture, MixtureDetector

KEY = jax.random.key(0)
NAN = float("nan")
WHEN = datetime.datetime(2024, 1, 1, 12)
DAYS = 19723.5  # from 1970 to then
BERLIN = datetime.timezone(datetime.timedelta(hours=1))
ONE = {"families": [mixjax.DiagonalGaussian], "n_components": [1]}

# What a column holds, as Python's values, and what numbers that is.
COLUMNS = {
    "whole": ([3, 2**40], [3.0, 2.0**40]),
    "missing": ([3, None], [3.0, NAN]),
    "booleans": ([True, None, False], [1.0, NAN, 0.0]),
    "dates": ([datetime.date(1969, 12, 31), None], [-1.0, NAN]),
    "times": ([WHEN, None], [DAYS, NAN]),
    "zones": ([WHEN.replace(tzinfo=BERLIN), None], [DAYS - 1 / 24, NAN]),
    "durations": ([datetime.timedelta(hours=36), None], [1.5, NAN]),
    "decimals": ([Decimal("0.25"), None], [0.25, NAN]),
    "nothing": ([None, None], [NAN, NAN]),
}
MAKERS = {
    "pandas": lambda cells: pd.Series(cells),
    "pandas objects": lambda cells: pd.Series(cells, dtype=object),
    "pandas by Arrow": lambda cells: pd.Series(cells, dtype=pd.ArrowDtype(pa.array(cells).type)),
    "polars": lambda cells: pl.Series(cells),
    "pyarrow": lambda cells: pa.chunked_array([pa.array(cells)]),
    "NumPy objects": lambda cells: np.array(cells, object),
    "list": lambda cells: cells,
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_become_the_numbers_they_stand_for(kind, maker):
    cells, numbers = COLUMNS[kind]
    made = MAKERS[maker](cells)
    np.testing.assert_array_equal(values_of(made, "weights"), numbers)
    rows, names = rows_of({"first": made, 2: np.zeros(len(cells))})
    np.testing.assert_array_equal(rows[:, 0], numbers)
    assert names == ("first", "2")
    assert rows.dtype == np.float64


def test_columns_of_every_kind_of_missing_value():
    for made in [
        pd.Series([5, None], dtype="Int64"), pd.Series([5, None]).astype("category"),
        pd.array([5, None], dtype="Float64"), pa.chunked_array([pa.array([5, None]).dictionary_encode()]),
    ]:  # fmt: skip
        np.testing.assert_array_equal(values_of(made, "x"), [5, NAN])


FRAMES = {
    "pandas": lambda columns: pd.DataFrame(columns),
    "polars": lambda columns: pl.DataFrame(columns),
    "lazy": lambda columns: pl.LazyFrame(columns),
    "pyarrow": lambda columns: pa.table(columns),
    "batch": lambda columns: pa.RecordBatch.from_pydict(columns),
    "mapping": lambda columns: columns,
}


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_keep_their_names_and_digits(frame):
    big = [1.7e9 + i / 8 for i in range(3)]
    rows, names = rows_of(FRAMES[frame]({"when": big, "n": [1, 2, 3], "ok": [True, False, True]}))
    np.testing.assert_array_equal(rows, np.stack([big, [1, 2, 3], [1, 0, 1]], axis=1))
    assert names == ("when", "n", "ok")
    single, _ = rows_of(FRAMES[frame]({"a": np.float32([1, 2]), "b": np.float32([3, 4])}))
    assert single.dtype == np.float32
    np.testing.assert_array_equal(
        in_order(FRAMES[frame]({"b": [1], "a": [2], "c": [3]}), ["a", "b"]), [[2, 1]]
    )
    with pytest.raises(ValueError, match="no column 'd'; it has a, b"):
        in_order(FRAMES[frame]({"a": [1], "b": [2]}), ["a", "d"])


def test_arrays_stay_as_they_are():
    x = np.ones((3, 2), "float32")
    assert rows_of(x)[0] is x
    y = jnp.ones((3, 2))
    assert rows_of(y)[0] is y
    whole = jax.jit(lambda x: rows_of(x)[0])(jnp.arange(4))
    assert whole.dtype == jnp.float32
    np.testing.assert_array_equal(rows_of(np.ma.array(x))[0], x)
    assert values_of(np.array([1, 0]), "labels").dtype.kind == "i"
    named = np.array([(1, 2.5)], dtype=[("a", int), ("b", float)])
    assert rows_of(named)[1] == ("a", "b")


def test_keys_of_groups_stay_what_they_are():
    for made in (["b", "a"], pd.Series(["b", "a"]), pl.Series(["b", "a"]), np.array(["b", "a"]),
                 pd.Series(["b", "a"]).astype("category"), pd.Series(["b", "a"], dtype="string[pyarrow]")):  # fmt: skip
        assert keys_of(made, "groups").tolist() == ["b", "a"]
    assert keys_of(["1", 1], "groups").tolist() == ["1", 1]
    assert keys_of(pl.Series([3, 1]), "groups").tolist() == [3, 1]
    with pytest.raises(TypeError):
        mixjax.fit_groups(KEY, np.eye(4), ["1", 1, "1", 1], 1)


MASKED = np.ma.masked_equal(np.array([[1.0, -9999], [2, 3]]), -9999)
REFUSED = {
    "a word": (lambda: [[1, "b"], [2, "3"]], TypeError, "x, column 1 must hold numbers, got 'b' in row 0"),
    "a word in a frame": (lambda: pd.DataFrame({"a": [1, 2], "g": [None, "u"]}), TypeError, "column 'g'.*'u' in row 1"),
    "categories": (lambda: pl.DataFrame({"g": pl.Series(["u"], dtype=pl.Categorical)}), TypeError, "column 'g'.*'u'"),
    "numbers as text": (lambda: np.array([["1", "2"]]), TypeError, "column 0 must hold numbers, got '1'"),
    "complex": (lambda: np.array([[1j]]), TypeError, "real numbers, got complex128"),
    "lists in cells": (lambda: pl.DataFrame({"g": [[1], [2]]}), TypeError, "column 'g'"),
    "sparse": (lambda: scipy.sparse.csr_matrix(np.eye(2)), TypeError, r"x.toarray\(\)"),
    "sparse array": (lambda: scipy.sparse.csr_array(np.eye(2)), TypeError, r"x.toarray\(\)"),
    "masked": (lambda: MASKED, ValueError, "1 masked cell.*filled"),
    "masked rows": (lambda: list(MASKED), ValueError, "1 masked cell"),
    "ragged": (lambda: [[1, 2], [3]], ValueError, "rows of equal length"),
    "ragged columns": (lambda: {"a": [1], "b": [1, 2]}, ValueError, "columns of 1 and 2 rows"),
    "one name twice": (lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "several columns with the same name"),
    "huge": (lambda: [[10**400]], ValueError, "too large"),
    "nothing": (lambda: None, ValueError, r"shape \(rows, columns\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_of_numbers_is_refused(case):
    make, error, match = REFUSED[case]
    for call in (lambda x: mixjax.fit(KEY, x, 1), lambda x: mixjax.detect.fit(KEY, x)):
        with pytest.raises(error, match=match):
            call(make())


def test_masks_are_refused_wherever_rows_or_weights_go():
    x = np.random.default_rng(0).normal(size=(40, 2))
    masked = np.ma.masked_array(x, np.arange(80).reshape(40, 2) == 6)
    weights = np.ma.masked_array(np.ones(40), np.arange(40) == 3)
    fit = mixjax.fit(KEY, x, 1, family=mixjax.DiagonalGaussian)
    for call in [
        lambda: mixjax.fit_stream(KEY, masked, 1),
        lambda: mixjax.fit_stream(KEY, [masked], 1),
        lambda: mixjax.fit_stream(KEY, [{"a": masked[:, 0]}], 1),
        lambda: mixjax.fit_batch(KEY, [x, masked], 1),
        lambda: mixjax.fit_batch(KEY, masked[None], 1),
        lambda: mixjax.fit_batch(KEY, [x], 1, weights=[weights]),
        lambda: mixjax.fit_groups(KEY, masked, np.zeros(40), 1),
        lambda: mixjax.fit_groups(KEY, x, weights, 1),
        lambda: mixjax.fit(KEY, x, 1, weights=weights),
        lambda: mixjax.energy(fit.mixture, masked),
        lambda: mixjax.select(KEY, masked),
        lambda: mixjax.threshold.percentile(masked[:, 0], 95),
    ]:
        with pytest.raises(ValueError, match="masked"):
            call()


def test_a_frame_without_narwhals_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ImportError, match=r"mixjax\[frames\]"):
        mixjax.fit(KEY, pd.DataFrame({"a": [1.0, 2.0]}), 1)
    assert rows_of(np.eye(2))[0].shape == (2, 2)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_detector_knows_its_columns_by_name(frame, tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 2)) * [1, 9] + [1.7e9, 0]
    table = frame({"when": x[:, 0], "n": x[:, 1]})
    detector = mixjax.detect.fit(KEY, table, **ONE)
    assert detector.feature_names == ("when", "n")
    plain = mixjax.detect.fit(KEY, x, **ONE)
    scores = np.asarray(plain.scores(x))
    np.testing.assert_array_equal(detector.scores(table), scores)
    np.testing.assert_array_equal(detector.scores(x.tolist()), scores)
    turned = frame({"other": x[:, 0], "n": x[:, 1], "when": x[:, 0]})
    np.testing.assert_array_equal(detector.scores(turned), scores)
    np.testing.assert_array_equal(plain.scores(table), scores)  # known by position alone
    with pytest.raises(ValueError, match="no column 'when'"):
        detector.scores(frame({"n": x[:, 1]}))
    mixjax.explorer.write(tmp_path / "page.html", detector, turned, labels=turned["n"])
    named = mixjax.detect.fit(KEY, x, feature_names=np.array(["p", "q"]), **ONE)
    assert named.feature_names == ("p", "q")


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_every_door_takes_frames_and_whole_numbers(frame):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 50, (40, 2))
    table = frame({"a": x[:, 0], "b": x[:, 1]})
    options = {"family": mixjax.DiagonalGaussian, "max_iter": 3}
    weights = rng.integers(1, 4, 40)
    series = pd.Series(weights, dtype="int64[pyarrow]")
    plain = mixjax.fit(KEY, x.astype(float), 2, weights=weights, **options)
    energy = np.asarray(mixjax.energy(plain.mixture, x.astype(float)))

    def same(fit):
        np.testing.assert_array_equal(mixjax.energy(fit.mixture, table), energy)

    same(mixjax.fit(KEY, table, 2, weights=series, **options))
    same(mixjax.fit(KEY, x.tolist(), 2, weights=pl.Series(weights), **options))
    same(mixjax.fit(KEY, jnp.asarray(x), 2, weights=weights.tolist(), **options))
    batch = mixjax.fit_batch(KEY, [x.astype(float)], 2, weights=[weights], **options)
    fits = mixjax.fit_batch(KEY, [table], 2, weights=[series], **options)
    np.testing.assert_array_equal(fits.energy, batch.energy)
    keys, groups = mixjax.fit_groups(KEY, table, pd.Series(["u", "v"] * 20), 2, **options)
    assert keys.tolist() == ["u", "v"]
    _, by_array = mixjax.fit_groups(KEY, x.astype(float), [0, 1] * 20, 2, **options)
    np.testing.assert_array_equal(groups.energy, by_array.energy)
    stream = mixjax.fit_stream(KEY, x.astype(float), 2, **options)
    for source in (table, x, [table], [table, table[:0]], [{"a": table["a"], "b": x[:, 1]}]):
        np.testing.assert_array_equal(
            mixjax.fit_stream(KEY, source, 2, **options).energy, stream.energy
        )


def test_tables_of_several_kinds_are_fitted_at_once():
    x = np.random.default_rng(3).integers(0, 50, (40, 2))
    options = {"family": mixjax.DiagonalGaussian, "max_iter": 3}
    alike = mixjax.fit_batch(KEY, [x.astype(float)] * 4, 2, **options)
    tables = [x, x.astype("float32"), pl.DataFrame(x), x.tolist()]
    np.testing.assert_array_equal(mixjax.fit_batch(KEY, tables, 2, **options).energy, alike.energy)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_estimators_know_the_names_of_a_frame(frame):
    x = np.random.default_rng(4).integers(0, 50, (60, 2))
    table = frame({"a": x[:, 0], "b": x[:, 1]})
    weights = pd.Series(np.arange(60) % 3, dtype="int64[pyarrow]")
    mixture = GaussianMixture(2, random_state=0).fit(table, sample_weight=weights)
    plain = GaussianMixture(2, random_state=0).fit(x, sample_weight=np.arange(60) % 3)
    np.testing.assert_allclose(mixture.score_samples(table), plain.score_samples(x), rtol=1e-6)
    detector = MixtureDetector(1, covariance_type="diag", random_state=0).fit(table)
    plain = MixtureDetector(1, covariance_type="diag", random_state=0).fit(x)
    np.testing.assert_array_equal(detector.score_samples(table), plain.score_samples(x))
    assert detector.detector_.feature_names == ("a", "b")
    for fitted in (mixture, detector):
        assert fitted.feature_names_in_.tolist() == ["a", "b"]
        with pytest.raises(ValueError, match="feature names"):
            fitted.predict(frame({"b": x[:, 1], "a": x[:, 0]}))


def test_scores_and_labels_come_as_series():
    scores = np.arange(20.0)
    labels = (scores > 14).astype(int)
    best = mixjax.threshold.best_f1(scores, labels)
    for make in (
        pd.Series,
        pl.Series,
        lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.array(v).type)),
    ):
        assert float(mixjax.threshold.best_f1(make(scores), make(labels)).threshold) == float(
            best.threshold
        )
        assert float(mixjax.threshold.percentile(make(scores), 90)) == float(
            mixjax.threshold.percentile(scores, 90)
        )
    assert float(mixjax.threshold.percentile(np.arange(20), 90)) == pytest.approx(17.1)
