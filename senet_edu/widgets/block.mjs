// The explorer of one block: choose C and r, move one channel of z, see hidden units and gates answer.

import { floats, gate, whole } from "./numbers.mjs";
import { alt, choice, columnUnder, dial, element, factList, follow, heat, save, slider, svg, tableTwin } from "./parts.mjs";

const NOTABLE = 0.01; // a gate that moved by more than this is counted

/** Blocks as blocks["r4"]["SE_4_2"], from the bytes: w1 [hidden][C], b1, w2 [C][hidden], b2, and z of every start [K][C]. */
export function unpack(view, { reductions, names, sizes, starts }) {
  const take = floats(view);
  const rows = (count, length) => Array.from({ length: count }, () => take(length));
  const one = ({ channels: C, hidden: h }) => // in this order
    ({ w1: rows(h, C), b1: take(h), w2: rows(C, h), b2: take(C), z: rows(starts.length, C) });
  const ofNetwork = (r) => Object.fromEntries(names.map((name) => [name, one(sizes[r][name])]));
  return Object.fromEntries(reductions.map((r) => [`r${r}`, ofNetwork(`r${r}`)]));
}

function dot(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

/** Eq. 3 step by step: a = W₁z + b₁ [hidden], h = δ(a) [hidden], s = σ(W₂h + b₂) [C]. */
export function excite({ w1, b1, w2, b2 }, z) {
  const a = w1.map((row, i) => dot(row, z) + b1[i]);
  const h = a.map((value) => Math.max(value, 0));
  const s = w2.map((row, k) => 1 / (1 + Math.exp(-(dot(row, h) + b2[k]))));
  return { a, h, s };
}

/** How fast every gate follows channel c of z: ∂s/∂z_c [C] = s(1 − s) · W₂ [a > 0] W₁, column c. */
export function slopes({ w1, w2 }, { a, s }, c) {
  const through = w1.map((row, i) => (a[i] > 0 ? row[c] : 0)); // [hidden]
  return s.map((value, k) => value * (1 - value) * dot(w2[k], through));
}

/** z [C] with what was moved: {channel: how far}. Channels that are not there are left out. */
export function movedZ(start, moved) {
  const z = Float64Array.from(start);
  for (const [c, far] of Object.entries(moved)) if (c < z.length) z[c] += far;
  return z;
}

/** Smallest and largest of many numbers, however many: more than a call could take as arguments. */
export function extent(values, start = [Infinity, -Infinity]) {
  return values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], start);
}

/** Ends and step of z's slider: half as far again as any start goes, and never so narrow that `z` lies outside. */
export function limits(rows, z) {
  const [least, most] = extent(rows.flatMap((row) => [...row]), [0, 0]);
  const [lowest, highest] = extent([...z]);
  const margin = (most - least) / 2 || 1;
  const step = Number(((most - least + 2 * margin) / 100).toPrecision(1));
  const rounding = 1e-6; // a number on the grid divided by the step is not quite whole
  const low = Math.floor(Math.min(least - margin, lowest) / step + rounding) * step;
  return { low, high: Math.ceil(Math.max(most + margin, highest) / step - rounding) * step, step };
}

/** Index of the largest |value|. */
export function furthest(values) {
  return values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best]) ? i : best), 0);
}

/** All that is shown of a block: z, a, h and s at the start and now, and what to say of them. */
export function compute(block, start, moved, channel) {
  const c = Math.min(channel, block.b2.length - 1);
  const [first, z] = [movedZ(block.z[start], {}), movedZ(block.z[start], moved)];
  const [before, now] = [excite(block, first), excite(block, z)];
  const steep = slopes(block, now, c);
  const change = now.s.map((value, k) => value - before.s[k]);
  const [most, steepest] = [furthest(change), furthest(steep)];
  const off = now.a.flatMap((value, i) => (value > 0 ? [] : [i]));
  const moves = change.filter((value) => Math.abs(value) > NOTABLE).length;
  return { c, first, z, before, now, steep, change, most, steepest, off, moves };
}

