"""Pictures are looked at by what was drawn: places, colors, limits and words."""

import importlib
import io
import runpy
import sys

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from problems import clusters, covariances, random_mixture
from sklearn.metrics import average_precision_score, roc_auc_score

import mixjax
from mixjax import plot
from mixjax.plot.style import palette
from mixjax.selection.candidates import Candidate

matplotlib.use("Agg")
NAMES = ["length", "width", "weight", "age"]


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(scope="module")
def four():
    """Three Gaussian components in four columns, float32."""
    return random_mixture(mixjax.Gaussian, np.random.default_rng(4), 3, 4, "float32")


def words(ax):
    """All that a picture says."""
    legend = ax.get_legend()
    texts = [*ax.texts, *(legend.get_texts() if legend else [])]
    return " | ".join([ax.get_title(loc="left"), *(text.get_text() for text in texts)])


def contour_sets(ax):
    """Those that are filled, and those that are lines."""
    sets = [c for c in ax.collections if isinstance(c, ContourSet)]
    return [c for c in sets if c.filled], [c for c in sets if not c.filled]


def one_of_each(mixture, x):
    """A call for each function that draws on one Axes, flat ones first."""
    scores, flags = np.arange(20.0), np.arange(20) > 15
    return {
        "contours": lambda **k: plot.contours(mixture, x, **k),
        "ellipses": lambda **k: plot.ellipses(mixture, x, **k),
        "responsibilities": lambda **k: plot.responsibilities(mixture, x, **k),
        "energy_histogram": lambda **k: plot.energy_histogram(scores, 15.5, flags, **k),
        "convergence": lambda **k: plot.convergence([3.0, 2.0, 2.0], **k),
        "selection": lambda **k: plot.selection(a_selection(), **k),
        "surprisal": lambda **k: plot.surprisal(scores, **k),
        "roc": lambda **k: plot.roc(scores, flags, **k),
        "precision_recall": lambda **k: plot.precision_recall(scores, flags, **k),
        "surface": lambda **k: plot.surface(mixture, **k),
    }


def a_selection(scores=(5.0, 4.0, 3.0, 3.5, np.inf, 4.5, 6.0, 3.2), best=2):
    families = [mixjax.Gaussian] * 4 + [mixjax.Laplace] * 4
    candidates = tuple(
        Candidate(family, k, ridge)
        for family, k, ridge in zip(families, [1, 1, 2, 2] * 2, [1e-3, 1e-2] * 4, strict=True)
    )
    errors = 0.1 * np.arange(8.0)
    nothing = np.zeros(8, int)
    return mixjax.Selection(
        candidates, np.array(scores), errors, nothing, nothing, nothing, best, None, None
    )


# What all have in common


def test_axes_are_used_and_returned_and_nothing_else_is_touched(four):
    x = clusters(np.random.default_rng(0), 50, 4, 2, dtype="float32")
    settings = dict(matplotlib.rcParams)
    for name, draw in one_of_each(four, x).items():
        three = {"projection": "3d"} if name == "surface" else {}
        given = Figure().add_subplot(**three)
        assert draw(ax=given) is given, name
        assert given.get_title(loc="left"), name
        assert given.get_xlabel(), name
        assert not plt.get_fignums(), name
    assert dict(matplotlib.rcParams) == settings


def test_without_axes_a_figure_is_made(four):
    for name, draw in one_of_each(four, np.zeros((3, 4), "float32")).items():
        assert draw().figure.number == plt.get_fignums()[-1], name
    assert len(plt.get_fignums()) == 10


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "bfloat16", "list"])
def test_any_float_and_either_precision(dtype, ax, kind):
    """Also where the mixture has another precision than the rows, under strict promotion."""
    mixture = random_mixture(mixjax.DiagonalGaussian, np.random.default_rng(0), 2, 2, dtype)
    x = np.array([[0.5, 1.0], [2.0, -1.5]])
    rows = x.tolist() if kind == "list" else x.astype(jnp.dtype(kind))
    plot.responsibilities(mixture, rows, ax=ax)
    assert sorted(ax.collections[0].get_offsets().tolist()) == sorted(x.tolist())
    plot.energy_histogram(rows[0], ax=ax)


