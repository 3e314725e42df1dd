"""What objects print in a session: a few lines, whatever their leaves are."""

import html.parser
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import FAMILIES
from test_own_family import Poisson

import mixjax
from mixjax import Status
from mixjax.selection.candidates import Candidate


def components(family, k, d, lead=(), dtype="float32"):
    """Components at 0, 1, 2, ... as NumPy arrays, with leading axes."""
    fields = vars(family.standard(k, d, "float32"))
    first = next(iter(fields))
    stacked = {name: np.broadcast_to(v, lead + v.shape).astype(dtype) for name, v in fields.items()}
    places = np.arange(k * d, dtype=dtype).reshape(k, d)
    return family(**{**stacked, first: stacked[first] + places})


def mixture(family=mixjax.Gaussian, k=3, d=2, lead=(), dtype="float32"):
    shares = np.arange(1, k + 1, dtype=dtype) / (k * (k + 1) / 2)
    logs = np.broadcast_to(np.log(shares), (*lead, k)).astype(dtype)
    return mixjax.Mixture(logs, components(family, k, d, lead, dtype))


def fit(status=Status.CONVERGED, lead=(), **options):
    energy, n_iter = np.full(lead, 3.21, np.float32), np.full(lead, 12, np.int32)
    return mixjax.Fit(
        mixture(lead=lead, **options), energy, n_iter, np.full(lead, status, np.int32)
    )


def on_device(tree):
    return jax.tree.map(jnp.asarray, tree)


def test_a_fit_says_how_it_went_and_what_it_found():
    assert repr(fit()).splitlines() == [
        "Fit: CONVERGED after 12 iterations, mean energy 3.21 nats",
        "  mixture      3 Gaussian components in 2 dimensions, float32",
        "  weights      0.1667  0.3333  0.5",
        "  means[:, 0]       0       2    4",
        "  means[:, 1]       1       3    5",
        "  factors      float32[3,2,2]",
    ]
    assert str(fit()) == repr(on_device(fit())) == repr(fit())
    assert "MAX_ITER after 12" in repr(fit(Status.MAX_ITER))


def test_many_fits_say_how_many_ended_how():
    fits = fit(lead=(1000,))
    fits.status[:5], fits.status[5:7] = Status.MAX_ITER, Status.NONFINITE
    fits.energy[0], fits.energy[1], fits.energy[5] = 2.5, 4, np.nan
    fits.n_iter[:2] = 1, 100
    assert repr(fits).splitlines() == [
        "Fit, 1,000 lanes: 993 CONVERGED, 5 MAX_ITER, 2 NONFINITE",
        "  energy       2.5 to 4 nats, 1 not finite",
        "  n_iter       1 to 100",
        "  mixture      3 Gaussian components in 2 dimensions, float32, 1,000 lanes",
        "  log_weights  float32[1000,3]",
        "  means        float32[1000,3,2]",
        "  factors      float32[1000,3,2,2]",
    ]
    assert repr(fits[3]).startswith("Fit: MAX_ITER")
    assert repr(fits[:1]).startswith("Fit, 1 lane: 1 MAX_ITER")
    assert repr(fits[:0]).startswith("Fit, 0 lanes:")
    assert repr(fit(lead=(2, 3))).startswith("Fit, 2 x 3 lanes: 6 CONVERGED")


@pytest.mark.parametrize("family", [*FAMILIES, Poisson])
def test_every_family_shows_its_parameters(family):
    one = components(family, 2, 1)
    assert repr(one).startswith(f"2 {family.__name__} components in 1 dimension, float32\n")
    name = next(iter(vars(one)))
    assert repr(one).splitlines()[1].split() == [f"{name}[:,", "0]", "0", "1"]
    assert repr(mixture(family, 1, 3)).startswith(f"Mixture of 1 {family.__name__} component in 3")
    wide = repr(components(family, 2, 50))
    assert f"  {name}" in wide
    assert "float32[2,50]" in wide
    assert repr(components(family, 2, 3, lead=(7,))).splitlines()[0].endswith(", 7 lanes")


def test_long_lists_are_cut():
    lines = repr(mixture(mixjax.Laplace, 20, 4)).splitlines()
    assert lines[1].endswith("... (20 in all)")
    assert len(lines) == 7
    assert max(map(len, lines)) < 120


