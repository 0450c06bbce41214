// The table of named networks as counted, to be sorted by any of its columns.

import { element, follow, save } from "./parts.mjs";

/** What the columns are called, and how they write a row. */
export const COLUMNS = {
  network: ["network", (row) => row.network],
  placement: ["SE", (row) => row.placement || "none"],
  parameters: ["parameters", (row) => row.parameters.toLocaleString("en-US")],
  multiply_adds: ["multiply-adds, 10⁹", (row) => (row.multiply_adds / 1e9).toFixed(3)],
  printed: ["printed, 10⁹", (row) => (row.printed === null ? "" : row.printed < 1 ? row.printed.toFixed(3) : row.printed.toFixed(2))],
  difference: ["difference", (row) => (row.difference === null ? "" : signed(100 * row.difference))],
  source: ["source", (row) => row.source],
};

/** 1.234 as "+1.23 %", with a true minus. */
export function signed(percent) {
  return `${percent < 0 ? "−" : "+"}${Math.abs(percent).toFixed(2)} %`;
}

/** The rows in order of a column. Rows that have nothing there come last, both ways; equal ones stay as they were. */
export function order(rows, key, descending) {
  const has = rows.filter((row) => row[key] !== null);
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en") : a - b);
  has.sort((one, other) => compare(one[key], other[key]) * (descending ? -1 : 1));
  return [...has, ...rows.filter((row) => row[key] === null)];
}

/** The notes that rows have, each once, in order. */
export function notes(rows) {
  return [...new Set(rows.map((row) => row.note).filter(Boolean))];
}

function render({ model, el }) {
  const rows = model.get("rows");
  const heads = Object.entries(COLUMNS).map(([key, [label]]) => {
    const button = element("button", { type: "button", "data-lm-suppress-shortcuts": "true" }, label);
    button.addEventListener("click", () => {
      save(model, { descending: model.get("sort") === key && !model.get("descending"), sort: key });
    });
    return { key, root: element("th", { scope: "col" }, button) };
  });
  const body = element("tbody");
  const status = element("p", { role: "status" });
  const known = notes(rows);
  const written = (row) => {
    const texts = Object.values(COLUMNS).map(([, write]) => write(row));
    texts[0] += row.note ? ` (${known.indexOf(row.note) + 1})` : "";
    return element("tr", {}, element("th", { scope: "row" }, texts[0]), ...texts.slice(1).map((text) => element("td", {}, text)));
  };
  const draw = () => {
    const [key, descending] = [model.get("sort"), model.get("descending")];
    for (const head of heads) {
      head.root.setAttribute("aria-sort", head.key !== key ? "none" : descending ? "descending" : "ascending");
    }
    body.replaceChildren(...order(rows, key, descending).map(written));
    status.textContent = `Sorted by ${COLUMNS[key][0]}, ${descending ? "descending" : "ascending"}.`;
  };

  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => head.root))), body);
  const around = element("div", { class: "wide", role: "region", tabindex: "0", "aria-label": "Networks as counted" }, table);
  around.dataset.lmSuppressShortcuts = "true"; // the arrow keys scroll it
  const list = element("ol", { class: "notes" }, ...known.map((note) => element("li", {}, note)));
  el.append(element("section", { class: "senet-explorer sortable", "aria-label": "Table of networks" }, status, around, list));
  return follow(model, ["sort", "descending"], draw);
}

export default { render };
