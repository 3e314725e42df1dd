"""A bounded number of compiled programs is kept, and nothing else changes."""

import io
import re
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.interpreters import partial_eval

import mixjax
from mixjax import programs
from mixjax.progress import progress_bar


@pytest.fixture(autouse=True)
def shelf(monkeypatch):
    """One of our own, so that the programs of other tests stay."""
    shelf = programs.Shelf(4)
    monkeypatch.setattr(programs, "_shelf", shelf)
    return shelf


class Counted:
    """A function, and the shapes that it was traced for."""

    def __init__(self, jit=programs.jit, **options):
        self.traced = []

        def times(x, factor=2, *, power=1):
            self.traced.append(x.shape)
            return factor * x**power

        self.f = jit(times, **options)


def ones(n):
    return jnp.ones(n, "float32")


def test_the_ones_used_last_are_kept():
    counted = Counted()
    for n in range(1, 30):
        assert counted.f(ones(n)).tolist() == [2.0] * n
        assert counted.f(ones(50)).shape == (50,)
        assert programs.n_kept() == min(n + 1, 4)
    assert counted.traced.count((50,)) == 1
    counted.f(ones(28)), counted.f(ones(29))
    assert len(counted.traced) == 30
    assert counted.f(ones(1)).tolist() == [2.0]
    assert len(counted.traced) == 31
    assert counted.f.n_compiled() == 4


def test_more_shapes_in_turn_than_are_kept():
    counted = Counted()
    for n in 3 * list(range(1, 10)):
        assert counted.f(ones(n)).tolist() == [2.0] * n
    assert programs.n_kept() == 4


def test_the_users_own_programs_stay():
    own = Counted(jax.jit)
    around = jax.jit(lambda x: programs_inside.f(x) + 1)
    programs_inside = Counted()
    own.f(ones(3)), around(ones(3))
    others = Counted()
    for n in range(1, 20):
        others.f(ones(n))
    assert own.f(ones(3)).tolist() == [2, 2, 2]
    assert around(ones(3)).tolist() == [3, 3, 3]
    assert own.traced == programs_inside.traced == [(3,)]


@pytest.mark.parametrize(
    "options", [{"static_argnums": 1}, {"static_argnames": "factor"}, {"static_argnums": (1,)}]
)
def test_a_program_for_each_static_value(options):
    counted = Counted(**options)
    for factor in (3, 5, 3):
        assert counted.f(ones(2), factor).tolist() == [factor] * 2
        assert counted.f(ones(2), factor=factor).tolist() == [factor] * 2
    assert programs.n_kept() == 4


def test_one_program_for_all_values():
    counted = Counted()
    for factor in (3.0, 5.0, 7.0):
        assert counted.f(ones(2), factor).tolist() == [factor] * 2
        assert counted.f(ones(2), factor, power=2).tolist() == [factor] * 2
    assert len(counted.traced) == 2


def test_dtypes_and_kinds_of_arrays():
    counted = Counted()
    assert counted.f(np.ones(2, "float32")).dtype == "float32"
    with jax.enable_x64(True):
        assert counted.f(np.ones(2)).dtype == "float64"
    assert counted.f(np.ones(2)).dtype == "float32"
    assert counted.f(ones(2)).dtype == "float32"


def test_under_transformations():
    f = Counted().f
    x = jnp.arange(6, dtype="float32").reshape(3, 2)
    assert jnp.array_equal(jax.vmap(f)(x), 2 * x)
    assert jnp.array_equal(jax.jit(f)(x), 2 * x)
    for wrap in (lambda g: g, jax.jit):
        gradient = wrap(jax.grad(lambda x: jnp.sum(f(x, power=3))))
        np.testing.assert_allclose(gradient(x), 6 * x**2)
    assert jax.eval_shape(f, x).shape == (3, 2)
    assert "multiply" in f.lower(x).as_text()


def test_programs_of_transformations_are_let_go():
    counted = Counted()
    gradient = jax.grad(lambda x: counted.f(x, power=3).sum())
    for n in range(1, 20):
        gradient(ones(n))
        jax.vmap(counted.f)(ones((n, 2)))
    assert counted.f.n_compiled() <= programs.n_kept() == 4


