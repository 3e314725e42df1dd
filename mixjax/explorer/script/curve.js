/* Precision and recall of all thresholds, where it is known which rows are anomalous. */

/** Precision and recall above each stop of the slider, the highest first. */
function curveOf() {
  const order = Array.from(page.scores.keys()).sort((i, j) => page.scores[j] - page.scores[i]);
  const anomalous = order.reduce((n, row) => n + isAnomalous(row), 0);
  const curve = { recall: [], precision: [], threshold: [] };
  let [n, caught] = [0, 0];
  for (let stop = page.stops.length - 1; stop >= 0; stop--) {
    while (n < order.length && !(page.scores[order[n]] <= page.stops[stop])) {
      if (isAnomalous(order[n])) caught++;
      n++;
    }
    if (n === 0) continue;
    curve.recall.push(caught / anomalous);
    curve.precision.push(caught / n);
    curve.threshold.push(page.stops[stop]);
  }
  return curve;
}

function placeOnCurve() {
  const { flagged, caught, anomalous } = count();
  return flagged ? { x: [caught / anomalous], y: [caught / flagged] } : { x: [], y: [] };
}

function drawCurve() {
  if (!page.isAnomaly) return Promise.resolve();
  const { recall, precision, threshold } = curveOf();
  return Plotly.react(
    "curve",
    [
      {
        type: "scatter",
        mode: "lines",
        name: "all thresholds",
        x: recall,
        y: precision,
        text: threshold.map((value) => `threshold ${digits(value)}`),
        hovertemplate: "%{text}<br>recall %{x:.3f}, precision %{y:.3f}<extra></extra>",
        line: { color: colors.normal, width: 2 },
      },
      {
        type: "scatter",
        mode: "markers",
        name: "this threshold",
        hoverinfo: "skip",
        ...placeOnCurve(),
        marker: { size: 11, color: colors.mark },
      },
    ],
    {
      ...theme(),
      margin: { l: 60, r: 10, t: 8, b: 46 },
      xaxis: { ...axis(), range: [0, 1.02], title: { text: "recall" } },
      yaxis: { ...axis(), range: [0, 1.04], title: { text: "precision" } },
      legend: { x: 0.02, y: 0.04, yanchor: "bottom", bgcolor: "rgba(0, 0, 0, 0)" },
    },
    { ...config, displayModeBar: false },
  );
}

function followCurve() {
  if (!page.isAnomaly) return;
  const { x, y } = placeOnCurve();
  Plotly.restyle("curve", { x: [x], y: [y] }, [1]);
}