def test_a_weight_may_be_zero_and_an_energy_infinite():
    logs = np.array([-np.inf, 0, 0])
    assert "weights      0  0.5  0.5" in repr(
        mixjax.Mixture(logs, components(mixjax.Gaussian, 3, 2))
    )
    no_weights = mixjax.Mixture(np.full(3, -np.inf), components(mixjax.Gaussian, 3, 2))
    assert "nan" in repr(no_weights)
    endless = mixjax.Fit(mixture(), np.float32(np.inf), np.int32(1), np.int32(Status.NONFINITE))
    assert repr(endless).startswith("Fit: NONFINITE after 1 iteration, mean energy inf nats\n")
    lost = mixjax.Fit(mixture(lead=(2,)), np.full(2, np.nan), np.ones(2, int), np.full(2, 2))
    assert "no finite number" in repr(lost)


def things():
    """One of each kind that is a pytree."""
    one, calibration = mixture(), np.arange(99, dtype=np.float32)
    numbers = np.float32(0.25)
    return [
        fit(),
        one,
        one.components,
        components(Poisson, 2, 2),
        mixjax.Average(np.zeros(2), (one, mixture(mixjax.Laplace, 5))),
        mixjax.Prediction(np.ones((20, 1)), np.ones((20, 1, 1))),
        mixjax.Stepwise(one, one, np.ones(2), np.ones(2), np.ones(2)),
        mixjax.threshold.Conformal(calibration, numbers),
        mixjax.threshold.BestF1(numbers, numbers, numbers, numbers),
        mixjax.threshold.ElkanNoto(numbers),
        mixjax.threshold.Tail(numbers, numbers, numbers, numbers, numbers),
        detector(),
        trained(),
    ]


def detector(names=("a", "b", "c")):
    from mixjax.detect.committee import Calibration, Member

    energies = np.arange(99, dtype=np.float32)
    calibration = Calibration(energies, *np.ones(3, np.float32))
    members = [
        Member(mixture(f, 4, lead=(5,)), calibration) for f in (mixjax.Gaussian, mixjax.Laplace)
    ]
    rule = mixjax.threshold.Conformal(energies, np.float32(0.01))
    candidates = (Candidate(mixjax.Gaussian, 4, 1e-6), Candidate(mixjax.Laplace, 4, 1e-6))
    return mixjax.detect.Detector(
        np.zeros(2), np.ones(2), np.zeros((2, 2)), tuple(members), np.ones(2, np.float32), rule, np.float32(4.5),
        np.ones(2), candidates=candidates, columns=(0, 2), feature_names=names,
    )  # fmt: skip


def trained(lead=(), status=0):
    from mixjax import dagmm

    model = types.SimpleNamespace(autoencoder=dagmm.Autoencoder(latent=2), n_features=30)
    terms = dagmm.Terms(*[np.full((*lead, 7), 1.5, np.float32)] * 5)
    status, error = np.full(lead, status, np.int32), np.full(lead, 0.25, np.float32)
    return dagmm.Trained(model, None, mixture(d=4, lead=lead), error, terms, status)


def test_a_detector_says_what_judges_what():
    assert repr(detector()).splitlines() == [
        "Detector of 2 mixtures, float32",
        "  mixtures   Gaussian (K = 4), Laplace (K = 4)",
        "  columns    'a', 'c'; 1 not used",
        "  alpha      0.01, the highest rate of false alarms",
        "  threshold  4.5, from 99 rows",
    ]


def test_a_training_says_how_it_ended():
    assert repr(trained()).splitlines() == [
        "Trained: COMPLETED after 7 epochs",
        "  loss        1.5",
        "  mean_error  0.25",
        "  model       Autoencoder, 2 latent columns for tables of 30",
        "  mixture     3 Gaussian components in 4 dimensions, float32",
    ]
    assert repr(trained((3,), 2)).startswith("Trained, 3 lanes: 3 DIVERGED after 7 epochs\n")


def test_a_selection_shows_the_best_and_prints_them_all():
    candidates = tuple(Candidate(mixjax.Gaussian, k, 0.001) for k in (1, 2, 4, 8, 16, 32))
    scores = np.array([3.5, 2.5, 2.25, 2.75, np.inf, 4])
    zeros = np.zeros(6, int)
    average = mixjax.Average(np.log([0.25, 0.75]), (mixture(), mixture(k=5)))
    selection = mixjax.Selection(candidates, scores, zeros, zeros, zeros, zeros, 1, fit(), average)
    assert repr(selection).splitlines() == [
        "Selection from 6 candidates (print lists them all)",
        "  best     2 Gaussian components, ridge 0.001, score 2.5",
        "  others   4 Gaussian components, ridge 0.001, score 2.25",
        "           8 Gaussian components, ridge 0.001, score 2.75",
        "           1 Gaussian component, ridge 0.001, score 3.5",
        "  fit      Fit: CONVERGED after 12 iterations, mean energy 3.21 nats",
        "  average  Average of 2 mixtures, by weight",
    ]
    assert len(str(selection).splitlines()) == 7
    assert repr(average).splitlines() == [
        "Average of 2 mixtures, by weight",
        "  0.75  5 Gaussian components in 2 dimensions, float32",
        "  0.25  3 Gaussian components in 2 dimensions, float32",
    ]