/** What is known and what happened: [term, value, note]. */
export function facts(state, { channels, hidden, weights }, reduction) {
  const { c, first, z, before, now, steep, most, steepest, off, moves } = state;
  const exact = channels / reduction;
  const biases = weights - 2 * channels * hidden;
  const offBefore = before.a.filter((value) => value <= 0).length;
  return [
    ["channels C", whole(channels), ""],
    ["hidden width", whole(hidden), hidden === exact ? "C / r" : `C / r is ${Number(exact.toFixed(2))}; this block keeps ${hidden}`],
    ["weights added", whole(weights), `2 · ${channels} · ${hidden} in W₁ and W₂, ${biases || "no"} biases`],
    [`z of channel ${c}`, gate(z[c]), `at the start ${gate(first[c])}`],
    ["hidden units off", `${off.length} of ${hidden}`, `at the start ${offBefore}`],
    ["gates moved", `${moves} of ${channels}`, `by more than ${NOTABLE}`],
    ["moved most", moves ? `gate ${most}` : "none", moves ? `from ${gate(before.s[most])} to ${gate(now.s[most])}` : ""],
    ["steepest now", `gate ${steepest}`, `∂s/∂z = ${gate(steep[steepest])} as channel ${c} moves`],
  ];
}

/** The same in a sentence. */
export function sentence({ c, first, z, before, now, most, off, moves }, reduction) {
  const [C, h] = [now.s.length, now.a.length];
  const all = `C = ${C}, r = ${reduction}: channel ${c} of z at ${gate(z[c])}, at the start ${gate(first[c])}; ` +
    `${off.length} of ${h} hidden units off; ${moves} of ${C} gates moved by more than ${NOTABLE}`;
  return moves ? `${all}, most of all gate ${most}, from ${gate(before.s[most])} to ${gate(now.s[most])}.` : `${all}.`;
}

/** A bar a value, from 0; the part between start and now is coloured, what `hollow` says of is only outlined. */
function bars(kind, across = false) {
  const kinds = ["level", "hollow", "up", "down", "axis"];
  const shapes = Object.fromEntries(kinds.map((name) => [name, svg("path", { class: name })]));
  const turn = svg("g", { transform: across ? "matrix(0 1 1 0 0 0)" : "matrix(1 0 0 -1 0 0)" }, ...Object.values(shapes));
  const picture = svg("svg", { preserveAspectRatio: "none", class: `bars ${kind}` }, turn);
  const bar = (i, from, to) => `M${i + 0.1} ${from}V${to}H${i + 0.9}V${from}Z`;
  const joined = (values, path) => Array.from(values, path).join("");
  return {
    root: picture,
    show(before, now, { low, high }, description, hollow = () => false) {
      const n = now.length;
      picture.setAttribute("viewBox", across ? `${low} 0 ${high - low} ${n}` : `0 ${-high} ${n} ${high - low}`);
      alt(picture, description);
      const paths = {
        level: joined(now, (value, i) => (hollow(value) ? "" : bar(i, 0, value))),
        hollow: joined(now, (value, i) => (hollow(value) ? bar(i, 0, value) : "")),
        up: joined(now, (value, i) => (value > before[i] ? bar(i, before[i], value) : "")),
        down: joined(now, (value, i) => (value < before[i] ? bar(i, before[i], value) : "")),
        axis: `M0 0H${n}`,
      };
      for (const [name, d] of Object.entries(paths)) shapes[name].setAttribute("d", d);
    },
  };
}

/** Colours of weights: orange above zero, blue below, paler the smaller. */
function weightColours(rows) {
  const most = Math.max(...extent(rows.flatMap((row) => [...row])).map(Math.abs)) || 1;
  return rows.map((row) => Array.from(row, (w) => [...(w > 0 ? [213, 94, 0] : [0, 114, 178]), 255 * Math.abs(w) / most]));
}

function extremes(values) {
  const [least, most] = extent([...values]);
  return `from ${gate(least)} to ${gate(most)}`;
}