def test_names_and_columns(four, ax):
    plot.contours(four, columns=(2, -4), names=NAMES, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("weight", "length")
    plot.ellipses(four, columns=(1, 3), names=["a", "$b", "c", "$d"], ax=ax)
    ax.figure.savefig(io.BytesIO())
    assert ax.xaxis.label.get_text() == r"\$b"  # drawn as $b, and not as a formula
    plot.ellipses(four, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("column 0", "column 1")


def test_at_most_five_thousand_rows_are_drawn_and_it_is_said(four, ax):
    x = np.random.default_rng(0).normal(size=(12_001, 4)).astype("float32")
    x[:, 0] = np.arange(12_001)
    plot.ellipses(four, x, ax=ax)
    drawn = ax.collections[0].get_offsets()
    assert len(drawn) == 5000
    assert "5,000 of 12,001 rows" in words(ax)
    rows = drawn[:, 0].astype(int)
    assert np.array_equal(drawn, x[rows, :2].astype(float))
    # One of each 5000th part of the table.
    edges = np.arange(5001) * 12_001 // 5000
    assert ((edges[:-1] <= rows) & (rows < edges[1:])).all()


def test_notes_of_two_pictures_on_the_same_axes_are_both_kept(four, ax):
    plot.responsibilities(four, np.zeros((6000, 4)), ax=ax)
    plot.ellipses(four, ax=ax)
    assert "5,000 of 6,000 rows" in words(ax)
    assert "1, 2 standard deviations" in words(ax)


def test_colors_stay_different():
    colors = palette(21)
    assert len(np.unique(colors.round(3), axis=0)) == 21
    assert ((colors >= 0) & (colors <= 1)).all()
    assert np.array_equal(palette(3), palette(30)[:3])


# Densities


@pytest.mark.parametrize("family", [mixjax.Gaussian, mixjax.Laplace])
def test_on_a_contour_the_log_density_is_its_level(family, rng, ax):
    mixture = random_mixture(family, rng, 3, 2, "float32")
    plot.contours(mixture, ax=ax)
    (filled,), (lines,) = contour_sets(ax)
    assert np.array_equal(filled.levels, lines.levels)
    step = np.diff(lines.levels)
    assert np.allclose(step, step[0])
    assert 3 <= len(lines.levels) <= 12
    away = []
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        if len(path.vertices):
            on_line = jnp.asarray(path.vertices, "float32")
            away.append(np.asarray(mixjax.log_prob(mixture, on_line)) - level)
    away = np.abs(np.concatenate(away)) / step[0]
    assert np.median(away) < 0.01
    assert away.max() < 0.4
    assert np.isfinite(lines.levels).all()


def test_the_contours_hold_nearly_all_of_the_mixture(rng, ax):
    mixture = random_mixture(mixjax.Gaussian, rng, 3, 2, "float32")
    plot.contours(mixture, ax=ax)
    levels = contour_sets(ax)[0][0].levels
    x = np.asarray(mixjax.sample(jax.random.key(5), mixture, 2000)[0])
    log_p = np.asarray(mixjax.log_prob(mixture, x))
    assert (log_p > levels[0]).mean() > 0.985
    assert log_p.max() <= levels[-1]
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    assert ((x >= low) & (x <= high)).all(axis=1).mean() > 0.98


def test_of_more_columns_the_marginal_is_drawn(four, ax):
    plot.contours(four, columns=(3, 1), ax=ax)
    marginal = mixjax.marginal(four, [3, 1])
    _, (lines,) = contour_sets(ax)
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        if len(path.vertices):
            found = np.asarray(mixjax.log_prob(marginal, jnp.asarray(path.vertices, "float32")))
            assert np.median(np.abs(found - level)) < 0.02
    assert "marginal of two of 4 columns" in words(ax)


def test_a_narrow_component_is_not_missed(ax):
    scales = jnp.array([[5e-4, 5e-4], [1.0, 1.0]])
    components = mixjax.DiagonalGaussian(jnp.array([[0.3, 0.4], [50.0, 50.0]]), scales)
    mixture = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), components)
    plot.contours(mixture, ax=ax)
    peak = mixjax.log_prob(mixture, components.means[:1]).item()
    assert contour_sets(ax)[0][0].zmax > peak - 0.5


