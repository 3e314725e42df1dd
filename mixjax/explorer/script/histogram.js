/* The scores of all rows, and where the threshold stands among them. */

function thresholdLine() {
  const place = onScale(state.threshold);
  const right = place > (scale[0] + scale.at(-1)) / 2;
  return {
    shapes: [
      {
        type: "line",
        x0: place,
        x1: place,
        yref: "paper",
        y0: 0,
        y1: 1,
        line: { color: colors.mark, width: 2, dash: "dash" },
      },
    ],
    annotations: [
      {
        x: place,
        y: 1,
        yref: "paper",
        yanchor: "bottom",
        xanchor: right ? "right" : "left",
        showarrow: false,
        text: `threshold ${digits(state.threshold)}`,
        font: { color: colors["mark-text"] },
      },
    ],
  };
}

function drawHistogram() {
  const { edges, counts } = page.histogram;
  const width = edges[1] - edges[0];
  const unsquashed = (v) => digits(Math.sign(v) * Math.expm1(Math.abs(v)), 3);
  const names = page.isAnomaly ? ["normal", "anomalous"] : ["rows"];
  const traces = counts.map((count, kind) => ({
    type: "bar",
    name: names[kind],
    x: Array.from(count, (_, i) => edges[i] + width / 2),
    y: Array.from(count),
    width,
    marker: { color: [colors.normal, colors.anomalous][kind], line: { width: 0 } },
    opacity: 0.72,
    hoverinfo: "text",
    textposition: "none",
    text: Array.from(
      count,
      (n, i) =>
        `${whole(n)} ${names[kind]}<br>score ${unsquashed(edges[i])} to ${unsquashed(edges[i + 1])}`,
    ),
  }));
  return Plotly.react(
    "histogram",
    traces,
    {
      ...theme(),
      margin: { l: 60, r: 10, t: 26, b: 50 },
      barmode: "overlay",
      bargap: 0,
      showlegend: traces.length > 1,
      legend: { x: 1, y: 0.98, xanchor: "right", yanchor: "top", bgcolor: "rgba(0, 0, 0, 0)" },
      xaxis: { ...axis(), ...ticks, range: [edges[0], edges.at(-1)], title: { text: "score" } },
      yaxis: {
        ...axis(),
        type: at("logarithmic").checked ? "log" : "linear",
        title: { text: "rows" },
      },
      ...thresholdLine(),
    },
    config,
  );
}
