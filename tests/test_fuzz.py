"""What holds of a fit holds over the whole range of floats; `benchmarks/fuzz.py` looks longer."""

import dataclasses

import fuzzing
import jax
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mixjax

CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def cases(dtype):
    widest = fuzzing.WIDEST[dtype]
    return st.builds(
        fuzzing.Case,
        seed=st.integers(0, 2**31 - 1),
        kind=st.sampled_from(fuzzing.KINDS),
        power=st.floats(-widest, widest),
        offset=st.one_of(st.just(0.0), st.floats(1, 1e9)),
        spread=st.one_of(st.none(), st.floats(0, 12)),
        dtype=st.just(dtype),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=CHECKS, derandomize=True)
@given(case=cases("float32"))
def test_a_fit_keeps_its_promises(family, case):
    assert fuzzing.failures(family, case) == []


@settings(max_examples=30, deadline=None, suppress_health_check=CHECKS, derandomize=True)
@given(case=cases("float64"))
def test_a_fit_in_double_precision_keeps_its_promises(family, case):
    with jax.enable_x64(True):
        assert fuzzing.failures(family, case) == []


def test_a_broken_fit_is_found(monkeypatch):
    """The checks can fail: a fit with NaN in its parameters is not passed over."""
    real = fuzzing.fitted

    def broken(*arguments):
        fit = real(*arguments)
        parameters = jax.tree.map(lambda leaf: leaf * float("nan"), fit.mixture)
        return dataclasses.replace(fit, mixture=parameters)

    case = fuzzing.Case(0, "clusters", 0.0, 0.0, None, "float32")
    assert fuzzing.failures(mixjax.Gaussian, case) == []
    monkeypatch.setattr(fuzzing, "fitted", broken)
    assert any("not finite" in text for text in fuzzing.failures(mixjax.Gaussian, case))
