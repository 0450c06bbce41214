// The explorer of recorded gates: means and spread of every class, as lines, as a map, and one channel by itself.

import { assign, floats, gate, mean } from "./numbers.mjs";
import { checkboxes, choice, columnUnder, dial, element, factList, follow, heat, plot, save, tableTwin, toggle } from "./parts.mjs";

const EVERYONE = "all classes";

/** Statistics by block, from the bytes: mean and spread [K][C], all (the mean over all images) and specificity [C]. */
export function unpack(view, { blocks, channels, classes }) {
  const take = floats(view);
  const rows = (width) => classes.map(() => take(width));
  const one = (width) => ({ mean: rows(width), spread: rows(width), all: take(width), specificity: take(width) }); // in this order
  return Object.fromEntries(blocks.map((block, i) => [block, one(channels[i])]));
}

/** Which channels are shown, from left to right. `sampled`: those that the paper's way of sampling takes. */
export function arrange(order, specificity, sampled) {
  if (order.startsWith("fifty")) return sampled;
  const all = Array.from(specificity, (_, c) => c);
  return order === "all" ? all : all.sort((a, b) => specificity[b] - specificity[a]);
}

/** The most class-specific of some channels. */
export function mostSpecific(specificity, some) {
  return some.reduce((best, c) => (specificity[c] > specificity[best] ? c : best));
}

/** Where among the shown channels a channel stands, or the one nearest to it by number. */
export function placeOf(channel, shown) {
  const exact = shown.indexOf(channel);
  if (exact >= 0) return exact;
  const away = shown.map((c) => Math.abs(c - channel));
  return away.indexOf(Math.min(...away));
}

/** "0.5123 ± 0.0456": the mean over a class's images, and one standard deviation. */
export function written(gates, k, c) {
  return `${gate(gates.mean[k][c])} ± ${gate(gates.spread[k][c])}`;
}

/** What is known of one channel: [term, value, note]. */
export function facts(gates, classes, c) {
  const means = gates.mean.map((row) => row[c]);
  const [high, low] = [means.indexOf(Math.max(...means)), means.indexOf(Math.min(...means))];
  const rank = 1 + gates.specificity.filter((value) => value > gates.specificity[c]).length;
  return [
    ["class specificity", gate(gates.specificity[c]),
      `number ${rank} of ${gates.all.length} channels; mean of this block ${gate(mean(gates.specificity))}`],
    ["mean over all images", gate(gates.all[c]), ""],
    ["widest open", classes[high], written(gates, high, c)],
    ["least open", classes[low], written(gates, low, c)],
  ];
}

/** The same in a sentence. */
export function sentence(gates, classes, block, c) {
  const [specificity, all, high, low] = facts(gates, classes, c);
  return `Channel ${c} of ${block}: class specificity ${specificity[1]}, mean over all images ${all[1]}, ` +
    `widest open for ${high[1]}, ${high[2]}, least for ${low[1]}, ${low[2]}.`;
}

/** Row by row the colour of every number: `ramp` goes from 0 to 1. */
export function colour(rows, ramp) {
  const shade = (value) => ramp[Math.min(Math.max(Math.floor(value * ramp.length), 0), ramp.length - 1)];
  return rows.map((row) => Array.from(row, (value) => [...shade(value), 255]));
}

const short = (value) => Math.round(value * 1e5) / 1e5; // as far as anybody sees: shorter paths are drawn sooner
const within = (value) => Math.min(Math.max(short(value), 0), 1);

/** The lines of the chosen classes and of all, with bands of one standard deviation if they are wanted. */
export function linesOf(gates, classes, colourOf, shown, banded) {
  const drawn = classes.flatMap((name, k) => {
    if (!(name in colourOf)) return [];
    const values = shown.map((c) => short(gates.mean[k][c]));
    const edge = (sign) => shown.map((c) => within(gates.mean[k][c] + sign * gates.spread[k][c]));
    return [{ name, values, colour: colourOf[name], ...(banded ? { low: edge(-1), high: edge(1) } : {}) }];
  });
  return [...drawn, { name: EVERYONE, values: shown.map((c) => short(gates.all[c])), colour: "currentColor", dash: "5 3" }];
}

/** All classes by all shown channels, with the classes' names on the left and the scale of colours below. */
function classMap(classes, ramp) {
  const [map, scale] = [heat(), heat()];
  const mark = element("div", { class: "marked" });
  const names = element("div", { class: "names", "aria-hidden": "true" }, ...classes.map((name) => element("span", {}, name)));
  scale.show(colour([ramp.map((_, i) => i / (ramp.length - 1))], ramp), "Scale of colours: dark is 0, light is 1.");
  const key = element("p", { class: "scale" }, "mean gate 0", scale.root, "1");
  return {
    root: element("div", { class: "map" }, names, element("div", { class: "over-map" }, map.root, mark), key),
    map,
    show(rows, description) {
      map.show(colour(rows, ramp), description);
      map.root.style.height = `${16 * classes.length}px`;
    },
    mark(place, count) {
      Object.assign(mark.style, { left: `${(100 * place) / count}%`, width: `${100 / count}%` });
    },
  };
}

