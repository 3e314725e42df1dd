/* Moving the threshold, and what follows from it. */

function count() {
  let flagged = 0;
  let caught = 0;
  let anomalous = 0;
  for (let row = 0; row < nRows; row++) {
    const is = isFlagged(row);
    if (is) flagged++;
    if (page.isAnomaly && isAnomalous(row)) {
      anomalous++;
      if (is) caught++;
    }
  }
  return { flagged, caught, anomalous };
}

function tellFigures() {
  const { flagged, caught, anomalous } = count();
  const told = {
    flagged: whole(flagged),
    "flagged-of": `of ${whole(nRows)} (${digits((100 * flagged) / nRows, 3)} %)`,
    "threshold-printed": digits(state.threshold),
  };
  if (page.isAnomaly) {
    Object.assign(told, {
      precision: share(caught / flagged),
      recall: share(caught / anomalous),
      f1: share((2 * caught) / (flagged + anomalous)),
      "true-positives": whole(caught),
      "false-positives": whole(flagged - caught),
      "false-negatives": whole(anomalous - caught),
      "true-negatives": whole(nRows - anomalous - flagged + caught),
    });
  }
  for (const [id, text] of Object.entries(told)) at(id).textContent = text;
  at("slider").setAttribute(
    "aria-valuetext",
    `${digits(state.threshold)}, ${whole(flagged)} rows flagged`,
  );
}

function flagCell(cell, row) {
  cell.textContent = isFlagged(row) ? "yes" : "no";
  cell.className = isFlagged(row) ? "is-flagged" : "";
}

let frame = null;
let pause = null;
/** The figures follow at once, the line once a frame, the points once the slider rests. */
function followThreshold() {
  tellFigures();
  for (const line of at("strangest").rows)
    flagCell(line.querySelector(".flag-cell").firstChild, Number(line.dataset.row));
  if (state.row !== null) tellRow();
  frame ??= requestAnimationFrame(() => {
    frame = null;
    Plotly.relayout("histogram", thresholdLine());
    followCurve();
  });
  clearTimeout(pause);
  pause = setTimeout(drawRings, 100);
}

function moveTo(threshold) {
  state.threshold = threshold;
  at("threshold").value = exactly(threshold);
  at("threshold").removeAttribute("aria-invalid");
  at("threshold-error").textContent = "";
  followThreshold();
}

/** The last stop that is not above a threshold. */
function stopBelow(threshold) {
  let stop = page.stops.length - 1;
  while (stop > 0 && page.stops[stop] > threshold) stop--;
  return stop;
}

function typedThreshold() {
  const text = at("threshold").value.trim().toLowerCase();
  const infinite = /^([+-]?)inf(inity)?$/.exec(text);
  const value = infinite
    ? infinite[1] === "-"
      ? -Infinity
      : Infinity
    : text === ""
      ? NaN
      : Number(text);
  if (Number.isNaN(value)) {
    at("threshold").setAttribute("aria-invalid", "true");
    at("threshold-error").textContent = "The threshold must be a number, such as 3.5, or inf.";
    return;
  }
  at("slider").value = stopBelow(value);
  moveTo(single ? Math.fround(value) : value);
}
