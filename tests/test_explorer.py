"""The page of the explorer: what is put in it, and what a real browser makes of it."""

import dataclasses
import os
import re
import shutil
import sys

import jax
import numpy as np
import pytest
import scipy.stats
from typer.testing import CliRunner

import mixjax
import mixjax.explorer
from mixjax.cli import app
from mixjax.explorer.contents import contents

NAMES = ["<script>window.hacked=1</script>", "</script><b>bold</b>", "c & d", "%{x}"]
LABELS = np.array(["ok", "<img src=x onerror=window.hacked=1>"])
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--use-angle=swiftshader",
             "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip


# --- What a page is made from ---


def made(seed, n, d):
    """Two correlated clusters of normal rows; then of ten rows one is strange."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) / 2 + np.eye(d)
    normal = rng.normal(size=(n, d)) @ mix + 4 * rng.integers(2, size=(n, 1))
    is_anomaly = rng.uniform(size=n) < 0.1
    return np.where(is_anomaly[:, None], normal + rng.normal(0, 4, size=(n, d)), normal), is_anomaly


@pytest.fixture(scope="module")
def table():
    return made(0, 600, 4)


@pytest.fixture(scope="module")
def detector(table):
    x, is_anomaly = table
    normal = x[~is_anomaly]
    # Half of the normal rows, as the command takes.
    return mixjax.detect.fit(
        jax.random.key(0), normal[: len(normal) // 2], n_components=[1, 2],
        families=[mixjax.Gaussian], feature_names=NAMES,
    )  # fmt: skip


@pytest.fixture(scope="module")
def scores(detector, table):
    return np.asarray(detector.scores(table[0]))


@pytest.fixture(scope="module")
def labeled_page(detector, table, tmp_path_factory):
    x, is_anomaly = table
    path = tmp_path_factory.mktemp("pages") / "labeled.html"
    mixjax.explorer.write(
        path, detector, x, is_anomaly=is_anomaly, labels=LABELS[is_anomaly.astype(int)],
        row_numbers=np.arange(len(x)) + 1000, title="<i>Rows</i> & </script>", most_listed=20,
    )  # fmt: skip
    return path


def contents_of(detector, x, is_anomaly=None, labels=None, numbers=None, drawn=1000, listed=20):
    return contents(detector, x, is_anomaly, labels, numbers, drawn, listed)


# --- The browser ---


def browser_path():
    return next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@pytest.fixture(scope="module")
def browser():
    required = os.environ.get("MIXJAX_BROWSER") == "required"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if required:
            raise
        pytest.skip("no Playwright: pip install playwright")
    path = browser_path()
    if path is None:
        assert not required, "MIXJAX_BROWSER=required, but there is no Chromium"
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Shown:
    """Pages that are open; none may complain, nor ask a network for anything."""

    def __init__(self, browser):
        self.browser, self.said, self.asked, self.pages = browser, [], [], []

    def __call__(self, path, script=None, color_scheme="light"):
        size = {"width": 1280, "height": 900}
        page = self.browser.new_page(viewport=size, color_scheme=color_scheme)
        self.pages.append(page)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    def close(self):
        for page in self.pages:
            page.close()

    def require_silence(self):
        # A software WebGL says that it is slow.
        assert [line for line in self.said if "GPU stall" not in line] == []
        assert self.asked
        assert all(url.startswith(("file:", "data:", "blob:")) for url in self.asked), self.asked


@pytest.fixture
def shown(browser):
    pages = Shown(browser)
    yield pages
    pages.close()
    pages.require_silence()


@pytest.fixture(scope="module")
def opened(browser, labeled_page):
    """The page of most tests, which takes seconds to open."""
    pages = Shown(browser)
    yield pages, pages(labeled_page)
    pages.close()


@pytest.fixture
def page(opened):
    pages, page = opened
    page.click("#reset")
    yield page
    pages.require_silence()


def text(page, selector):
    return page.locator(selector).first.text_content().strip()


def figures(page):
    names = ("flagged", "precision", "recall", "f1", "true-positives", "false-positives",
             "false-negatives", "true-negatives")  # fmt: skip
    told = {name: text(page, f"#{name}").replace(",", "") for name in names}
    return pytest.approx(
        {name: np.nan if t == "–" else float(t) for name, t in told.items()},
        abs=0.51e-4, nan_ok=True,
    )  # fmt: skip


def by_numpy(flagged, is_anomaly):
    caught, n, m = (flagged & is_anomaly).sum(), flagged.sum(), is_anomaly.sum()
    return {
        "flagged": n, "true-positives": caught, "false-positives": n - caught,
        "false-negatives": m - caught, "true-negatives": len(flagged) - n - m + caught,
        "precision": caught / n if n else np.nan, "recall": caught / m, "f1": 2 * caught / (n + m),
    }  # fmt: skip


def traces(page, plot, *fields):
    """The traces of a plot by name; the later of one name are those of the legend."""
    found = page.evaluate(
        """([plot, fields]) => document.getElementById(plot).data.map((trace) => [
             trace.name, Object.fromEntries(fields.map((f) => [f, trace[f] && Array.from(trace[f])]))])""",
        [plot, list(fields)],
    )
    return dict(reversed(found))


def hover(page):
    """Over the strangest row, which stands above the others."""
    x, y = page.evaluate("""() => {
        const plot = document.getElementById("scatter");
        plot.scrollIntoView({ block: "center" });
        const [trace, box] = [plot.data.find((t) => t.name === "chosen row"), plot.getBoundingClientRect()];
        const { xaxis, yaxis } = plot._fullLayout;
        return [box.x + xaxis._offset + xaxis.l2p(trace.x[0]), box.y + yaxis._offset + yaxis.l2p(trace.y[0])];
    }""")
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    page.wait_for_selector("#scatter .hoverlayer text")


def rings(page):
    return sorted(traces(page, "scatter", "customdata")["flagged"]["customdata"])


def wait_for_rings(page, flagged):
    page.wait_for_function(
        "(n) => document.getElementById('scatter').data.find((t) => t.name === 'flagged').x.length === n",
        arg=min(50, int(flagged.sum())),
    )


def ringed(scores, flagged):
    """The rows with rings: the highest flagged ones, so that colors stay visible."""
    return np.sort(np.argsort(-scores, kind="stable")[: min(50, flagged.sum())]).tolist()


def shares(surprise):
    """In per cent of what is strange in a row."""
    total = np.maximum(surprise, 0).sum()
    return 100 * surprise / total if total > 0 else 0 * surprise


# --- In the browser ---


def test_it_starts_at_the_threshold_of_the_detector(page, detector, table, scores):
    flagged = np.asarray(detector.predict(table[0]))
    assert np.float32(page.input_value("#threshold")) == detector.threshold
    assert figures(page) == by_numpy(flagged, table[1])
    assert rings(page) == ringed(scores, flagged)
    listed = page.locator("#strangest tr")
    assert listed.count() == 20
    order = np.argsort(-scores, kind="stable")[:20]
    assert [int(n) for n in listed.locator("button").all_text_contents()] == (order + 1000).tolist()
    p_values = np.asarray(detector.p_values(table[0]))
    told = [float(cell) for cell in page.locator("#strangest td:nth-child(3)").all_text_contents()]
    np.testing.assert_allclose(told, p_values[order], rtol=0.05)


def test_the_slider_by_the_keyboard(page, table, scores):
    page.focus("#slider")
    seen = set()
    for key in ["ArrowRight"] * 3 + ["PageDown", "ArrowLeft", "Home", "PageUp", "End"]:
        page.keyboard.press(key)
        threshold = np.float32(page.input_value("#threshold"))
        flagged = scores > threshold
        assert figures(page) == by_numpy(flagged, table[1])
        wait_for_rings(page, flagged)
        assert rings(page) == ringed(scores, flagged)
        line = page.evaluate("document.getElementById('histogram').layout.shapes[0].x0")
        assert line == pytest.approx(np.log1p(threshold), rel=1e-4)
        seen.add(int(flagged.sum()))
    assert len(seen) >= 7
    assert 0 in seen  # at the end


def test_a_threshold_that_is_typed(page, table, scores):
    one = np.sort(scores)[-7]
    for typed, flagged in [
        (str(one), scores > one),  # the row on the threshold is not above it
        (f"{np.nextafter(one, np.float32(0)):.9g}", scores >= one),
        ("inf", scores > np.inf),
        ("-1", scores > -1),
        ("3", scores > 3),
    ]:
        page.fill("#threshold", typed)
        page.keyboard.press("Enter")
        assert figures(page) == by_numpy(flagged, table[1])
        assert page.locator("#strangest .is-flagged").count() == min(20, flagged.sum())
    for nonsense in ("", "three"):
        page.fill("#threshold", nonsense)
        page.keyboard.press("Enter")
        assert "must be a number" in text(page, "#threshold-error")
        assert figures(page) == by_numpy(scores > 3, table[1])
    page.click("#reset")
    assert text(page, "#threshold-error") == ""


def test_the_threshold_of_the_highest_f1(page, table, scores):
    page.click("#best")
    flagged = scores > np.float32(page.input_value("#threshold"))
    assert figures(page) == by_numpy(flagged, table[1])
    f1 = [by_numpy(scores > limit, table[1])["f1"] for limit in np.unique(scores)[:-1]]
    assert by_numpy(flagged, table[1])["f1"] == pytest.approx(max(f1))
    precision, recall = (by_numpy(flagged, table[1])[name] for name in ("precision", "recall"))
    page.wait_for_function(
        "(x) => Math.abs(document.getElementById('curve').data[1].x[0] - x) < 1e-6", arg=recall
    )
    drawn = traces(page, "curve", "x", "y")
    assert drawn["this threshold"]["y"][0] == pytest.approx(precision)
    # The curve passes through what each threshold gives.
    every = {(by["recall"], by["precision"]) for by in
             (by_numpy(scores > limit, table[1]) for limit in [-np.inf, *np.sort(scores)[:-1]])}  # fmt: skip
    every = np.array(sorted(every))
    whole = drawn["all thresholds"]
    for point in zip(whole["x"], whole["y"], strict=True):
        assert np.abs(every - point).sum(axis=1).min() < 1e-6


def bars(page):
    trace = traces(page, "bars", "customdata", "x")
    (trace,) = trace.values()
    return dict(zip(trace["customdata"], trace["x"], strict=True))


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_row_of_the_table_tells_why(page, detector, table, scores, by):
    line, button = page.locator("#strangest tr").nth(4), page.locator("#strangest button").nth(4)
    line.locator("td").last.click() if by == "mouse" else button.press("Enter")
    row = int(np.argsort(-scores, kind="stable")[4])
    assert text(page, "#told strong") == f"Row {row + 1000}"
    surprise = np.asarray(detector.explain(table[0]))[row]
    found = bars(page)
    np.testing.assert_allclose([found[c] for c in range(4)], shares(surprise), rtol=1e-3, atol=0.1)
    low, high = detector.usual[np.argmax(surprise)]
    value, reason = table[0][row][np.argmax(surprise)], line.locator("td").last.text_content()
    assert ("odd beside" in reason.split(";")[0]) == (low <= value <= high)
    assert f"({np.round(shares(surprise).max()):.0f} %)" in reason.split(";")[0]
    assert list(found) == np.argsort(surprise, kind="stable").tolist()  # the longest on top
    cells = page.locator("#values td:nth-child(2)").all_text_contents()
    told = dict(zip(np.argsort(-surprise), map(float, cells), strict=False))
    np.testing.assert_allclose([told[c] for c in range(4)], table[0][row], rtol=1e-5)
    assert traces(page, "scatter", "customdata")["chosen row"]["customdata"] == [row]
    assert line.get_attribute("class") == "chosen"


def test_a_row_by_its_number(page, detector, table, scores):
    for row in (0, 599):
        page.fill("#number", str(row + 1000))
        page.click("#search button")
        told = text(page, "#told")
        assert f"Row {row + 1000}: score " in told
        assert float(told.split("score ")[1].split(",")[0]) == pytest.approx(scores[row], rel=1e-4)
        np.testing.assert_allclose(
            [bars(page)[c] for c in range(4)],
            shares(np.asarray(detector.explain(table[0]))[row]), rtol=1e-3, atol=0.1,
        )  # fmt: skip
    for none in ("0", "1600", "", "1000.5", "many"):
        page.fill("#number", none)
        page.click("#search button")
        assert "no row" in text(page, "#told")


def test_any_two_columns(page, table):
    require_columns(page, table)


def test_axes_are_logarithmic_where_values_reach_far(shown, tmp_path):
    rng = np.random.default_rng(0)
    x = np.c_[rng.normal(size=200), rng.lognormal(3, 2, size=200), rng.uniform(1, 2, 200)]
    options = {"n_components": [2], "families": mixjax.DiagonalGaussian}
    found = mixjax.detect.fit(jax.random.key(0), x, feature_names=["a", "b", "c"], **options)
    mixjax.explorer.write(tmp_path / "page.html", found, x)
    page = shown(tmp_path / "page.html")

    def kind(column):
        page.select_option("#across", str(column))
        box = page.locator("#across-log")
        axis = page.evaluate("document.getElementById('scatter')._fullLayout.xaxis.type")
        return axis, box.is_checked(), box.is_disabled()

    assert kind(0) == ("linear", False, True)  # a logarithm of what is below zero is none
    assert kind(1) == ("log", True, False)
    assert kind(2) == ("linear", False, False)
    page.check("#across-log")
    low, high = page.evaluate("document.getElementById('scatter')._fullLayout.xaxis.range")
    assert low < np.log10(x[:, 2].min()) < np.log10(x[:, 2].max()) < high


def test_without_webgl(shown, labeled_page, table):
    page = shown(labeled_page, """HTMLCanvasElement.prototype.getContext = ((real) =>
        function (kind, ...rest) {
            return kind.includes("webgl") ? null : real.call(this, kind, ...rest);
        })(HTMLCanvasElement.prototype.getContext)""")  # fmt: skip
    kinds = page.evaluate("document.getElementById('scatter').data.map((trace) => trace.type)")
    assert set(kinds) == {"scatter"}
    require_columns(page, table)


def require_columns(page, table):
    for across, up in ((2, 1), (0, 3)):
        page.select_option("#across", str(across))
        page.select_option("#up", str(up))
        titles = page.locator("#scatter .xtitle, #scatter .ytitle").all_text_contents()
        assert titles == [NAMES[across], NAMES[up]]
        found = traces(page, "scatter", "x", "y", "customdata")
        for kind, expected in (("normal", ~table[1]), ("anomalous", table[1])):
            rows = found[kind]["customdata"]
            assert sorted(rows) == np.flatnonzero(expected).tolist()
            np.testing.assert_allclose(found[kind]["x"], table[0][rows, across], rtol=1e-6)
            np.testing.assert_allclose(found[kind]["y"], table[0][rows, up], rtol=1e-6)


def test_the_outlines_are_those_of_the_mixture(page, detector):
    page.select_option("#across", "2")
    page.select_option("#up", "0")
    line = traces(page, "scatter", "x", "y")["mixture"]
    points = np.array([[np.nan if v is None else v for v in line[axis]] for axis in "xy"]).T
    z = (points - detector.center[[2, 0]]) / detector.scale[[2, 0]]
    mixture = jax.tree.map(lambda leaf: leaf[0], detector.members[0].mixtures)
    part = mixjax.marginal(mixture, [2, 0]).components
    one = (len(z) // len(part.means)) // 2
    for k, (mean, covariance) in enumerate(zip(part.means, part.covariances, strict=True)):
        for i, share in enumerate((0.5, 0.9)):
            path = z[(2 * k + i) * one :][: one - 1] - np.asarray(mean)
            squares = np.sum(path * np.linalg.solve(covariance, path.T).T, axis=1)
            np.testing.assert_allclose(scipy.stats.chi2(2).cdf(squares), share, rtol=1e-3)
    page.uncheck("#outlines")
    assert traces(page, "scatter", "x")["mixture"]["x"] == []
    page.check("#outlines")


def test_what_the_table_says_is_shown_and_not_run(page):
    assert text(page, "h1") == page.title() == "<i>Rows</i> & </script>"
    assert page.locator("#across option").all_text_contents() == [*NAMES, "(score)"]
    assert set(page.locator("#strangest td.labeled").all_text_contents()) <= set(LABELS)
    page.locator("#strangest button").first.click()
    assert LABELS[1] in text(page, "#told")
    ticks = page.locator("#bars .ytick").all_text_contents()
    assert any(tick.startswith("</script><b>bold</b> = ") for tick in ticks)
    given = page.evaluate("document.getElementById('scatter').data.flatMap((t) => t.text ?? [])")
    assert len(given) == 600
    # Plotly takes what looks like HTML for markup, but for the breaks between lines.
    assert "<" not in "".join(given).replace("<br>", "")
    hover(page)
    assert (
        page.locator("#scatter .hoverlayer text")
        .all_text_contents()[0]
        .endswith(LABELS[1][:29] + "…")
    )
    for element in ("img", "main b", "main i", "svg a"):
        assert page.locator(element).count() == 0
    assert page.evaluate("window.hacked") is None


def test_no_script_but_its_own_may_run(browser, labeled_page):
    """The second line of defense: the policy stops what would have slipped in."""
    page = browser.new_page()
    page.goto(labeled_page.as_uri())
    page.evaluate("""() => {
        document.body.insertAdjacentHTML("beforeend", '<b onclick="window.hacked=1">x</b>');
        document.body.lastChild.click();
        const script = document.createElement("script");
        script.textContent = "window.hacked = 2";
        document.body.append(script);
    }""")
    assert page.evaluate("window.hacked") is None
    assert (
        page.evaluate("fetch('https://example.org').then(() => 'there', () => 'refused')")
        == "refused"
    )
    page.close()


def test_a_hundred_thousand_rows(shown, detector, tmp_path):
    path, long_table = tmp_path / "page.html", made(0, 100_000, 4)[0].astype("float32")
    mixjax.explorer.write(path, detector, long_table)
    page = shown(path)
    told = text(page, "#drawn")
    scores = np.asarray(detector.scores(long_table))
    flagged = scores > np.float32(detector.threshold)
    assert "20,000 of 100,000 rows are drawn" in told
    assert text(page, "#flagged") == f"{flagged.sum():,}"
    assert not page.locator("#precision").is_visible()
    page.fill("#threshold", "1.5")
    page.keyboard.press("Enter")
    assert text(page, "#flagged") == f"{(scores > 1.5).sum():,}"
    drawn = traces(page, "scatter", "customdata")["rows"]["customdata"]
    assert len(set(drawn)) == 20_000
    hidden = next(row for row in range(100_000) if row not in set(drawn))
    page.fill("#number", str(hidden))
    page.click("#search button")
    assert f"its values are in row {hidden} of the table" in text(page, "#told")
    assert not page.locator("#all-values").is_visible()
    assert float(text(page, "#told").split("score ")[1].split(",")[0]) == pytest.approx(
        scores[hidden], rel=1e-4
    )
    assert not page.locator("#bars").is_visible()
    assert path.stat().st_size < 5e6


def test_values_of_rows_that_are_not_drawn(shown, detector, table, tmp_path):
    rounded = table[0].round(1)
    mixjax.explorer.write(tmp_path / "page.html", detector, rounded, most_drawn=100)
    page = shown(tmp_path / "page.html")
    drawn = traces(page, "scatter", "customdata")["rows"]["customdata"]
    hidden = next(row for row in range(600) if row not in set(drawn))
    page.fill("#number", str(hidden))
    page.click("#search button")
    assert "Its values are in this page" in text(page, "#told")
    assert not page.locator("#bars").is_visible()
    far = np.argsort(-np.abs((rounded[hidden] - detector.center) / detector.scale))
    names = page.locator("#values td:nth-child(1)").all_text_contents()
    assert names == [NAMES[c] for c in far]
    told = page.locator("#values td:nth-child(2)").all_text_contents()
    np.testing.assert_allclose(np.array(told, float), rounded[hidden][far], rtol=1e-6)
    assert set(page.locator("#values td:nth-child(4)").all_text_contents()) == {"–"}


def luminance(color):
    """From 0 for black to 255 for white."""
    digits = color.removeprefix("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    return np.mean([int(digits[i : i + 2], 16) for i in (0, 2, 4)])


PLOTS = ("scatter", "histogram", "bars", "curve")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_suit_the_screen_and_paper_is_white(shown, labeled_page, scheme):
    page = shown(labeled_page, color_scheme=scheme)

    def grounds():
        of = "(id) => [document.getElementById(id).layout].map((l) => [l.paper_bgcolor, l.font.color])[0]"
        return [tuple(map(luminance, page.evaluate(of, plot))) for plot in PLOTS]

    def until(holds):
        """The page hears of another scheme a moment later."""
        for _ in range(100):
            if holds():
                return
            page.wait_for_timeout(50)
        assert holds()

    is_dark = scheme == "dark"
    assert all((ground < ink) == is_dark for ground, ink in grounds())
    page.emulate_media(color_scheme="light" if is_dark else "dark")
    until(lambda: all((ground > ink) == is_dark for ground, ink in grounds()))
    page.emulate_media(color_scheme=scheme)
    until(lambda: all((ground < ink) == is_dark for ground, ink in grounds()))
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert all(ground > ink for ground, ink in grounds())
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert all((ground < ink) == is_dark for ground, ink in grounds())


def test_a_browser_that_cannot_unpack_says_so(browser, labeled_page):
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(labeled_page.as_uri())
    assert "needs a browser from 2023 or later" in text(page, "#too-old")
    page.close()


def test_it_prints(page):
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000
    page.emulate_media(media="print")
    for control in ("#slider", "#across", "#search"):
        assert not page.locator(control).is_visible()
    for part in ("#scatter", "#histogram", "#strangest", "#threshold-printed"):
        assert page.locator(part).is_visible()
    page.emulate_media(media="screen")
    width = page.evaluate("document.getElementById('histogram').layout.width")
    assert width != 680  # as before


def test_infinite_scores(shown, detector, table, scores, tmp_path, monkeypatch):
    odd = scores.copy()
    odd[3], odd[5] = np.inf, np.nan
    judged = (odd, np.ones(len(odd), "float32"), ~(odd <= float(detector.threshold)))
    monkeypatch.setattr(mixjax.detect.Detector, "judge", lambda self, x: judged)
    endless = dataclasses.replace(detector, threshold=jax.numpy.asarray(np.inf, "float32"))
    mixjax.explorer.write(tmp_path / "page.html", endless, table[0])
    page = shown(tmp_path / "page.html")
    assert page.locator("#strangest td:nth-child(2)").all_text_contents()[:2] == ["inf", "NaN"]
    assert page.input_value("#threshold") == "inf"
    assert text(page, "#flagged") == "1"  # no number is not below it
    assert "2 infinite scores" in text(page, "#infinite")
    page.select_option("#up", label="(score)")
    found = traces(page, "scatter", "y", "customdata")["rows"]
    assert np.isfinite(np.array(found["y"], float)).all()


# --- What is put in ---


@pytest.mark.parametrize("n_drawn", [30, 5000])
def test_the_strangest_rows_are_always_drawn(detector, table, scores, seed, n_drawn):
    some = np.random.default_rng(seed).permutation(600)
    found = contents_of(detector, table[0][some], drawn=n_drawn)
    order = np.argsort(-scores[some], kind="stable")
    np.testing.assert_allclose(found["scores"], scores[some], rtol=1e-5)
    assert len(set(found["drawn"].tolist())) == len(found["drawn"]) == min(n_drawn, 600)
    n_flagged = int((scores > float(detector.threshold)).sum())
    assert found["kept"] == max(20, min(n_flagged, n_drawn // 2))
    np.testing.assert_array_equal(scores[some][found["drawn"][: found["kept"]]],
                                  scores[some][order[: found["kept"]]])  # fmt: skip
    again = contents_of(detector, table[0][some], drawn=n_drawn)
    np.testing.assert_array_equal(again["drawn"], found["drawn"])


def test_the_stops_are_finest_in_the_tail(detector, table, scores):
    found = contents_of(detector, table[0])
    stops = found["stops"]
    assert (np.diff(stops) > 0).all()
    assert stops[found["start"]] == np.float32(detector.threshold)
    above = {int((scores > stop).sum()) for stop in stops}
    assert above >= set(range(50))
    assert max(above) == len(scores) - 1


@pytest.mark.parametrize(
    "family", [mixjax.Laplace, mixjax.DiagonalGaussian], ids=lambda f: f.__name__
)
def test_the_outlines_hold_what_they_promise(detector, seed, family):
    d = 2
    rng = np.random.default_rng(seed)
    mixtures = mixjax.Mixture(
        jax.numpy.zeros((1, 1)),
        family(jax.numpy.asarray(rng.normal(size=(1, 1, d)), "float32"),
               jax.numpy.asarray(rng.uniform(0.5, 2, size=(1, 1, d)), "float32")),
    )  # fmt: skip
    member = dataclasses.replace(detector.members[0], mixtures=mixtures)
    small = dataclasses.replace(
        detector, members=(member,), columns=(1, 2), center=np.array([1e9, 0.0]),
        scale=np.array([1e5, 2.0]), usual=np.zeros((2, 2)), typical=detector.typical[:d],
    )  # fmt: skip
    x = np.zeros((30, 4))
    x[:, 1] = 1e9 + np.arange(30)
    found = contents_of(small, x)
    assert found["values"][0].dtype == np.float64  # single precision cannot tell these apart
    np.testing.assert_array_equal(found["values"][0], x[found["drawn"], 1])
    assert found["values"][1].dtype == np.float32
    outline = found["mixture"]
    one = jax.tree.map(lambda leaf: leaf[0], mixtures)
    y = np.asarray(mixjax.sample(jax.random.key(seed), one, 20_000)[0]) - outline["centers"][0]
    y /= np.sqrt(np.diagonal(outline["covariances"][0]))
    if family is mixjax.Laplace:
        radius = np.abs(y).sum(axis=1) * np.sqrt(2)  # variance is twice the squared scale
    else:
        radius = np.linalg.norm(y, axis=1)
    for share, r in zip(outline["shares"], outline["radii"], strict=True):
        assert (radius < r).mean() == pytest.approx(share, abs=0.02)


def test_the_histogram_counts_every_row_once(detector, table, scores):
    x, is_anomaly = table
    found = contents_of(detector, x, is_anomaly)["histogram"]
    assert [c.sum() for c in found["counts"]] == [(~is_anomaly).sum(), is_anomaly.sum()]
    inner = np.expm1(found["edges"][20])
    assert sum(c[20:].sum() for c in found["counts"]) == (scores >= inner).sum()


def test_values_of_all_rows_are_kept_if_they_fit(detector, table, monkeypatch):
    x = table[0].astype("float32")
    for most, n in ((1_500_000, 600), (100, 50)):
        monkeypatch.setattr("mixjax.explorer.contents.MOST_VALUES", most)
        found = contents_of(detector, x, drawn=50)
        others = np.setdiff1d(np.arange(600), found["drawn"])
        order = np.concatenate([found["drawn"], others])[:n]
        np.testing.assert_array_equal(np.stack(found["values"], axis=1), x[order])


def test_columns_that_surprise_are_kept(detector, table, monkeypatch):
    monkeypatch.setattr("mixjax.explorer.contents.MOST_COLUMNS", 2)
    x = table[0].copy()
    x[:40, 3] += 60.0
    found = contents_of(detector, x)
    assert NAMES[3] in found["columns"]
    assert len(found["columns"]) == len(found["values"]) == 2
    assert found["columns"][found["axes"][0]] == NAMES[3]
    assert (found["columnsUsed"], found["columnsThere"]) == (4, 4)
    column = NAMES.index(found["columns"][0])
    np.testing.assert_allclose(found["values"][0], x[found["drawn"], column], rtol=1e-6)
    np.testing.assert_allclose(
        found["surprises"][:, 0], detector.explain(x)[found["drawn"], column], rtol=1e-3, atol=1e-2
    )


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"is_anomaly": np.arange(600)}, ValueError, "is_anomaly must be 1 for anomalies"),
        ({"is_anomaly": np.ones(3, bool)}, ValueError, r"is_anomaly must have shape \(600,\)"),
        ({"labels": ["a"]}, ValueError, "labels must have shape"),
        ({"row_numbers": np.zeros(600, int)}, ValueError, "600 different numbers"),
        ({"row_numbers": np.arange(600.0)}, ValueError, "whole numbers, got float64"),
        ({"row_numbers": np.arange(600) + 2**60}, ValueError, r"within 2\*\*53"),
        ({"most_drawn": 10}, ValueError, "most_drawn must be at least most_listed, 50"),
        ({"most_listed": 0}, ValueError, "most_listed must be at least 1"),
        ({"detector": 3}, TypeError, "a Detector from mixjax.detect.fit, got int"),
        ({"x": np.zeros((5, 2))}, ValueError, "columns"),
        ({"path": "nowhere/page.html"}, FileNotFoundError, "no folder"),
    ],
)
def test_what_is_wrong_is_named(detector, table, tmp_path, options, error, words):
    given = {"path": "page.html", "detector": detector, "x": table[0]} | options
    with pytest.raises(error, match=words):
        mixjax.explorer.write(tmp_path / given.pop("path"), **given)
    assert list(tmp_path.iterdir()) == []


# --- The command ---


def detect(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["detect", *map(str, arguments)])


@pytest.fixture
def csv(tmp_path, table):
    x, is_anomaly = table
    lines = [
        ",".join(map(str, [*row, "odd" if a else "fine"]))
        for row, a in zip(x, is_anomaly, strict=True)
    ]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,<c>,d,kind", *lines]))
    return path, ("--label", "kind", "--normal", "fine", "--family", "gaussian",
        "--components", 1, "--components", 2)  # fmt: skip


def test_the_command_writes_the_page_of_its_test_rows(shown, csv, tmp_path):
    path, options = csv
    done = detect(path, *options, "--report", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    assert "open it in a browser" in done.output
    page = shown(tmp_path / "page.html")
    assert text(page, "h1") == "table.csv"
    said = " ".join(done.output.split())
    normal, found = map(int, re.findall(r"(\d+) of [\d,]+ \([\d.]+ %\)", said)[:2])
    assert int(text(page, "#flagged")) == normal + found
    assert f"precision {text(page, '#precision')}, recall {text(page, '#recall')}" in said
    first = text(page, "#strangest tr").split()[0]
    assert re.search(rf"^ *{first[:3]} +0 of", done.output, re.MULTILINE)


def test_the_command_asks_for_the_extra_before_the_fit(csv, tmp_path, monkeypatch):
    path, options = csv
    done = detect(path, *options, "--report", tmp_path / "nowhere" / "page.html")
    assert done.exit_code == 2
    assert "no folder" in done.output
    for name in [name for name in sys.modules if name.startswith("mixjax.explorer")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setattr(mixjax.detect, "fit_scores", None)
    done = detect(path, *options, "--report", tmp_path / "page.html")
    assert done.exit_code == 2, done.output
    assert "pip install 'mixjax[plot]'" in " ".join(done.output.split())
    assert not (tmp_path / "page.html").exists()