def test_rows_are_within_the_picture_unless_far_away(rng, ax):
    mixture = random_mixture(mixjax.SphericalGaussian, rng, 2, 2, "float32")
    x = np.asarray(mixjax.sample(jax.random.key(0), mixture, 200)[0])
    near = x.max(axis=0) + np.ptp(x, axis=0)
    far = np.array([1e6, 0])
    plot.contours(mixture, np.concatenate([x, [near], [far]]), ax=ax)
    assert ax.get_xlim()[1] > near[0]
    assert ax.get_ylim()[1] > near[1]
    assert ax.get_xlim()[1] < 100 * near[0]
    assert "1 far row outside" in words(ax)


def test_a_family_of_ones_own_has_contours_but_no_ellipses(ax):
    @mixjax.pytree
    class Square(mixjax.Family):
        middles: jax.Array
        shape = property(lambda self: self.middles.shape)
        n_parameters = property(lambda self: self.middles.size)

        def log_prob(self, x):
            away = jnp.abs(x[:, None] - self.middles[None])
            return jnp.where((away < 1).all(axis=2), -np.log(4), -jnp.inf)

        def sample(self, key, labels):
            noise = jax.random.uniform(key, (len(labels), 2), minval=-1, maxval=1)
            return self.middles[labels] + noise

        standard = statistics = from_statistics = unconstrain = constrain = None

    mixture = mixjax.Mixture(jnp.zeros(1), Square(jnp.zeros((1, 2))))
    plot.contours(mixture, ax=ax)
    assert np.isfinite(contour_sets(ax)[0][0].levels).all()
    with pytest.raises(TypeError, match=r"Square.*contours"):
        plot.ellipses(mixture, ax=ax)


def test_the_surface_is_the_density(rng, monkeypatch):
    mixture = random_mixture(mixjax.Gaussian, rng, 3, 2, "float32")
    ax, drawn = Figure().add_subplot(projection="3d"), []
    draw = ax.plot_surface
    monkeypatch.setattr(ax, "plot_surface", lambda *a, **k: drawn.extend(a) or draw(*a, **k))
    plot.surface(mixture, names=["a", "b"], ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()) == ("a", "b", "density")
    x, y, z = drawn
    rows = jnp.asarray(np.stack([x, y], -1).reshape(-1, 2), "float32")
    assert np.allclose(z.ravel(), np.exp(np.asarray(mixjax.log_prob(mixture, rows))), rtol=1e-5)
    volume = np.trapezoid(np.trapezoid(z, x[0], axis=1), y[:, 0])
    assert volume == pytest.approx(1, abs=0.02)


# Components


def test_ellipses_are_at_the_mahalanobis_distances(rng, ax):
    k, d, pair = 3, 4, [3, 1]
    cov = covariances(rng, k, d)
    means = rng.normal(size=(k, d))
    mixture = mixjax.Mixture(
        jnp.log(jnp.full(k, 1 / k)),
        mixjax.Gaussian.from_covariances(
            jnp.asarray(means, "float32"), jnp.asarray(cov, "float32")
        ),
    )
    plot.ellipses(mixture, columns=tuple(pair), ax=ax)
    outlines = [patch.get_xy() for patch in ax.patches]
    assert len(outlines) == 2 * k
    for i, outline in enumerate(outlines):
        c = i // 2
        away = outline - means[c, pair]
        squares = np.einsum("ni,ij,nj->n", away, np.linalg.inv(cov[c][np.ix_(pair, pair)]), away)
        assert np.allclose(np.sqrt(squares), [2, 1][i % 2], rtol=1e-3)