function axis(label) {
  const ticks = [element("span"), element("span")];
  return {
    root: element("div", { class: "y", "aria-hidden": "true" }, ...ticks, element("span", { class: "name" }, label)),
    show: ({ low, high }) => [high, low].forEach((end, i) => (ticks[i].textContent = Number(end.toPrecision(2)))),
  };
}

/** Calls `onHeight` with where a pressed mouse is, from 0 at the top of a picture to 1. A finger scrolls the page instead. */
function draggable(picture, onHeight) {
  picture.addEventListener("pointerdown", (event) => event.pointerType === "mouse" && picture.setPointerCapture(event.pointerId));
  picture.addEventListener("pointermove", (event) => {
    if (event.buttons !== 1 || event.pointerType !== "mouse") return;
    const box = picture.getBoundingClientRect();
    onHeight(Math.min(Math.max((event.clientY - box.top) / box.height, 0), 1));
  });
}

/** z above W₁ above W₂ᵀ above s: a column a channel in all four, and a row a hidden unit beside the two matrices. */
function flow(onChannel, onValue) {
  const [z, hidden, s] = [bars("z"), bars("units", true), bars("s")];
  const [w1, w2] = [heat(), heat()];
  const [zAxis, sAxis] = [axis("z"), axis("gates s")];
  const mark = element("div", { class: "marked" });
  const last = element("span");
  const note = (...content) => element("p", { class: "side" }, ...content);
  const name = (text) => element("div", { class: "y", "aria-hidden": "true" }, element("span", { class: "name" }, text));
  const key = (kind, text) => element("span", { class: "legend" }, element("span", { class: `swatch ${kind}` }), text);
  let [channels, span] = [1, { low: 0, high: 1 }];

  for (const { root } of [z, s, w1, w2]) {
    root.addEventListener("pointerdown", (event) => onChannel(columnUnder(event, channels)));
  }
  draggable(z.root, (share) => onValue(span.high - share * (span.high - span.low)));

  const root = element("div", { class: "flow" },
    zAxis.root, z.root, note("z, one bar a channel. Take a bar with the mouse, or use the sliders."),
    name("W₁"), w1.root, hidden.root,
    name("W₂ᵀ"), w2.root, note(key("up", "above zero"), key("down", "below; pale is small")),
    sAxis.root, s.root, note(key("up", "opened"), key("down", "closed since the start")),
    element("div", { class: "x", "aria-hidden": "true" }, element("span", {}, "0"), element("span", {}, "channel"), last),
    element("p", { class: "side under" }, "Beside W₁: W₁z + b₁, a bar a hidden unit. Hollow is below zero: ReLU puts it off."),
    element("div", { class: "over" }, mark));
  return {
    root,
    /** The weights, when they are others. */
    showWeights(block) {
      channels = block.b2.length;
      const rows = block.w1.length;
      const turned = block.w1.map((_, i) => block.w2.map((row) => row[i])); // W₂ᵀ [hidden][C]
      w1.show(weightColours(block.w1), `W₁, ${rows} × ${channels} weights ${extremes(block.w1.flatMap((row) => [...row]))}.`);
      w2.show(weightColours(turned), `W₂, ${channels} × ${rows} weights ${extremes(turned.flat())}.`);
      root.style.setProperty("--rows", `${Math.max(44, Math.min(3 * rows, 150))}px`);
      last.textContent = channels - 1;
    },
    show(state, block, limit) {
      const { c, first, z: zNow, before, now, off } = state;
      span = limit;
      const ends = [limit.low, limit.high].map((value) => excite(block, Object.assign(zNow.slice(), { [c]: value })).a);
      const [low, high] = extent([...ends.flat(), ...before.a], [0, 0]);
      z.show(first, zNow, limit, `z of ${zNow.length} channels, ${extremes(zNow)}; channel ${c} at ${gate(zNow[c])}.`);
      hidden.show(before.a, now.a, { low, high },
        `W₁z + b₁ of ${now.a.length} hidden units, ${extremes(now.a)}; off: ${off.length ? off.join(", ") : "none"}.`,
        (value) => value <= 0);
      s.show(before.s, now.s, { low: 0, high: 1 }, `Gates of ${now.s.length} channels, ${extremes(now.s)}.`);
      zAxis.show(limit);
      sAxis.show({ low: 0, high: 1 });
      Object.assign(mark.style, { left: `${100 * c / channels}%`, width: `${100 / channels}%` });
    },
  };
}

