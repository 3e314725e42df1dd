/* The page as it opens, and what it listens to. */

const plural = (n, word) => `${whole(n)} ${word}${n === 1 ? "" : "s"}`;

function tellFacts() {
  const used = page.columnsUsed;
  const columns =
    used === page.columnsThere
      ? plural(used, "column")
      : `${used} of ${plural(page.columnsThere, "column")} used`;
  const held =
    nColumns === used
      ? ""
      : `, of which this page holds the ${nColumns} that surprise most in the strangest rows`;
  at("facts").textContent = `${plural(nRows, "row")}; ${columns}${held}.`;
  at("drawn").textContent =
    `${rowsDrawn()} ${outlinesMeaning()} Click a point to see why the row is strange.`;
  const infinite = page.scores.reduce((n, score) => n + !Number.isFinite(score), 0);
  at("infinite").textContent =
    "The axis grows with the logarithm of 1 + score." +
    (infinite ? ` The last bar also holds ${plural(infinite, "infinite score")}.` : "");
}

function rowsDrawn() {
  const n = page.drawn.length;
  const drawn =
    n === nRows
      ? "All rows are drawn."
      : `${whole(n)} of ${whole(nRows)} rows are drawn, the ${whole(page.kept)} strangest and ` +
        `${whole(n - page.kept)} others at random; all counts are of all rows.`;
  const rings = ` The highest ${MOST_RINGS} of the flagged ones have rings.`;
  return points.length === n
    ? drawn + rings
    : `${drawn}${rings} This browser has no WebGL: only ${whole(points.length)} of them are shown.`;
}

function outlinesMeaning() {
  const { family, weights, outline, shares } = page.mixture;
  if (outline === null) return `${family} has no outlines.`;
  const parts = shares.map((p) => `${100 * p} %`).join(" and ");
  return `Outlines hold ${parts} of each component of the best mixture (${weights.length} × ${family}).`;
}

function fillSelects() {
  for (const [id, name] of [
    ["across", "x"],
    ["up", "y"],
  ]) {
    page.columns.forEach((column, c) => at(id).add(new Option(shortened(column, 60), c)));
    at(id).add(new Option("(score)", SCORE));
    at(id).value = state[name];
    suitAxis(id, state[name]);
    at(id).addEventListener("change", () => {
      state[name] = Number(at(id).value);
      suitAxis(id, state[name]);
      drawScatter();
    });
    at(`${id}-log`).addEventListener("change", drawScatter);
  }
}

function listen() {
  at("slider").addEventListener("input", () => moveTo(page.stops[at("slider").value]));
  at("threshold").addEventListener("change", typedThreshold);
  at("reset").addEventListener("click", () => {
    at("slider").value = page.start;
    moveTo(page.stops[page.start]);
  });
  at("best").addEventListener("click", () => {
    at("slider").value = stopBelow(page.bestF1[0]);
    moveTo(page.bestF1[0]);
  });
  at("outlines").addEventListener("change", drawScatter);
  at("logarithmic").addEventListener("change", drawHistogram);
  at("search").addEventListener("submit", searched);
  at("scatter").on("plotly_click", ({ points: [point] }) => look(point.customdata));
  const root = document.documentElement;
  new ResizeObserver(() =>
    root.style.setProperty("--deciding-height", `${at("deciding").offsetHeight}px`),
  ).observe(at("deciding"));
  dark.addEventListener("change", recolor);
  window.addEventListener("beforeprint", toPaper);
  window.addEventListener("afterprint", toScreen);
}

/** The plots in the colors that the page has now. */
function recolor() {
  colors = colorsNow();
  drawScatter();
  drawHistogram();
  drawCurve();
  const i = embedded.get(state.row);
  if (isExplained(i)) drawBars(i);
}

/** The plots that keep their height on paper. */
const rest = () => (page.isAnomaly ? ["bars", "curve"] : ["bars"]);
const PAPER = 680; // the width of A4 without its margins, in CSS pixels

/** Plots as wide as the paper. WebGL would redraw points too late: these are made smaller. */
function toPaper() {
  // Ink on white paper, also from a dark screen.
  document.documentElement.dataset.paper = "true";
  if (dark.matches) recolor();
  at("scatter").style.zoom = Math.min(1, PAPER / at("scatter").clientWidth);
  Plotly.relayout("histogram", { autosize: false, width: PAPER, height: 260 });
  for (const id of rest()) Plotly.relayout(id, { autosize: false, width: PAPER });
}

function toScreen() {
  delete document.documentElement.dataset.paper;
  if (dark.matches) recolor();
  at("scatter").style.zoom = "";
  Plotly.relayout("histogram", { autosize: true, width: null, height: null });
  for (const id of rest()) Plotly.relayout(id, { autosize: true, width: null });
}

async function start() {
  for (const element of document.querySelectorAll(".judged")) element.hidden = !page.isAnomaly;
  for (const element of document.querySelectorAll(".labeled")) element.hidden = !page.labels;
  at("slider").max = page.stops.length - 1;
  at("slider").value = page.start;
  at("threshold").value = exactly(state.threshold);
  at("logarithmic").checked = nRows > 2000;
  tellFacts();
  tellFigures();
  fillSelects();
  fillTable();
  await Promise.all([drawScatter(), drawHistogram(), drawCurve()]);
  listen();
  choose(page.drawn[0]);
  document.documentElement.dataset.ready = "true";
}

start();
