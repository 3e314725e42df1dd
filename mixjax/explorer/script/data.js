/* What the page shows, and what a person chose of it. Rows are told by their place in the
   table, columns by theirs in the page. */

const at = (id) => document.getElementById(id);
const page = unpacked(JSON.parse(at("contents").textContent));
const nRows = page.scores.length;
const nColumns = page.columns.length;
// Place in the table -> place among the rows that are embedded.
const embedded = new Map(Array.from(page.drawn, (row, i) => [row, i]));
const single = page.scores instanceof Float32Array;
const gl = hasWebGL();
// Without WebGL every point is an element of the document.
const points = pointsShown();
const SCORE = nColumns; // stands for the score as an axis

const state = {
  threshold: page.stops[page.start],
  row: null,
  x: page.axes[0],
  y: page.axes[1] ?? SCORE,
};

/** The arrays of the contents as typed arrays, wherever they stand. */
function unpacked(value) {
  if (Array.isArray(value)) return value.map(unpacked);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.base64 === "string") {
    const kinds = {
      float32: Float32Array,
      float64: Float64Array,
      int32: Int32Array,
      uint8: Uint8Array,
    };
    return new kinds[value.dtype](
      Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)).buffer,
    );
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, unpacked(part)]));
}

function hasWebGL() {
  const context = document.createElement("canvas").getContext("webgl");
  const fit =
    context?.getExtension("OES_element_index_uint") &&
    context.getExtension("ANGLE_instanced_arrays");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(fit);
}

/** The rows of the scatter, the strangest last: they stand above the others. */
function pointsShown() {
  const first = gl ? page.kept : Math.min(page.kept, Math.max(2500, page.listed));
  const others = gl ? page.drawn.length : 5000 - first;
  return page.drawn
    .filter((_, i) => i < first || (i >= page.kept && i < page.kept + others))
    .reverse();
}

const numberOf = (row) => (page.rowNumbers ? page.rowNumbers[row] : row);
const labelOf = (row) => (page.labels ? page.labelWords[page.labels[row]] : null);
const isAnomalous = (row) => Boolean((page.isAnomaly[row >> 3] >> (row & 7)) & 1);
// As the detector flags: a score that is no number is strange, one on the threshold is not.
const isFlagged = (row) => !(page.scores[row] <= state.threshold);

let places = null;
function rowOfNumber(number) {
  if (!page.rowNumbers)
    return Number.isInteger(number) && number >= 0 && number < nRows ? number : undefined;
  places ??= new Map(Array.from(page.rowNumbers, (n, row) => [n, row]));
  return places.get(number);
}