/** One channel: a row a class, its mean as a dot and one standard deviation to both sides. */
function channelView(classes) {
  const rows = classes.map((name) => {
    const [bar, dot, all, said] = ["bar", "dot", "all"].map((kind) => element("span", { class: kind })).concat(element("td"));
    const picture = element("td", { class: "strip", "aria-hidden": "true" }, element("div", {}, all, bar, dot));
    return { name, bar, dot, all, said, root: element("tr", {}, element("th", { scope: "row" }, name), picture, said) };
  });
  const caption = element("caption");
  return {
    root: element("table", { class: "dots" }, caption, element("tbody", {}, ...rows.map((row) => row.root))),
    show(gates, c, block, colourOf) {
      caption.textContent = `Channel ${c} of ${block}, class by class: mean and one standard deviation, from 0 to 1. Dashed: all images.`;
      rows.forEach(({ name, bar, dot, all, said }, k) => {
        const [middle, spread] = [gates.mean[k][c], gates.spread[k][c]];
        const [low, high] = [within(middle - spread), within(middle + spread)];
        Object.assign(bar.style, { left: `${100 * low}%`, width: `${100 * (high - low)}%`, background: colourOf[name] ?? "" });
        Object.assign(dot.style, { left: `${100 * middle}%`, background: colourOf[name] ?? "" });
        all.style.left = `${100 * gates.all[c]}%`;
        said.textContent = written(gates, k, c);
      });
    },
  };
}

function render({ model, el }) {
  const [blocks, channels, sampled, classes, colours, ramp] = [
    "blocks", "channels", "sampled", "classes", "colours", "ramp"].map((name) => model.get(name));
  const everything = unpack(model.get("data"), { blocks, channels, classes });
  const set = (values) => save(model, values);
  const orders = ["fifty sampled, as in the paper", "all", "sorted by specificity"];
  const toBlock = (name) => // a channel that every order shows
    set({ channel: mostSpecific(everything[name].specificity, sampled[blocks.indexOf(name)]), block: name });

  const block = choice("stage and block", blocks, toBlock);
  const order = choice("channels", orders, (value) => set({ order: value }));
  const everyone = element("span", { class: "legend" }, element("span", { class: "swatch dashed" }), EVERYONE);
  const chosen = checkboxes(`classes, at most ${colours.length}`, classes, (value) => set({ chosen: value }), everyone);
  const spread = toggle("shade one standard deviation over the images of a class", (value) => set({ spread: value }));
  const lines = plot("channel", "mean gate", 0.5);
  const map = classMap(classes, ramp);
  const channel = dial("channel", (place) => set({ channel: shown[place] }));
  const one = channelView(classes);
  const list = factList();
  const status = element("p", { role: "status" });
  const table = tableTwin("Means and standard deviations as a table");

  let mapped = ""; // what the map shows: it has all classes always
  let shown = []; // channels from left to right
  let slots = colours.map(() => null);
  let colourOf = {};
  const point = () => {
    const [name, c] = [model.get("block"), Math.min(model.get("channel"), channels[blocks.indexOf(model.get("block"))] - 1)];
    const [gates, place] = [everything[name], placeOf(c, shown)];
    const there = shown[place];
    lines.mark(place);
    map.mark(place, shown.length);
    const text = `channel ${there}, class specificity ${gates.specificity[there].toFixed(2)}`;
    channel.show({ min: 0, max: shown.length - 1, step: 1, value: place, text });
    one.show(gates, there, name, colourOf);
    status.textContent = sentence(gates, classes, name, there);
    list.show(facts(gates, classes, there));
  };
  const draw = () => {
    const name = model.get("block");
    const [gates, way] = [everything[name], model.get("order")];
    shown = arrange(way, gates.specificity, sampled[blocks.indexOf(name)]);
    slots = assign(slots, model.get("chosen"));
    colourOf = Object.fromEntries(slots.flatMap((one, i) => (one === null ? [] : [[one, colours[i]]])));
    const drawn = linesOf(gates, classes, colourOf, shown, model.get("spread"));
    const which = `${shown.length} of ${gates.all.length} channels of ${name}`;
    const places = way.startsWith("sorted")
      ? { first: "most class-specific", label: which, last: "least" }
      : { first: `${shown[0]}`, label: which, last: `${shown.at(-1)}` };

    block.show(name);
    order.show(way);
    chosen.show(colourOf, { full: !slots.includes(null) });
    spread.show(model.get("spread"));
    const each = drawn.map(({ name, values }) => `${name} from ${gate(Math.min(...values))} to ${gate(Math.max(...values))}`);
    lines.show(drawn, `Mean gate in ${which}, ${way}. ${each.join("; ")}.`, places);
    if (mapped !== which + way) {
      const rows = gates.mean.map((row) => shown.map((c) => row[c]));
      map.show(rows, `Mean gate of ${classes.length} classes in ${which}, ${way}: as colours what the table below says.`);
      mapped = which + way;
    }
    table.show(() => ({
      head: ["channel", "class specificity", ...classes, EVERYONE],
      rows: shown.map((c) =>
        [`${c}`, gate(gates.specificity[c]), ...classes.map((_, k) => written(gates, k, c)), gate(gates.all[c])]),
    }));
    point();
  };

  // Pointing moves the mark at once; the kernel hears of it when the pointer leaves, or is pressed.
  for (const place of [lines.picture, map.map.root]) {
    const to = (event) => model.set("channel", shown[columnUnder(event, shown.length)]);
    place.addEventListener("pointermove", to);
    place.addEventListener("pointerdown", (event) => (to(event), model.save_changes()));
    place.addEventListener("pointerleave", () => model.save_changes());
  }
  el.append(element("section", { class: "senet-explorer gates", "aria-label": "Explorer of recorded gates" },
    block.root, order.root, lines.root, map.root, channel.root, chosen.root, spread.root, status,
    element("div", { class: "beside" }, one.root, list.root), table.root));
  const ends = [follow(model, ["block", "chosen", "order", "spread"], draw), follow(model, ["channel"], point)];
  return () => ends.forEach((end) => end());
}

export default { render };