LEAVES = {
    "none": lambda leaf: None,
    "object": lambda leaf: object(),
    "axis": lambda leaf: 0,
    "word": lambda leaf: "word",
    "shape": lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), np.float32),
    "double": lambda leaf: np.asarray(leaf, np.float64),
    "half": lambda leaf: jnp.asarray(leaf, jnp.bfloat16),
    "key": lambda leaf: jax.random.key(0),
    "empty": lambda leaf: np.zeros((0,)),
    "nan": lambda leaf: np.full(np.shape(leaf), np.nan),
    "two": lambda leaf: np.stack([leaf, leaf]),
}


@pytest.mark.parametrize("leaf", LEAVES)
def test_nothing_raises_and_nothing_is_long(leaf):
    def change(old):
        # The stand-in for a model is a leaf as well, and stays.
        return LEAVES[leaf](old) if hasattr(old, "dtype") else old

    for thing in things():
        changed = jax.tree.map(change, thing)
        assert 1 <= len(repr(changed).splitlines()) <= 8
        assert type(thing).__name__ in repr(changed).splitlines()[0]
        changed._repr_html_()


def test_under_jit_and_vmap_shapes_are_shown():
    seen = []

    def look(thing):
        seen.append(repr(thing))
        return thing

    jax.eval_shape(look, fit())
    jax.eval_shape(jax.vmap(look), fit(lead=(4,)))
    for text in seen:
        assert text.splitlines() == [
            "Fit",
            "  mixture  Mixture of 3 Gaussian components in 2 dimensions, float32",
            "  energy   float32[]",
            "  n_iter   int32[]",
            "  status   int32[]",
        ]


def test_a_deleted_array_is_shown_by_its_shape():
    one = on_device(mixture())
    one.log_weights.delete()
    assert "log_weights  float32[3]" in repr(one)


def test_printing_compiles_nothing(caplog):
    several = [on_device(fit(k=k, lead=lead)) for k in (3, 4, 5) for lead in ((), (k,))]
    several += map(on_device, things()[:-1])
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        for thing in several:
            assert repr(thing)
            assert thing._repr_html_()
    assert "Finished XLA compilation" not in caplog.text


class Page(html.parser.HTMLParser):
    """The text of each cell, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ("table", "caption", "tr", "th", "td")
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data)


def test_a_notebook_shows_the_same_as_a_table():
    for thing in things():
        cells = Page(thing._repr_html_()).cells
        assert " ".join(cells).split() == repr(thing).split()
    # No colors of its own, and nothing from elsewhere.
    assert "http" not in fit()._repr_html_()
    assert "color:inherit" in fit()._repr_html_()


def test_names_of_columns_are_escaped_and_cut():
    names = ("<script>alert(1)</script>", "b", "line\nbreak\x1b" + 300 * "c")
    shown = detector(names)
    assert "<script" not in shown._repr_html_()
    assert "script>" in " ".join(Page(shown._repr_html_()).cells)
    assert len(repr(shown).splitlines()) == 5
    assert "\x1b" not in repr(shown)
    assert max(map(len, repr(shown).splitlines())) < 120


def test_other_classes_keep_the_repr_that_they_have():
    @mixjax.pytree
    class Line:
        slope: float

    @mixjax.pytree
    class Longer(Line):
        end: float

    @mixjax.pytree
    class Loud(Poisson):
        def __repr__(self):
            return "loud!"

    assert repr(Line(1.5)).endswith("Line(slope=1.5)")
    assert repr(Longer(1.5, 2.0)).endswith("Longer(slope=1.5, end=2.0)")
    assert repr(Loud(np.zeros((2, 2)))) == "loud!"
    assert repr(mixjax.HeldOut()) == "HeldOut(n_folds=5, n_used=None)"


def test_completion_offers_the_public_names():
    extras = {"dagmm", "explorer", "numpyro", "plot", "sklearn"}
    assert set(dir(mixjax)) == {*mixjax.__all__, *extras, "__version__"}
    for module in (mixjax.detect, mixjax.threshold, mixjax.dagmm, mixjax.plot, mixjax.sklearn):
        assert sorted(dir(module)) == sorted(module.__all__)