def test_of_every_family_the_outlines_are_lines_of_equal_density(family, rng, ax):
    mixture = random_mixture(family, rng, 2, 2, "float32")
    plot.ellipses(mixture, deviations=[0.5, 3], ax=ax)
    for i, patch in enumerate(ax.patches):
        log_p = mixture.components.log_prob(jnp.asarray(patch.get_xy(), "float32"))[:, i // 2]
        assert np.ptp(np.asarray(log_p)) < 1e-3
    assert len(ax.patches) == 4
    assert f"0.5, 3 {mixture.components.outline.unit}" in words(ax)


def test_diamonds_are_at_the_distances_of_the_docstring(rng, ax):
    mixture = random_mixture(mixjax.Laplace, rng, 2, 3, "float32")
    plot.ellipses(mixture, columns=(2, 0), ax=ax)
    at, scales = np.asarray(mixture.components.locations), np.asarray(mixture.components.scales)
    for i, patch in enumerate(ax.patches):
        away = np.abs(patch.get_xy() - at[i // 2, [2, 0]]) / scales[i // 2, [2, 0]]
        assert np.allclose(away.sum(axis=1), [2, 1][i % 2], rtol=1e-4)


def test_the_heavier_a_component_the_stronger_its_color(four, ax):
    plot.ellipses(four, ax=ax, deviations=[1])
    strength = [patch.get_facecolor()[3] for patch in ax.patches]
    assert np.array_equal(np.argsort(strength), np.argsort(four.weights))
    for k, weight in enumerate(four.weights):
        assert f"{k}  ({weight:.1%})" in words(ax)


def test_of_many_components_the_heaviest_are_named(rng, ax):
    mixture = random_mixture(mixjax.SphericalGaussian, rng, 20, 2, "float32")
    plot.ellipses(mixture, ax=ax)
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    heaviest = np.argsort(-np.asarray(mixture.weights))[:8]
    assert {int(text.split()[0]) for text in shown[:-1]} == set(heaviest.tolist())
    assert shown[-1] == "and 12 lighter"


def test_a_flat_ellipse_is_drawn(ax):
    flat = np.array([[[1.0, 1 - 1e-7], [1 - 1e-7, 1.0]]], "float32")
    components = mixjax.Gaussian.from_covariances(jnp.zeros((1, 2)), jnp.asarray(flat))
    plot.ellipses(mixjax.Mixture(jnp.zeros(1), components), ax=ax)
    assert all(np.isfinite(patch.get_xy()).all() for patch in ax.patches)


def test_rows_have_the_mixed_colors_of_their_components(four, ax):
    x = np.asarray(mixjax.sample(jax.random.key(1), four, 100)[0])
    plot.responsibilities(four, x, columns=(1, 2), ax=ax)
    (dots,) = ax.collections
    resp = np.asarray(mixjax.responsibilities(four, x))
    order = np.argsort(-resp.max(axis=1), kind="stable")
    assert np.allclose(dots.get_offsets(), x[order][:, [1, 2]])
    assert np.allclose(dots.get_facecolor()[:, :3], (resp @ palette(3))[order], atol=1e-5)


# Pairs


def test_pairs_of_four_columns(four):
    x = np.asarray(mixjax.sample(jax.random.key(2), four, 300)[0])
    axes = plot.pairs(four, x, names=NAMES)
    assert axes.shape == (4, 4)
    assert all(ax.figure is axes[0, 0].figure for ax in axes.flat)
    for row in range(4):
        for column in range(4):
            ax = axes[row, column]
            assert ax.get_xlim() == axes[3, column].get_xlim()
            assert ax.get_xlabel() == (NAMES[column] if row == 3 else "")
            filled, _ = contour_sets(ax)
            assert len(filled) == (row > column)
            if row != column:
                assert ax.get_ylim() == axes[row, row].get_xlim()
                dots = ax.collections[-1].get_offsets()
                assert np.allclose(np.sort(dots[:, 0]), np.sort(x[:, column]))
                assert np.allclose(np.sort(dots[:, 1]), np.sort(x[:, row]))
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["density", *NAMES[1:]]


def test_the_diagonal_holds_the_marginals_and_their_parts(four):
    axes = plot.pairs(four, columns=[2, 0], axes=Figure().subplots(2, 2))
    assert axes.shape == (2, 2)
    for ax, column in ((axes[0, 0], 2), (axes[1, 1], 0)):
        *parts, whole = [line.get_xydata() for line in ax.lines]
        one = mixjax.marginal(four, [column])
        density = np.exp(np.asarray(mixjax.log_prob(one, jnp.asarray(whole[:, :1], "float32"))))
        assert np.allclose(whole[:, 1], density, rtol=1e-3, atol=1e-6)
        assert np.trapezoid(whole[:, 1], whole[:, 0]) == pytest.approx(1, abs=0.01)
        assert np.allclose(np.sum([part[:, 1] for part in parts], axis=0), whole[:, 1], atol=1e-4)
    assert not axes[0, 1].axison  # no rows to color
    assert not plt.get_fignums()


def test_pairs_of_one_column():
    components = mixjax.Laplace(jnp.array([[0.0], [5.0]]), jnp.ones((2, 1)))
    mixture = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), components)
    axes = plot.pairs(mixture, np.zeros((3, 1)), axes=Figure().subplots())
    assert axes.shape == (1, 1)
    assert len(axes[0, 0].lines) == 3


# Scores


def test_every_energy_is_counted_once(seed, ax):
    rng = np.random.default_rng(seed)
    energies = np.concatenate([rng.gamma(3, size=500), [1e5, np.inf, np.inf, -np.inf, -1e9]])
    flags = np.arange(len(energies)) % 3 == 0
    plot.energy_histogram(energies, 8.0, flags, ax=ax, unit="score", logarithmic=False)
    normal, odd = ([bar.get_height() for bar in group] for group in ax.containers)
    assert sum(normal) == (~flags).sum()
    assert sum(odd) == flags.sum()
    assert ax.get_xlabel() == "score"
    assert ax.get_xlim()[1] < 100
    text = words(ax)
    for said in (
        "last bar: 1 further out, to 1e+05", "last bar: 2 infinite",
        "first bar: 1 further out, to -1e+09", "first bar: 1 minus infinity",
        f"threshold 8: {(energies > 8).sum()} of 505 above", f"anomalies ({flags.sum()})",
    ):  # fmt: skip
        assert said in text
    assert ax.lines[0].get_xdata()[0] == 8.0


def test_energies_that_spread_have_a_logarithmic_axis(seed, ax):
    rng = np.random.default_rng(seed)
    energies = np.concatenate([rng.normal(-120, 2, size=500), [5e6, np.inf, -1e9]])
    plot.energy_histogram(energies, -90.0, ax=ax)
    low, high = ax.get_xlim()
    assert low < -1e9 < 5e6 < high
    heights = np.array([bar.get_height() for bar in ax.patches])
    edges = np.array([bar.get_x() for bar in ax.patches] + [high])
    for i, height in enumerate(heights[:-1]):
        assert height == ((energies >= edges[i]) & (energies < edges[i + 1])).sum()
    assert heights.sum() == len(energies)
    assert "last bar: 1 infinite" in words(ax)
    assert "further out" not in words(ax)
    # The bars are equally wide, and most rows are not in a few of them.
    assert np.ptp(np.diff(ax.transData.transform(np.c_[edges, edges])[:, 0])) < 1e-3
    assert (heights > 5).sum() >= 4
    ticks = ax.get_xticks()
    assert ticks.size >= 5
    assert np.diff(ax.transData.transform(np.c_[ticks, ticks])[:, 0]).min() > 20


def test_energies_of_a_narrow_range_have_a_linear_axis(seed, ax):
    plot.energy_histogram(np.random.default_rng(seed).normal(size=500), ax=ax)
    assert ax.get_xscale() == "linear"


@pytest.mark.parametrize("threshold", [500.0, -500.0, jnp.asarray(500.0)])
def test_the_threshold_is_always_in_the_picture(threshold, ax):
    plot.energy_histogram(np.arange(10.0), threshold, ax=ax)
    low, high = ax.get_xlim()
    assert low < float(threshold) < high


def test_equal_energies_and_an_infinite_threshold(ax):
    plot.energy_histogram(np.full(7, 1e6), np.inf, ax=ax)
    assert sum(bar.get_height() for bar in ax.patches) == 7
    assert "the threshold is infinite: 0 of 7 above" in words(ax)


@pytest.mark.parametrize("levels", [4, 30, 10_000])
def test_areas_are_those_of_scikit_learn(levels, seed, ax):
    """Also with ties, and for infinite scores."""
    rng = np.random.default_rng(seed)
    flags = rng.random(300) < 0.2
    scores = np.floor(levels * rng.beta(2 + flags, 2)).astype("float32")
    plot.roc(scores, flags, ax=ax)
    x, y = ax.lines[0].get_xydata().T
    area = roc_auc_score(flags, scores)
    assert np.trapezoid(y, x) == pytest.approx(area, abs=1e-9)
    assert f"area {area:.3f}" in words(ax)
    scores[np.argmax(scores)] = np.inf
    other = plot.precision_recall(scores, flags.astype(int), ax=Figure().subplots())
    average = average_precision_score(flags, np.where(np.isinf(scores), 1e9, scores))
    recall, precision = other.lines[0].get_xydata().T
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(average, abs=1e-9)
    assert other.lines[0].get_drawstyle() == "steps-pre"
    assert f"average precision {average:.3f}" in words(other)
    assert other.lines[1].get_ydata()[0] == pytest.approx(flags.mean())


def test_two_curves_share_the_line_of_chance(ax):
    flags = np.arange(10) > 6
    for sign, label in ((1, "up"), (-1, "down")):
        plot.roc(sign * np.arange(10.0), flags, label=label, ax=ax)
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == ["up: area 1.000", "down: area 0.000", "chance"]
    assert ax.lines[0].get_color() != ax.lines[2].get_color()


# Fits and reasons


def test_convergence_ends_where_the_fit_stopped(ax):
    rng = np.random.default_rng(0)
    x = clusters(rng, 200, 2, 3, dtype="float32")
    begin = random_mixture(mixjax.SphericalGaussian, rng, 3, 2, "float32")
    fit, energies = mixjax.fit_history(begin, x, max_iter=40)
    plot.convergence(energies, ax=ax)
    drawn = ax.lines[0].get_xydata()
    assert len(drawn) <= int(fit.n_iter) + 1
    assert drawn[-1, 1] == pytest.approx(float(fit.energy), rel=1e-6)
    assert np.array_equal(drawn[:, 1], np.asarray(energies, float)[: len(drawn)])


def test_energies_that_are_not_finite_are_told(ax):
    plot.convergence([np.inf, 3.0, 2.0, np.nan, np.nan], ax=ax)
    assert "3 energies are not finite" in words(ax)
    assert "2 nats after 2 iterations" in words(ax)


def test_selection_draws_the_best_ridge_and_rings_the_chosen(ax):
    plot.selection(a_selection(), ax=ax)
    gaussian, laplace = (container.lines[0].get_xydata() for container in ax.containers)
    assert gaussian.tolist() == [[1, 4.0], [2, 3.0]]
    assert laplace.tolist() == [[1, 4.5], [2, 3.2]]
    bars = ax.containers[1].lines[2][0].get_segments()
    assert np.allclose(np.ptp(np.array(bars)[:, :, 1], axis=1), 2 * np.array([0.5, 0.7]))
    (ring,) = [line for line in ax.lines if line.get_label().startswith("chosen")]
    assert ring.get_xydata().tolist() == [[2, 3.0]]
    assert ring.get_label() == "chosen: 2 Gaussian,\nridge 0.001"
    assert "1 of 8 candidates failed" in words(ax)


def test_the_chosen_candidate_need_not_be_the_lowest(ax):
    plot.selection(a_selection(best=1), ax=ax)
    (ring,) = [line for line in ax.lines if line.get_label().startswith("chosen")]
    assert ring.get_xydata().tolist() == [[1, 4.0]]


def test_a_family_that_failed_throughout_is_named_all_the_same(ax):
    plot.selection(a_selection(scores=[5.0, 4, 3, 3.5, *[np.inf] * 4]), ax=ax)
    assert "Laplace" in words(ax)
    assert "4 of 8 candidates failed" in words(ax)


def test_the_largest_surprise_is_on_top(rng, ax):
    surprises = rng.normal(size=30).astype("float32")
    names = [f"name {d}" for d in range(30)]
    plot.surprisal(surprises, names, most=5, ax=ax)
    order = np.argsort(-surprises)[:5]
    assert [label.get_text() for label in ax.get_yticklabels()] == [names[d] for d in order]
    assert np.allclose([bar.get_width() for bar in ax.patches], surprises[order])
    assert ax.yaxis_inverted()
    assert "the 5 largest of 30 columns" in words(ax)


def test_an_infinite_surprise_is_drawn_and_named(ax):
    plot.surprisal(jnp.array([1.0, jnp.inf, -2.0]), ax=ax)
    assert np.isfinite([bar.get_width() for bar in ax.patches]).all()
    assert ax.patches[0].get_width() > 2
    assert "∞" in words(ax)


# What is refused


def test_bad_mixtures_and_tables_are_refused(four, ax):
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), four)
    broken = mixjax.Mixture(four.log_weights.at[0].set(jnp.nan), four.components)
    one = mixjax.marginal(four, [0])
    x = np.zeros((3, 4))
    calls = [plot.contours, plot.ellipses, plot.surface, plot.pairs]
    for draw in [*calls, lambda m: plot.responsibilities(m, x)]:
        with pytest.raises(TypeError, match=r"mixjax\.Mixture"):
            draw(mixjax.Fit)
        with pytest.raises(ValueError, match=r"leading axes.*fits\[0\]\.mixture"):
            draw(two)
        with pytest.raises(ValueError, match=r"NaN.*mixjax\.check"):
            draw(broken)
    for draw in calls[:3]:
        with pytest.raises(ValueError, match=r"has 1: .*pairs"):
            draw(one)
        for columns, said in [
            ((0, 0), "different"), ((0, 4), "from 0 to 3"), ((-5, 1), "from 0 to 3"),
            ((0, 1, 2), "columns must be 2"), ((0, 0, 1), "columns must be 2"), ((0.0, 1.0), "numbers from 0 to 3"), (1, "from 0 to 3"),
        ]:  # fmt: skip
            with pytest.raises(ValueError, match=said):
                draw(four, columns=columns)
        with pytest.raises(ValueError, match="names must be a list of 4"):
            draw(four, names=["a", "b"])
        with pytest.raises(TypeError, match="ax must be"):
            draw(four, ax="left")
    for draw in [plot.contours, plot.ellipses, plot.responsibilities, plot.pairs]:
        with pytest.raises(ValueError, match="3 columns, but the mixture has 4"):
            draw(four, x[:, :3])
        with pytest.raises(ValueError, match=r"1 rows with NaN.*row 1"):
            draw(four, np.array([[0.0] * 4, [np.nan] * 4]))
        with pytest.raises(TypeError, match="real numbers"):
            draw(four, x + 1j)
        with pytest.raises(ValueError, match=r"shape \(rows, columns\)"):
            draw(four, x[0])
    assert not plt.get_fignums()


