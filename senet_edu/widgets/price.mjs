// The explorer of the price: what SE adds to named networks, by r and stages. All it computes are sums of counts.

import { percent, whole } from "./numbers.mjs";
import { checkboxes, element, follow, menu, save, shareBars, slider, tableTwin, writeTable } from "./parts.mjs";

const STAGES = ["1", "2", "3", "4", "5"];
const NONE = "";

/** What SE in `stages` costs a network: totals, and for each stage that it has its blocks and counts.
 *
 * @param price of one network, as Python counted it
 * @param stages ["2", …]; those that the network does not have are ignored
 */
export function cost(price, reduction, stages) {
  const rows = Object.entries(price.stages).map(([stage, { channels, parameters, multiply_adds }]) => ({
    stage,
    channels,
    on: stages.includes(stage),
    parameters: stages.includes(stage) ? parameters[reduction] : 0,
    multiplyAdds: stages.includes(stage) ? multiply_adds[reduction] : 0,
  }));
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  return { rows, parameters: sum("parameters"), multiplyAdds: sum("multiplyAdds") };
}

/** What is known of a network: [term, value] each. */
export function facts(price, { parameters, multiplyAdds }) {
  return [
    ["weights without SE", whole(price.parameters)],
    ["weights that SE adds", whole(parameters)],
    ["weights that SE adds, in per cent", percent(parameters / price.parameters)],
    ["weights with SE", whole(price.parameters + parameters)],
    ["multiply-adds without SE", whole(price.multiply_adds)],
    ["multiply-adds that SE adds", whole(multiplyAdds)],
    ["multiply-adds that SE adds, in per cent", percent(multiplyAdds / price.multiply_adds, 3)],
    ["multiply-adds with SE", whole(price.multiply_adds + multiplyAdds)],
    ["image", price.size.join(" × ")],
  ];
}

/** The same in a sentence. Python says it too, word for word. */
export function sentence(name, price, { rows, parameters, multiplyAdds }, reduction) {
  if (rows.length === 0) return `${name} has no version with SE: ${whole(price.parameters)} weights.`;
  const on = rows.filter((row) => row.on).map((row) => row.stage);
  return (
    `${name}, r = ${reduction}, SE in ${on.length ? `stages ${on.join(", ")}` : "no stage"}: ` +
    `${whole(parameters)} weights more (${percent(parameters / price.parameters)}), ` +
    `${whole(multiplyAdds)} multiply-adds more (${percent(multiplyAdds / price.multiply_adds, 3)}).`
  );
}

/** Widths of a stage's blocks: "3 × 256", or "128, 256" where they differ. */
export function widths(channels) {
  const kinds = [...new Set(channels)];
  return kinds.map((C) => [channels.filter((other) => other === C).length, C])
    .map(([count, C]) => (count > 1 || kinds.length === 1 ? `${count} × ${C}` : `${C}`)).join(", ");
}

/** Rows of the table of stages. */
export function stageRows(name, { rows, parameters }, reduction) {
  return rows.map((row) => [
    `${name}, stage ${row.stage}`,
    widths(row.channels),
    [...new Set(row.channels.map((C) => Math.max(Math.floor(C / reduction), 1)))].join(", "),
    row.on ? whole(row.parameters) : "no SE",
    row.on ? percent(row.parameters / parameters) : "",
    row.on ? whole(row.multiplyAdds) : "",
  ]);
}

function render({ model, el }) {
  const [prices, reductions, colours] = ["prices", "reductions", "colours"].map((name) => model.get(name));
  const names = Object.keys(prices);
  const set = (name) => (value) => save(model, { [name]: value });
  const network = menu("network", names, names, set("network"));
  const beside = menu("beside it", [NONE, ...names], ["none", ...names], set("beside"));
  const reduction = slider("reduction ratio r", reductions, (r) => `r = ${r}`, set("reduction"));
  let there = new Set(); // stages of the networks that are shown; a choice of others is kept for networks that have them
  const stages = checkboxes("stages with SE", STAGES, (ticked) =>
    set("stages")(STAGES.filter((stage) => (there.has(stage) ? ticked : chosenNow()).includes(stage)).map(Number)));
  const chosenNow = () => model.get("stages").map(String);
  const shares = shareBars();
  const caption = element("p", { class: "caption wide-caption" }, "Weights that SE adds, on one scale for both networks; a colour a stage");
  const status = element("p", { role: "status" });
  const table = element("table");
  const around = element("div", { class: "wide", role: "region", tabindex: "0", "aria-label": "Weights and multiply-adds" }, table);
  around.dataset.lmSuppressShortcuts = "true"; // the arrow keys scroll it
  const twin = tableTwin("Stages as a table");

  const draw = () => {
    const r = model.get("reduction");
    const chosen = chosenNow();
    const shown = [...new Set([model.get("network"), model.get("beside")])].filter((name) => name !== NONE);
    const costs = shown.map((name) => cost(prices[name], r, chosen));
    there = new Set(costs.flatMap((one) => one.rows.map((row) => row.stage)));
    const said = shown.map((name, i) => sentence(name, prices[name], costs[i], r)).join(" ");
    const scale = Math.max(1, ...costs.map((one) => one.parameters));

    network.show(model.get("network"));
    beside.show(model.get("beside"));
    reduction.show(r);
    const ticked = chosen.filter((stage) => there.has(stage));
    const colourOf = Object.fromEntries(ticked.map((stage) => [stage, colours[Number(stage) - 1]]));
    stages.show(colourOf, { absent: STAGES.filter((stage) => !there.has(stage)) });
    shares.show(shown.map((name, i) => ({
      name,
      lines: [costs[i].rows.map((row) => ({ length: row.parameters / scale, colour: colours[Number(row.stage) - 1] }))],
      text: whole(costs[i].parameters),
    })), said);
    status.textContent = said;
    const columns = shown.map((name, i) => facts(prices[name], costs[i]));
    writeTable(table, { head: ["", ...shown], rows: columns[0].map(([term], row) => [term, ...columns.map((column) => column[row][1])]) });
    twin.show(() => ({
      head: ["stage", "blocks × channels", "hidden", "weights added", "share", "multiply-adds added"],
      rows: shown.flatMap((name, i) => stageRows(name, costs[i], r)),
    }));
  };

  el.append(element("section", { class: "senet-explorer price", "aria-label": "Explorer of what SE costs" },
    network.root, beside.root, reduction.root, stages.root, shares.root, caption, status, around, twin.root));
  return follow(model, ["network", "beside", "reduction", "stages"], draw);
}

export default { render };