def test_donation():
    add = programs.jit(lambda x, y: x + y, donate_argnums=0)
    x = ones(3)
    assert add(x, ones(3)).tolist() == [2, 2, 2]
    assert x.is_deleted()


def test_an_option_that_this_xla_lacks(monkeypatch):
    """Options of compilers come and go between versions; they change no result."""
    monkeypatch.setattr(programs, "NO_LONGER_SURE", (0,))
    options = {"xla_no_such_option": True, "xla_backend_optimization_level": 0}
    assert programs.usable(options) == {"xla_backend_optimization_level": 0}
    double = programs.jit(lambda x: 2 * x, compiler_options=options)
    assert float(double(jnp.float32(3))) == 6


def test_threads():
    counted = Counted()
    with ThreadPoolExecutor(8) as threads:
        results = threads.map(lambda n: counted.f(ones(n)), 20 * list(range(1, 12)))
        for n, result in zip(20 * list(range(1, 12)), results, strict=True):
            assert result.tolist() == [2.0] * n
    assert programs.n_kept() == 4


def test_fewer_where_memory_maps_are_many(monkeypatch, shelf):
    programs.keep(1000)
    monkeypatch.setattr(programs, "n_maps", lambda: 30_001)
    counted = Counted()
    for n in range(1, 60):
        counted.f(ones(n))
    assert programs.FEWEST <= programs.n_kept() < programs.FEWEST + 2 * programs.STRIDE
    assert counted.f.n_compiled() == programs.n_kept()


def test_one_function_is_cleared():
    counted, other = Counted(), Counted()
    for n in (1, 2):
        counted.f(ones(n)), other.f(ones(n))
    counted.f.clear_cache()
    assert (counted.f.n_compiled(), other.f.n_compiled()) == (0, 2)
    assert counted.f(ones(2)).tolist() == [2, 2]


def test_keep():
    counted = Counted()
    for n in range(1, 5):
        counted.f(ones(n))
    programs.keep(2)
    assert programs.n_kept() == 2
    with pytest.raises(ValueError, match="at least 1, got 0"):
        programs.keep(0)


def test_a_fit_whose_program_is_gone_is_the_same(rng):
    x = rng.normal(size=(60, 2)).astype("float32")
    fits = []
    for n in [20, 25, 30, 40, 50, 60, 20]:
        fits.append(mixjax.fit(jax.random.key(0), x[:n], 2, max_iter=5))
        energy = mixjax.energy(fits[-1].mixture, x[:n]).mean()
        np.testing.assert_allclose(fits[-1].energy, energy, rtol=1e-5)
    assert programs.n_kept() == 4
    assert fits[0].energy == fits[-1].energy


def compiled(caplog, f):
    """The names of what is compiled meanwhile."""
    caplog.clear()
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        f()
    messages = [record.getMessage() for record in caplog.records]
    return [m.split()[4] for m in messages if m.startswith("Finished XLA compilation")]


