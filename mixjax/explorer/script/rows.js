/* The strangest rows, and why one row is strange. */

/** The embedded columns of a row, the most surprising first; the farthest out if none is known. */
function bySurprise(i) {
  const far = (c) => Math.abs(page.values[c][i] - page.center[c]) / page.scale[c] || 0;
  const of = isExplained(i) ? (c) => surpriseOf(i, c) : far;
  const order = Array.from({ length: nColumns }, (_, c) => c);
  return order.sort((a, b) => of(b) - of(a) || a - b);
}

/** A column with a smaller share of the surprise of a row is no reason. */
const LEAST = 0.01;

function reasons(i) {
  const first = bySurprise(i)
    .filter((c) => !(shareOf(i, c) <= LEAST))
    .slice(0, 3);
  return first
    .map((c) => `${shortened(page.columns[c])} ${beside(i, c)} (${percent(shareOf(i, c))})`)
    .join("; ");
}

/** A value beside those that are usual. */
function beside(i, c) {
  const value = page.values[c][i];
  const [low, high] = usualOf(c);
  const text = briefly(value, c);
  if (levelsOf(c)) return text;
  if (low <= value && value <= high) return `${text}, odd beside the other columns`;
  return `${text}, usually ${usualText(c)}`;
}

function fillTable() {
  for (let i = 0; i < page.listed; i++) {
    const row = page.drawn[i];
    const button = made("button", String(numberOf(row)));
    button.type = "button";
    const flag = made("td", made("span"), "flag-cell");
    flagCell(flag.firstChild, row);
    const cells = [
      made("td", button, "number"),
      made("td", digits(page.scores[row]), "number"),
      made("td", digits(page.pValues[row], 2), "number"),
    ];
    if (page.labels) cells.push(made("td", labelOf(row), "labeled"));
    const line = made("tr", [...cells, flag, made("td", reasons(i), "reasons")]);
    line.dataset.row = row;
    line.addEventListener("click", () => look(row));
    at("strangest").append(line);
  }
}

function tellRow() {
  const row = state.row;
  const label = labelOf(row);
  const flag = made("span");
  flagCell(flag, row);
  flag.textContent = isFlagged(row) ? "flagged" : "not flagged";
  const facts = [`score ${digits(page.scores[row], 6)}`, `p-value ${digits(page.pValues[row], 2)}`];
  if (label !== null) facts.push(label);
  const told = [
    made("p", [made("strong", `Row ${numberOf(row)}`), `: ${facts.join(", ")}, `, flag]),
  ];
  const i = embedded.get(row);
  if (i === undefined) {
    const where = `its values are in row ${numberOf(row)} of the table.`;
    told.push(made("p", `This row is not among those drawn. Its score is in this page; ${where}`));
  } else if (!isExplained(i)) {
    told.push(
      made("p", "This row is not among those drawn. Its values are in this page, its reasons are not."),
    );
  }
  at("told").replaceChildren(...told);
}

const MOST_BARS = 16;

function drawBars(i) {
  const order = bySurprise(i).slice(0, MOST_BARS).reverse();
  const surprises = order.map((c) => 100 * shareOf(i, c));
  at("bars").style.height = `${110 + 22 * order.length}px`;
  at("bars-note").textContent =
    "How much each column adds to what is strange in the row, given its other columns." +
    (nColumns > MOST_BARS ? ` The ${MOST_BARS} most surprising of ${nColumns} columns.` : "");
  const trace = {
    type: "bar",
    orientation: "h",
    x: surprises,
    y: order.map(String),
    customdata: order,
    hoverinfo: "text",
    textposition: "none",
    text: order.map(
      (c) =>
        `${plain(nameOf(c))} = ${valueText(i, c)}, usually ${usualText(c)}<br>` +
        `${signed(surpriseOf(i, c))} nats more than in normal rows`,
    ),
    marker: { color: surprises.map((v) => (v > 0 ? colors.mark : colors.edge)) },
  };
  return Plotly.react(
    "bars",
    [trace],
    {
      ...theme(),
      font: { ...theme().font, size: 12 },
      margin: { l: 10, r: 14, t: 8, b: 46 },
      bargap: 0.25,
      showlegend: false,
      xaxis: {
        ...axis(),
        zeroline: true,
        zerolinecolor: colors.edge,
        title: { text: "share, %" },
      },
      yaxis: {
        ...axis(),
        ticks: "",
        type: "category",
        fixedrange: true,
        tickvals: order.map(String),
        ticktext: order.map(
          (c) => `${plain(shortened(nameOf(c), 26))} = ${briefly(page.values[c][i], c)}`,
        ),
      },
    },
    { ...config, displayModeBar: false },
  );
}

function fillValues(i) {
  at("values").replaceChildren(
    ...bySurprise(i).map((c) =>
      made("tr", [
        made("td", nameOf(c)),
        made("td", valueText(i, c), "number"),
        made("td", usualText(c), "number"),
        made("td", isExplained(i) ? percent(shareOf(i, c)) : "–", "number"),
      ]),
    ),
  );
}

/** What a person chose is brought into view, where it is not. */
function look(row) {
  choose(row);
  at("row").scrollIntoView({ block: "nearest" });
}

function choose(row) {
  state.row = row;
  for (const line of at("strangest").rows) {
    const chosen = Number(line.dataset.row) === row;
    line.classList.toggle("chosen", chosen);
    line.querySelector("button").setAttribute("aria-pressed", chosen);
  }
  at("number").value = numberOf(row);
  tellRow();
  const i = embedded.get(row);
  at("all-values").hidden = i === undefined;
  for (const id of ["bars", "bars-note"]) at(id).hidden = !isExplained(i);
  drawChosen();
  if (i === undefined) return;
  fillValues(i);
  if (isExplained(i)) drawBars(i);
  else at("all-values").open = true;
}

function searched(event) {
  event.preventDefault();
  const text = at("number").value.trim();
  const row = text === "" ? undefined : rowOfNumber(Number(text));
  if (row === undefined) at("told").replaceChildren(made("p", `There is no row ${text}.`, "error"));
  else choose(row);
}
