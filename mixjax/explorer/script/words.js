/* Numbers and names as text, and text as elements. */

/** A number in so many digits; without those that say nothing. */
function digits(value, n = 4) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return value !== 0 && Math.abs(value) < 1e-4
    ? Number(value.toExponential(n - 1)).toExponential()
    : String(Number(value.toPrecision(n)));
}

/** The shortest text that reads back as the same number, in the precision of the scores. */
function exactly(value) {
  if (!Number.isFinite(value)) return digits(value);
  for (let n = 1; single && n < 10; n++) {
    const text = digits(value, n);
    if (Math.fround(Number(text)) === value) return text;
  }
  return String(value);
}

const whole = (n) => n.toLocaleString("en-GB");
const share = (value) => (Number.isFinite(value) ? value.toFixed(4) : "–");
const signed = (value) => (value > 0 ? "+" : "") + digits(value, 3);
const levelsOf = (c) => page.levels?.[c] ?? null;
/** A value of a column in so many digits, or the word that it stands for. */
function called(value, c, n) {
  if (Number.isNaN(value)) return "unknown";
  const levels = levelsOf(c);
  return levels ? (levels[value] ?? "a word that was never seen") : digits(value, n);
}
const valueText = (i, c) =>
  called(page.values[c][i], c, page.values[c] instanceof Float32Array ? 7 : 15);
/** A value of a column, in as many digits as tell it from others there, and four at least. */
function briefly(value, c) {
  const n = Math.ceil(Math.log10(Math.abs(value) / page.scale[c])) + 3;
  return called(value, c, Math.max(4, Math.min(15, n || 0)));
}

const counted = (n, what) => `${whole(n)} ${what}${n === 1 ? "" : "s"}`;
const surpriseOf = (i, c) => page.surprises[i * nColumns + c];
/** The share of what is strange in a row; below 0 where a column is more ordinary than most. */
const shareOf = (i, c) => (page.totals[i] > 0 ? surpriseOf(i, c) / page.totals[i] : 0);
const percent = (value) => `${Math.round(100 * value)} %`;
const usualOf = (c) => [page.usual[2 * c], page.usual[2 * c + 1]];

function usualText(c) {
  if (levelsOf(c)) return `one of ${counted(levelsOf(c).length, "word")}`;
  const [low, high] = usualOf(c).map((value) => briefly(value, c));
  return low === high ? low : `${low} to ${high}`;
}

/** Text for plotly, which takes what looks like HTML for that. */
function plain(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

const shortened = (text, n = 30) => (text.length > n ? `${text.slice(0, n - 1)}…` : text);
const nameOf = (c) => (c === SCORE ? "score" : page.columns[c]);

/** An element with text, or with elements, in it. */
function made(tag, content = "", className = "") {
  const element = document.createElement(tag);
  element.append(...[content].flat());
  if (className) element.className = className;
  return element;
}
