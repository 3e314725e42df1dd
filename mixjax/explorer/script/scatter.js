/* Rows by two columns, and the outlines of the mixture. */

/** Where rows are along an axis; a score that is infinite or no number stands at the end. */
function along(c, rows) {
  if (c !== SCORE) return Array.from(rows, (row) => page.values[c][embedded.get(row)]);
  return Array.from(rows, (row) => onScale(page.scores[row]));
}

function hoverText(row) {
  const label = labelOf(row);
  const lines = [`row ${numberOf(row)}`, `score ${digits(page.scores[row])}`];
  for (const c of new Set([state.x, state.y])) {
    if (c !== SCORE)
      lines.push(`${plain(shortened(nameOf(c)))} = ${valueText(embedded.get(row), c)}`);
  }
  if (label !== null) lines.push(plain(shortened(label)));
  return lines.join("<br>");
}

function pointsTrace(name, rows, symbol) {
  return {
    type: gl ? "scattergl" : "scatter",
    mode: "markers",
    name,
    hoverinfo: "text",
    ...inLegend(name, false),
    x: along(state.x, rows),
    y: along(state.y, rows),
    customdata: Array.from(rows),
    text: Array.from(rows, hoverText),
    marker: {
      symbol,
      size: SIZE,
      opacity: 0.85,
      color: Array.from(rows, (row) => onScale(page.scores[row])),
      coloraxis: "coloraxis",
    },
  };
}

const inLegend = (name, showlegend) => ({ legendgroup: name, showlegend });

/** What the legend shows of points: plotly cannot show there what is colored by score. */
function legendTrace(name, symbol) {
  return {
    type: "scatter",
    mode: "markers",
    name,
    x: [null],
    y: [null],
    marker: { symbol, size: 8, color: colors.normal },
    legendrank: 1,
    ...inLegend(name, true),
  };
}

/** More rings would hide the colors of the rows. */
const MOST_RINGS = 50;

function ringsTrace() {
  const highest = points.filter(isFlagged).sort((i, j) => page.scores[j] - page.scores[i]);
  const rows = highest.slice(0, MOST_RINGS);
  return {
    type: gl ? "scattergl" : "scatter",
    mode: "markers",
    name: "flagged",
    hoverinfo: "skip",
    x: along(state.x, rows),
    y: along(state.y, rows),
    customdata: Array.from(rows),
    marker: { symbol: "circle-open", size: SIZE + 4, color: colors.mark, line: { width: 1.2 } },
  };
}

function chosenTrace() {
  const rows = embedded.has(state.row) ? [state.row] : [];
  return {
    type: "scatter",
    mode: "markers",
    name: "chosen row",
    hoverinfo: "skip",
    x: along(state.x, rows),
    y: along(state.y, rows),
    customdata: rows,
    marker: { symbol: "circle-cross-open", size: 22, color: colors.chosen, line: { width: 2 } },
  };
}

/** The outlines of all components in two columns, as one line with gaps. */
function outlinesTrace() {
  const { outline, radii, centers, covariances, weights } = page.mixture;
  const [c, d] = [state.x, state.y];
  const line = { x: [], y: [] };
  const none = outline === null || c === SCORE || d === SCORE || !at("outlines").checked;
  for (let k = 0; !none && k < weights.length; k++) {
    const covariance = (i, j) => covariances[(k * nColumns + i) * nColumns + j];
    const path = correlated(outline, covariance(c, c), covariance(c, d), covariance(d, d));
    for (const radius of radii) {
      for (const [u, v] of path) {
        line.x.push(page.center[c] + page.scale[c] * (centers[k * nColumns + c] + radius * u));
        line.y.push(page.center[d] + page.scale[d] * (centers[k * nColumns + d] + radius * v));
      }
      line.x.push(null);
      line.y.push(null);
    }
  }
  return {
    ...line,
    type: "scatter",
    mode: "lines",
    name: "mixture",
    hoverinfo: "skip",
    line: { color: colors.outline, width: 1 },
    opacity: 0.55,
  };
}