def test_other_bad_arguments_are_refused(four, ax):
    round_ = mixjax.SphericalGaussian(jnp.zeros((2, 9)), jnp.ones(2))
    wide = mixjax.Mixture(jnp.log(jnp.array([0.5, 0.5])), round_)
    for call, error, said in [
        (lambda: plot.pairs(wide), ValueError, "81 pictures.*suggest_columns"),
        (lambda: plot.pairs(four, axes=Figure().subplots(2, 2)), ValueError, "4 by 4"),
        (lambda: plot.pairs(four, columns=[]), ValueError, "columns"),
        (lambda: plot.surface(four, ax=ax), TypeError, "three-dimensional"),
        (lambda: plot.ellipses(four, deviations=[1, -1]), ValueError, "deviations.*positive"),
        (lambda: plot.energy_histogram([]), ValueError, "energies.*not be empty"),
        (lambda: plot.energy_histogram([1.0, np.nan]), ValueError, "energies hold NaN.* 1"),
        (lambda: plot.energy_histogram([np.inf]), ValueError, "no finite"),
        (lambda: plot.energy_histogram([1.0], [1.0, 2.0]), ValueError, "threshold"),
        (lambda: plot.energy_histogram([1.0], np.nan), ValueError, "threshold"),
        (lambda: plot.energy_histogram([1.0, 2.0], is_anomaly=[1]), ValueError, "is_anomaly"),
        (lambda: plot.convergence(np.ones((2, 3))), ValueError, r"\(n,\)"),
        (lambda: plot.convergence([np.nan]), ValueError, "no finite"),
        (lambda: plot.selection(four), TypeError, r"mixjax\.Selection"),
        (lambda: plot.surprisal(np.ones((1, 3))), ValueError, "surprises"),
        (lambda: plot.surprisal([1.0, 2.0], ["a"]), ValueError, "names must be a list of 2"),
        (lambda: plot.surprisal([1.0, 2.0], "ab"), ValueError, "names must be a list"),
        (lambda: plot.surprisal([1.0], most=0), ValueError, "most"),
    ]:
        with pytest.raises(error, match=said):
            call()
    for draw in (plot.roc, plot.precision_recall):
        for flags, said in [
            ([1, 0], "shape"), ([0, 0, 0], "both kinds, got 3 normal"),
            ([1, 1, 1], "both kinds, got 3 anomalies"), ([0, 1, 2], "got 0, 1, 2"),
        ]:  # fmt: skip
            with pytest.raises(ValueError, match=said):
                draw([1.0, 2.0, 3.0], flags)
        with pytest.raises(ValueError, match="scores hold NaN"):
            draw([1.0, np.nan, 3.0], [0, 1, 0])
        with pytest.raises(TypeError, match="scores must hold numbers"):
            draw(["a", "b"], [0, 1])
    with pytest.raises(TypeError, match="host"):
        jax.jit(lambda m: plot.contours(m) and 0)(four)
    assert not plt.get_fignums()


