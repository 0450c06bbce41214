// The explorer of other gates: a picture, a block, what becomes of its gates, and what the network says then.

import { computer } from "./computer.mjs";
import { softmax } from "./network.mjs";
import { floats, gate, percent } from "./numbers.mjs";
import { choice, dial, element, menu, plot, shareBars, tableTwin } from "./parts.mjs";
import { gallery, ownPicture } from "./pictures.mjs";

export const GATES = ["as computed", "all 1", "all 0.5", "mean over images", "of another picture", "one channel moved"];
const OWN = "yours";

/** The gates [C] that are used, of those that the block computes. `mean` and `other` are gates [C] too. */
export function replaced(gates, own, { mean, other, channel, value }) {
  if (gates === "all 1") return own.map(() => 1);
  if (gates === "all 0.5") return own.map(() => 0.5);
  if (gates === "mean over images") return mean;
  if (gates === "of another picture") return other;
  if (gates === "one channel moved") return own.map((s, c) => (c === channel ? value : s));
  return own;
}

/** What is done, in words: "SE_5_2 with gates of another picture (cat)". */
export function deed({ block, gates, otherName, channel, value }) {
  const more = { "of another picture": ` (${otherName})`, "one channel moved": ` (${channel}, to ${value.toFixed(2)})` };
  return `${block} with gates ${gates}${more[gates] ?? ""}`;
}

/** The class with the largest logit and its probability: "cat, 71.2 %". */
export function verdict(logits, classes) {
  const shares = softmax(logits);
  const best = shares.indexOf(Math.max(...shares));
  return `${classes[best]}, ${percent(shares[best], 1)}`;
}

/** Rows of the bars: each class with its probability before and after. */
export function classRows({ before, after }, classes, colours) {
  const [first, second] = [softmax(before), softmax(after)];
  return classes.map((name, k) => ({
    name,
    lines: [[{ length: first[k], colour: colours[0] }], [{ length: second[k], colour: colours[1] }]],
    text: `${percent(first[k], 1)} → ${percent(second[k], 1)}`,
  }));
}

/** The pixels [3][32][32] of each picture. */
function unpackPictures(view, count) {
  const size = view.byteLength / count;
  return Array.from({ length: count }, (_, i) => new Uint8Array(view.buffer, view.byteOffset + i * size, size));
}

