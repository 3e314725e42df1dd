/* What the page shows, and what a person chose of it. Rows are told by their place in the
   table, columns by theirs in the page. */

const at = (id) => document.getElementById(id);
if (!("DecompressionStream" in window)) {
  at("too-old").textContent = "This page needs a browser from 2023 or later, to unpack its rows.";
  return;
}
const page = unpacked(JSON.parse(at("contents").textContent), await decompressed("arrays"));
// In the global scope, as a script would run.
(0, eval)(new TextDecoder().decode(await decompressed("plotly")));
const nRows = page.scores.length;
const nColumns = page.columns.length;
// Place in the table -> place among the values.
const embedded = new Map(Array.from(page.drawn, (row, i) => [row, i]));
if (page.values[0].length === nRows) {
  for (let row = 0; row < nRows; row++) if (!embedded.has(row)) embedded.set(row, embedded.size);
}
const isExplained = (i) => i < page.drawn.length;
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

/** The bytes that an element holds, compressed. */
async function decompressed(id) {
  const bytes = Uint8Array.from(atob(at(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The contents with their arrays as typed arrays, wherever they stand. */
function unpacked(value, bytes) {
  if (Array.isArray(value)) return value.map((part) => unpacked(part, bytes));
  if (value === null || typeof value !== "object") return value;
  if (typeof value.dtype === "string") return typed(value, bytes);
  const parts = Object.entries(value);
  return Object.fromEntries(parts.map(([name, part]) => [name, unpacked(part, bytes)]));
}

/** An array, of which first come the first bytes of all numbers, then the second ones, ... */
function typed({ dtype, size, start }, bytes) {
  const kinds = {
    float32: Float32Array,
    float64: Float64Array,
    int32: Int32Array,
    uint8: Uint8Array,
  };
  const array = new kinds[dtype](size);
  const each = array.BYTES_PER_ELEMENT;
  const inOrder = new Uint8Array(array.buffer);
  for (let byte = 0; byte < each; byte++)
    for (let i = 0; i < size; i++) inOrder[i * each + byte] = bytes[start + byte * size + i];
  return array;
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