/** A line of points, one after the other, through the Cholesky factor of a covariance. */
function correlated(line, xx, xy, yy) {
  const a = Math.sqrt(xx);
  const b = xy / a;
  const c = Math.sqrt(Math.max(0, yy - b * b));
  return Array.from({ length: line.length / 2 }, (_, i) => {
    const [u, v] = [line[2 * i], line[2 * i + 1]];
    return [a * u, b * u + c * v];
  });
}

/** Whether a column can have a logarithmic axis, and whether it should: large values reach far. */
function logarithms(c) {
  if (c === SCORE) return { can: false, should: false };
  if (levelsOf(c)) return { can: false, should: false };
  const values = Float64Array.from(page.values[c].filter((value) => !Number.isNaN(value))).sort();
  const [low, middle, high] = [0.025, 0.5, 0.975].map((q) => values[Math.floor(q * values.length)]);
  return { can: values[0] > 0, should: values[0] > 0 && high - middle > 4 * (middle - low) };
}

/** Columns begin with the axis that suits them. */
function suitAxis(id, c) {
  const { can, should } = logarithms(c);
  at(`${id}-log`).disabled = !can;
  at(`${id}-log`).checked = should;
}

/** The words of a column at their numbers, if they are few. */
function wordTicks(c) {
  const words = c === SCORE ? null : levelsOf(c);
  if (!words || words.length > 12) return {};
  const ticktext = words.map((word) => plain(shortened(word, 16)));
  return { tickvals: words.map((_, i) => i), ticktext };
}

/** An axis that holds all points: not all outlines, of which some may be very wide. */
function scatterAxis(id, c, points) {
  const isLog = at(`${id}-log`).checked;
  const values = isLog ? points.map(Math.log10) : points;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const room = 0.05 * (high - low) || 1;
  const range = low <= high ? { range: [low - room, high + room] } : {};
  return {
    ...axis(),
    ...range,
    type: isLog ? "log" : "linear",
    ...(c === SCORE ? ticks : {}),
    ...wordTicks(c),
    title: { text: plain(shortened(nameOf(c), 60)), standoff: 8 },
  };
}

function drawScatter() {
  const kinds = page.isAnomaly
    ? [
        pointsTrace(
          "normal",
          points.filter((row) => !isAnomalous(row)),
          "circle",
        ),
        pointsTrace("anomalous", points.filter(isAnomalous), "triangle-up"),
      ]
    : [pointsTrace("rows", points, "circle")];
  const legend = kinds.map((trace) => legendTrace(trace.name, trace.marker.symbol));
  const traces = [...kinds, ringsTrace(), outlinesTrace(), chosenTrace(), ...legend];
  return Plotly.react(
    "scatter",
    traces,
    {
      ...theme(),
      margin: { l: 60, r: 10, t: 34, b: 50 },
      hovermode: "closest",
      dragmode: "zoom",
      xaxis: scatterAxis(
        "across",
        state.x,
        kinds.flatMap((trace) => trace.x),
      ),
      yaxis: scatterAxis(
        "up",
        state.y,
        kinds.flatMap((trace) => trace.y),
      ),
      legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom", itemsizing: "constant" },
      coloraxis: {
        cmin: scale[0],
        cmax: scale.at(-1),
        colorscale: scoreColors().map((color, i, all) => [i / (all.length - 1), color]),
        colorbar: { title: { text: "score" }, thickness: 12, outlinewidth: 0, ...ticks },
      },
    },
    config,
  );
}

function redraw(trace, index) {
  const { x, y, customdata } = trace;
  return Plotly.restyle("scatter", { x: [x], y: [y], customdata: [customdata] }, [index]);
}

const nKinds = page.isAnomaly ? 2 : 1;
const drawRings = () => redraw(ringsTrace(), nKinds);
const drawChosen = () => redraw(chosenTrace(), nKinds + 2);