function render({ model, el }) {
  const [layers, units, channels, names, classes, colours] = [
    "layers", "units", "channels", "names", "classes", "colours"].map((name) => model.get(name));
  const blocks = units.map(([block]) => block);
  const take = floats(model.get("means"));
  const means = channels.map((C) => take(C));
  const pixels = unpackPictures(model.get("pictures"), names.length);
  const { ask, where, stop } = computer(model.get("worker"), { bytes: model.get("weights"), layers, units, ...model.get("pixels") });
  const set = (name) => (value) => {
    model.set(name, value);
    model.save_changes();
  };

  // A picture of the reader's own is known to this view alone. Its key is new each time, so that no old answer is taken.
  let [ownPixels, ownShown, ownKey] = [null, false, 0];
  const showOwn = (shown) => {
    ownShown = shown;
    update();
  };
  const section = element("section", { class: "senet-explorer", "aria-label": "Explorer of other gates" });
  const picture = gallery("picture", names, pixels, (i) => {
    showOwn(i === names.length);
    if (!ownShown) set("picture")(i);
  });
  const file = ownPicture(section, (read) => {
    ownPixels = read;
    ownKey += 1;
    picture.add(read);
    showOwn(true);
  });
  const block = choice("block", blocks, set("block"));
  const gates = choice("its gates", GATES, set("gates"));
  const other = menu("the other picture", names.map((_, i) => i), names, set("other"));
  const channel = dial("channel to move", set("channel"));
  const value = dial("its gate", set("value"));
  const lines = plot("channel", "gate");
  const legend = element("p", { class: "keys" }, ...["its own gates", "the chosen ones"].map((text, i) =>
    element("span", { class: "legend" }, element("span", { class: "swatch", style: `background: ${colours[i]}` }), text)));
  const status = element("p", { role: "status", class: "shown" });
  const shares = shareBars();
  const note = element("p", { class: "caption wide-caption" });
  const classTable = tableTwin("Logits and probabilities as a table");
  const gateTable = tableTwin("Gates as a table");

  const seen = new Map(); // key of a picture to the gates of all blocks
  const state = () => {
    const i = blocks.indexOf(model.get("block"));
    return {
      i,
      block: blocks[i],
      gates: model.get("gates"),
      channel: Math.min(model.get("channel"), channels[i] - 1),
      value: model.get("value"),
      mean: means[i],
      other: seen.get(model.get("other"))?.[i],
      otherName: names[model.get("other")],
      key: ownShown ? `own ${ownKey}` : model.get("picture"),
      pixels: ownShown ? ownPixels : pixels[model.get("picture")],
      name: ownShown ? OWN : names[model.get("picture")],
    };
  };

  /** The controls and the gates: all that is known without computing. */
  const drawGates = (now, used) => {
    picture.show(ownShown ? names.length : model.get("picture"));
    block.show(now.block);
    gates.show(now.gates);
    other.show(model.get("other"));
    channel.show({ min: 0, max: channels[now.i] - 1, step: 1, value: now.channel, text: `${now.channel}` });
    value.show({ min: 0, max: 1, step: 0.01, value: now.value, text: now.value.toFixed(2) });
    other.root.hidden = now.gates !== "of another picture";
    channel.root.hidden = value.root.hidden = now.gates !== "one channel moved";
    if (!used) return;
    const own = seen.get(now.key)[now.i];
    const drawn = [{ name: "computed", values: own, colour: colours[0] }, { name: "used", values: used, colour: colours[1], dash: "5 3" }];
    const range = (values) => `from ${gate(Math.min(...values))} to ${gate(Math.max(...values))}`;
    lines.show(drawn, `Gates of the ${own.length} channels of ${now.block}: computed ${range(own)}, used ${range(used)}.`);
    gateTable.show(() => ({
      head: ["channel", "computed", "used"],
      rows: Array.from(own, (s, c) => [`${c}`, gate(s), gate(used[c])]),
    }));
  };

  const drawAnswer = (now, answer) => {
    const [first, second] = [answer.before, answer.after].map((logits) => verdict(logits, classes));
    status.textContent = `Picture: ${now.name}. With its own gates: ${first}. ${deed(now)}: ${second}.`;
    const rows = classRows(answer, classes, colours);
    shares.show(rows, `Probabilities before and after. ${rows.map(({ name, text }) => `${name} ${text}`).join("; ")}.`);
    note.textContent = `Computed ${where()} in ${Math.max(1, Math.round(answer.milliseconds))} ms. Nothing leaves the page.`;
    const [before, after] = [softmax(answer.before), softmax(answer.after)];
    classTable.show(() => ({
      head: ["class", "logit before", "logit after", "probability before", "probability after"],
      rows: classes.map((name, k) => [name, gate(answer.before[k]), gate(answer.after[k]), percent(before[k]), percent(after[k])]),
    }));
  };

  const usedNow = (now) => {
    const own = seen.get(now.key)?.[now.i];
    return own && (now.gates !== "of another picture" || now.other) ? replaced(now.gates, own, now) : null;
  };
  const look = async (key, pixels) => seen.has(key) || seen.set(key, (await ask({ key, pixels, block: 0, gates: null })).own);

  // What is moved while an answer is under way waits, and only the last of it is asked.
  let [busy, stale, gone] = [false, false, false];
  const update = async () => {
    drawGates(state(), usedNow(state()));
    stale = true;
    if (busy) return;
    busy = true;
    while (stale && !gone) {
      stale = false;
      await look(state().key, state().pixels);
      if (model.get("gates") === "of another picture") await look(model.get("other"), pixels[model.get("other")]);
      const now = state();
      const used = usedNow(now);
      if (!used) stale = true; // another picture was chosen meanwhile
      else {
        const answer = await ask({ key: now.key, pixels: now.pixels, block: now.i, gates: now.gates === "as computed" ? null : used });
        if (gone) return;
        drawGates(state(), usedNow(state()));
        drawAnswer(now, answer);
      }
    }
    busy = false;
  };

  section.append(picture.root, file, block.root, gates.root, other.root, channel.root, value.root, lines.root, legend,
    status, shares.root, note, classTable.root, gateTable.root);
  el.append(section);
  const moved = ["picture", "block", "gates", "other", "channel", "value"].map((name) => `change:${name}`);
  const putAway = () => (ownShown = false); // Python or another view chose a picture
  model.on("change:picture", putAway);
  moved.forEach((event) => model.on(event, update));
  update();
  return () => {
    gone = true;
    stop();
    model.off("change:picture", putAway);
    moved.forEach((event) => model.off(event, update));
  };
}

export default { render };