def test_without_the_extra_it_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("mixjax.plot")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"matplotlib is missing.*mixjax\[plot\]"):
        importlib.import_module("mixjax.plot")


# The gallery


def test_the_gallery_has_a_picture_of_each(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "new" / "gallery"
    monkeypatch.setattr(sys, "argv", ["mixjax.plot", str(folder)])
    runpy.run_module("mixjax.plot", run_name="__main__")
    assert len(capsys.readouterr().out.split()) == len(plot.__all__) + 2
    written = {path.stem for path in folder.glob("*.png")}
    assert written == {*plot.__all__, "ellipses_laplace", "overview"}
    for path in folder.glob("*.png"):
        picture = plt.imread(path)
        assert min(picture.shape[:2]) >= 300
        assert picture[..., :3].std() > 0.05  # not blank
    assert plt.imread(folder / "overview.png").shape[:2] == (400, 1200)


def test_the_gallery_wants_a_folder(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mixjax.plot"])
    with pytest.raises(SystemExit, match="FOLDER"):
        runpy.run_module("mixjax.plot", run_name="__main__")


def test_many_fits_are_drawn_by_how_they_ended():
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(n, 2)).astype("float32") for n in (40, 41, 40, 2, 40)]
    tables[1][3] = np.nan
    many = mixjax.fit_batch(jax.random.key(0), tables, 3, max_iter=4, tol=0.0)
    ax = plot.fits(many, ax=Figure().subplots())
    counts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert counts == ["MAX_ITER (3)", "NONFINITE (1)", "TOO_FEW_ROWS (1)"]
    drawn = np.concatenate([dots.get_offsets() for dots in ax.collections])
    np.testing.assert_allclose(np.sort(drawn[:, 1]), np.sort(many.energy[jnp.array([0, 2, 4])]))
    assert (np.abs(drawn[:, 0] - 4) < 0.5).all()
    assert any("2 could not be made" in text.get_text() for text in ax.texts)
    with pytest.raises(ValueError, match="single fit"):
        plot.fits(many[0])
    with pytest.raises(ValueError, match="no fit could be made"):
        plot.fits(many[1:2])
    with pytest.raises(TypeError, match="several fits, got list"):
        plot.fits([many])
