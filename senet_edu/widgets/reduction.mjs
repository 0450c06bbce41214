// The explorer of the reduction ratio r: hidden width, weights added and gates of networks trained with r = 2, 4, 8, 16.

import { assign, gate, mean, meanOverClasses, percent, reader, whole } from "./numbers.mjs";
import { alt, checkboxes, choice, element, factList, follow, plot, save, slider, svg, tableTwin } from "./parts.mjs";

const ALL = "all classes";

/** Class means of every gate as gates["r4"]["SE_5_1"][k][c], from the bytes: r by r, block by block, class by class. */
export function unpack(view, { reductions, blocks, channels, classes }) {
  const take = reader(view);
  const ofBlocks = () => blocks.map((block, i) => [block, classes.map(() => take(channels[i]))]);
  return Object.fromEntries(reductions.map((r) => [`r${r}`, Object.fromEntries(ofBlocks())]));
}

/** What is known of one block of one network: [term, value, note]. `row`: the record of that network. */
export function facts(row, plain, block, channels) {
  const hidden = row.hidden[block];
  const exact = channels / row.reduction;
  return [
    ["channels C", whole(channels), ""],
    ["hidden width", whole(hidden), hidden === exact ? "C / r" : `C / r is ${Number(exact.toFixed(2))}; these networks keep at least ${hidden}`],
    ["weights in this block", whole(row.se_weights_per_block[block]), "biases included"],
    ["weights in all SE blocks", whole(row.se_weights), `${percent(row.se_weights / row.parameters)} of the network's`],
    ["accuracy", percent(row.accuracy), `one seed, single view; plain network ${percent(plain.accuracy)}`],
    ["movement", gate(row.movement[block]), "how far this block's gates vary over images"],
  ];
}

/** The same in a sentence. The version with a kernel says it too, word for word. */
export function sentence(row, block, channels) {
  return (
    `${block}, r = ${row.reduction}: ${channels} channels, hidden width ${row.hidden[block]}, ` +
    `${whole(row.se_weights_per_block[block])} weights in this block and ${whole(row.se_weights)} in all SE blocks ` +
    `(${percent(row.se_weights / row.parameters)} of the network), accuracy ${percent(row.accuracy)}, ` +
    `movement ${gate(row.movement[block])}.`
  );
}

/** What the picture shows, in words. */
export function describe(drawn, block, reduction) {
  const each = drawn.map(({ name, values }) =>
    `${name} from ${gate(Math.min(...values))} to ${gate(Math.max(...values))}, mean ${gate(mean(values))}`);
  return `Mean gate of the ${drawn[0].values.length} channels of ${block} at r = ${reduction}. ${each.join("; ")}.`;
}

/** W₁ and W₂ as rectangles on one scale, so that area is weights. `widest`: the most channels of any block. */
function matrices(widest) {
  const rectangles = [svg("rect"), svg("rect")];
  const names = [svg("text", {}, "W₁"), svg("text", {}, "W₂")];
  const picture = svg("svg", { viewBox: "0 0 260 150", class: "matrices" }, ...rectangles, ...names);
  return {
    root: picture,
    show(channels, hidden) {
      const scale = 124 / widest; // pixels a weight's side
      const [C, h] = [channels * scale, hidden * scale];
      const places = [{ x: 2, y: 146 - h, width: C, height: h }, { x: 134, y: 146 - C, width: h, height: C }];
      places.forEach((place, i) => {
        for (const [name, value] of Object.entries(place)) rectangles[i].setAttribute(name, value);
        names[i].setAttribute("x", place.x);
        names[i].setAttribute("y", place.y - 5);
      });
      const sizes = `W₁ is ${hidden} × ${channels}, W₂ is ${channels} × ${hidden}`;
      alt(picture, `Two matrices to scale: ${sizes}.`);
    },
  };
}

function render({ model, el }) {
  const [reductions, blocks, channels, classes, colours, numbers] = [
    "reductions", "blocks", "channels", "classes", "colours", "numbers"].map((name) => model.get(name));
  const gates = unpack(model.get("gates"), { reductions, blocks, channels, classes });
  const set = (name) => (value) => save(model, { [name]: value });

  const reduction = slider("reduction ratio r", reductions, (r) => `r = ${r}`, set("reduction"));
  const block = choice("block", blocks, set("block"));
  const everyone = element("span", { class: "legend" }, element("span", { class: "swatch dashed" }), ALL);
  const chosen = checkboxes(`classes, at most ${colours.length}`, classes, set("chosen"), everyone);
  const lines = plot("channel", "mean gate");
  const sizes = matrices(Math.max(...channels));
  const list = factList();
  const status = element("p", { role: "status" });
  const table = tableTwin("Mean gates as a table");

  let slots = colours.map(() => null);
  const draw = () => {
    const [r, name] = [model.get("reduction"), model.get("block")];
    const [row, rows, width] = [numbers[`r${r}`], gates[`r${r}`][name], channels[blocks.indexOf(name)]];
    slots = assign(slots, model.get("chosen"));
    const colourOf = Object.fromEntries(slots.flatMap((one, i) => (one === null ? [] : [[one, colours[i]]])));
    const drawn = classes.filter((one) => one in colourOf)
      .map((one) => ({ name: one, values: rows[classes.indexOf(one)], colour: colourOf[one] }));
    drawn.push({ name: ALL, values: meanOverClasses(rows), colour: "currentColor", dash: "5 3" });

    reduction.show(r);
    block.show(name);
    chosen.show(colourOf, { full: !slots.includes(null) });
    lines.show(drawn, describe(drawn, name, r));
    sizes.show(width, row.hidden[name]);
    status.textContent = sentence(row, name, width);
    list.show(facts(row, numbers.plain, name, width));
    table.show(() => ({
      head: ["channel", ...drawn.map((line) => line.name)],
      rows: Array.from({ length: width }, (_, c) => [`${c}`, ...drawn.map((line) => gate(line.values[c]))]),
    }));
  };

  const caption = element("p", { class: "caption" }, "W₁ and W₂ of this block to scale: an area is a number of weights");
  const beside = element("div", { class: "beside" }, list.root, element("div", {}, sizes.root, caption));
  el.append(element("section", { class: "senet-explorer", "aria-label": "Explorer of the reduction ratio r" },
    reduction.root, block.root, lines.root, chosen.root, status, beside, table.root));
  return follow(model, ["reduction", "block", "chosen"], draw);
}

export default { render };