MIXTURE = mixjax.Mixture(
    jnp.zeros(1, "float32"),
    mixjax.DiagonalGaussian(jnp.zeros((1, 2), "float32"), jnp.ones((1, 2), "float32")),
)
RULE = mixjax.threshold.conformal(np.arange(30, dtype="float32"), 0.1)
TAIL = mixjax.threshold.peaks_over_threshold(np.arange(200, dtype="float32"), 0.01)
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("f", "n_programs"),
    [
        (lambda x: mixjax.fit(KEY, x, 2), 0),
        (lambda x: mixjax.fit(KEY, x, 2, start=mixjax.RandomResponsibilities()), 0),
        (lambda x: mixjax.fit_from(MIXTURE, x), 0),
        (lambda x: mixjax.kmeans(KEY, x, 2), 0),
        (lambda x: mixjax.energy(MIXTURE, x), 0),
        (lambda x: mixjax.responsibilities(MIXTURE, x), 0),
        (lambda x: mixjax.sample(KEY, MIXTURE, len(x)), 1),
        (lambda x: mixjax.predict(MIXTURE, [0], np.asarray(x)[:, :1]), 0),
        (lambda x: mixjax.random_responsibilities(KEY, x, 2, np.ones(len(x))), 1),
        (lambda x: mixjax.m_step(mixjax.DiagonalGaussian, x, np.ones((len(x), 1), "f4")), 0),
        (lambda x: mixjax.feature_importance(MIXTURE, x), 1),
        (lambda x: mixjax.bic(MIXTURE, x), 0),
        (lambda x: RULE.p_values(np.asarray(x)[:, 0]), 1),
        (lambda x: RULE.flags(np.asarray(x)[:, 0]), 1),
        (lambda x: TAIL.p_values(np.asarray(x)[:, 0]), 1),
        (lambda x: mixjax.threshold.conformal(np.asarray(x)[:, 0], 0.1).threshold, 2),
        (lambda x: mixjax.threshold.percentile(np.asarray(x)[:, 0], 80), 1),
        (lambda x: mixjax.threshold.mad(np.asarray(x)[:, 0]), 1),
        (lambda x: mixjax.threshold.peaks_over_threshold(np.asarray(x)[:, 0], 1e-3), 1),
        (lambda x: mixjax.threshold.best_f1(np.asarray(x)[:, 0], np.arange(len(x)) % 3 == 0), 1),
    ],
)
def test_another_number_of_rows_makes_no_small_programs(f, n_programs, caplog):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(211, 2)), "float32")
    some, others = x[:207], x[:209]
    f(some)
    assert len(compiled(caplog, lambda: f(others))) == n_programs


def test_a_detector_makes_programs_on_the_shelf_alone(caplog, rng, monkeypatch, shelf):
    shelf.most = 100
    x = rng.normal(size=(123, 2)).astype("float32")
    options = {"n_components": [1], "families": [mixjax.DiagonalGaussian]}
    detector = mixjax.detect.fit(KEY, x[:120], **options)
    detector.judge(x[:51]), detector.explain(x[:51])
    before = programs.n_kept()
    names = compiled(caplog, lambda: mixjax.detect.fit(KEY, x, **options))
    names += compiled(caplog, lambda: (detector.judge(x[:52]), detector.explain(x[:52])))
    # Some of the kept ones only stand in others.
    assert len(names) <= programs.n_kept() - before
    assert not {"jit(stage)", "jit(gather)", "jit(convert_element_type)"} & set(names)


def test_no_aliasing_of_what_comes_from_numpy():
    for take in 10 * [programs.on_device, programs.taken]:
        x = np.zeros((64, 1024), "float32")
        taken = take(x)
        x[:] = 1
        assert not taken.any()


def test_a_bar_says_what_is_compiled(monkeypatch):
    rich = pytest.importorskip("rich.console")
    out = io.StringIO()
    console = rich.Console(file=out, force_terminal=True, width=100)
    monkeypatch.setattr("mixjax.progress.lasting_console", lambda **options: console)
    with progress_bar("fitting", "fit", 2, 0, True) as show:
        for n in (1, 2):
            f = programs.jit(lambda x: jnp.sum(x) + slow())
            f(ones(3)), f(ones(3))
            show(n, f"done {n}")
    assert re.findall(r"compiling program (\d)", out.getvalue())[-1] == "2"
    assert out.getvalue().rindex("done 2") > out.getvalue().rindex("compiling")


def slow():
    time.sleep(0.3)  # while it is traced: a bar is drawn ten times a second
    return 1.0


def test_traces_go_with_the_programs():
    """JAX keeps one of every function of `jax.numpy` for every shape, and has no limit."""
    traces = partial_eval.trace_to_jaxpr
    f = programs.jit(lambda x: jnp.where(x > 0, x, jnp.sum(x)))
    kept = []
    for n in range(1, 5 * programs.STRIDE):
        f(ones(n))
        kept.append(traces.cache_info().currsize)
    assert min(kept[-programs.STRIDE :]) <= kept[0]
    assert max(kept[2 * programs.STRIDE :]) <= 1.5 * max(kept[: 2 * programs.STRIDE])


def test_traces_go_in_the_middle_of_another():
    def outer(x):
        programs.give_back()
        return jnp.where(x > 0, programs.jit(jnp.sum)(x), x)

    expected = [[2.0, 2.0]] * 3
    assert jax.vmap(jax.jit(outer))(jnp.ones((3, 2))).tolist() == expected
