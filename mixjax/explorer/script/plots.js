/* What the plots have in common: their look, and the scale of scores. */

// Cividis from its end but for the brightest: strange rows are dark on light paper.
const CIVIDIS = [
  "#e8d260",
  "#c8b566",
  "#aa9d72",
  "#8f8777",
  "#77767a",
  "#616573",
  "#48546c",
  "#2b446e",
  "#083370",
  "#00224e",
];
const SIZE = points.length > 3000 ? 5 : 7;
const dark = matchMedia("(prefers-color-scheme: dark)");

/** The colors of the style, which knows whether the page is dark. */
let colors = colorsNow();
function colorsNow() {
  const style = getComputedStyle(document.documentElement);
  const names = "ink soft edge grid card mark mark-text normal anomalous outline chosen dark";
  const entries = names.split(" ").map((name) => [name, style.getPropertyValue(`--${name}`).trim()]);
  return Object.fromEntries(entries);
}

/** The colors of scores from 0 on: away from that of the paper. */
const scoreColors = () => (colors.dark === "1" ? [...CIVIDIS].reverse() : CIVIDIS);

const config = {
  displaylogo: false,
  responsive: true,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};
const theme = () => ({
  font: {
    family: "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif",
    size: 13,
    color: colors.ink,
  },
  paper_bgcolor: colors.card,
  plot_bgcolor: colors.card,
});
const axis = () => ({
  gridcolor: colors.grid,
  zeroline: false,
  linecolor: colors.edge,
  ticks: "outside",
  tickcolor: colors.edge,
  automargin: true,
});

/** Ticks at round scores on the squashed scale between two places of it. */
function scoreTicks(low, high) {
  const round = [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500];
  for (let power = 3; power < 39; power++) round.push(10 ** power);
  const kept = [];
  for (const score of round) {
    const place = squashed(score);
    const apart = kept.length === 0 || place - squashed(kept.at(-1)) > 0.07 * (high - low);
    if (place >= low && place <= high && apart) kept.push(score);
  }
  return {
    tickvals: kept.map(squashed),
    ticktext: kept.map((v) => (v < 1e4 ? whole(v) : v.toExponential(0))),
  };
}

/** On a scale that leaves small scores as they are, and grows with their logarithm. */
const squashed = (score) => Math.sign(score) * Math.log1p(Math.abs(score));

const scale = page.histogram.edges;
const ticks = scoreTicks(scale[0], scale.at(-1));

/** Where a score stands in plots: infinite ones, and those that are no number, at an end. */
const onScale = (score) =>
  Number.isNaN(score) ? scale.at(-1) : Math.max(scale[0], Math.min(squashed(score), scale.at(-1)));