function render({ model, el }) {
  const [reductions, names, starts, sizes] = ["reductions", "block_names", "starts", "sizes"].map((name) => model.get(name));
  const blocks = unpack(model.get("data"), { reductions, names, sizes, starts });
  const set = (values) => save(model, values);
  const size = (name) => sizes[`r${reductions[0]}`][name].channels;
  const toBlock = (name) => set({ moved: {}, channel: Math.min(model.get("channel"), size(name) - 1), block_name: name });
  const toReduction = (r) => set({ moved: {}, reduction: r }); // another network: its channels mean something else
  const toChannel = (c) => set({ channel: c });
  const toValue = (value) => set({ moved: { ...model.get("moved"), [shown.c]: value - shown.first[shown.c] } });

  const block = choice("channels C, and the block that has them", names, toBlock, (name) => `C = ${size(name)} (${name})`);
  const reduction = slider("reduction ratio r", reductions, (r) => `r = ${r}`, toReduction);
  const start = choice("start from the z of", starts, (name) => set({ start: name }));
  const channel = dial("channel to move", toChannel);
  const value = dial("its z", toValue);
  const back = element("button", { type: "button", "data-lm-suppress-shortcuts": "true" }, "Put z back");
  back.addEventListener("click", () => set({ moved: {} }));
  const picture = flow(toChannel, toValue);
  const list = factList();
  const status = element("p", { role: "status" });
  const ofChannels = tableTwin("z and gates as a table");
  const ofUnits = tableTwin("Hidden units as a table");

  let [drawn, shown] = [null, null]; // the block whose weights are drawn; what was computed last
  const draw = () => {
    const [r, name] = [model.get("reduction"), model.get("block_name")];
    const [one, sized] = [blocks[`r${r}`][name], sizes[`r${r}`][name]];
    const state = compute(one, starts.indexOf(model.get("start")), model.get("moved"), model.get("channel"));
    const { c, first, z, before, now } = shown = state;
    const limit = limits(one.z, z);
    if (drawn !== one) picture.showWeights(one);
    drawn = one;

    block.show(name);
    reduction.show(r);
    start.show(model.get("start"));
    channel.show({ min: 0, max: sized.channels - 1, step: 1, value: c, text: `channel ${c}` });
    const text = `${z[c].toFixed(2)}, at the start ${first[c].toFixed(2)}`;
    value.show({ min: limit.low, max: limit.high, step: limit.step, value: z[c], text, called: `z of channel ${c}` });
    picture.show(state, one, limit);
    status.textContent = sentence(state, r);
    list.show(facts(state, sized, r));
    ofChannels.show(() => ({
      head: ["channel", "z at the start", "z now", "gate at the start", "gate now", "∂s/∂z now"],
      rows: now.s.map((_, k) => [`${k}`, ...[first[k], z[k], before.s[k], now.s[k], state.steep[k]].map(gate)]),
    }));
    ofUnits.show(() => ({
      head: ["hidden unit", "W₁z + b₁ at the start", "W₁z + b₁ now", "after the ReLU"],
      rows: now.a.map((_, i) => [`${i}`, ...[before.a[i], now.a[i], now.h[i]].map(gate)]),
    }));
  };

  const chosen = [[block, names], [reduction, reductions], [start, starts]].filter(([, values]) => values.length > 1);
  el.append(element("section", { class: "senet-explorer block", "aria-label": "Explorer of one SE block" },
    ...chosen.map(([control]) => control.root), channel.root, value.root, back, picture.root, status, list.root,
    ofChannels.root, ofUnits.root));
  return follow(model, ["reduction", "block_name", "start", "channel", "moved"], draw);
}

export default { render };
