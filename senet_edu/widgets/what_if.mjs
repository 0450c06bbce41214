// The explorer of other gates: a picture, a block, what becomes of its gates, and what the network says then.

import { computer } from "./computer.mjs";
import { softmax } from "./network.mjs";
import { floats, gate, percent } from "./numbers.mjs";
import { choice, dial, element, follow, menu, plot, save, shareBars, tableTwin } from "./parts.mjs";
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

/** What is done, in words: "SE_5_2 with gates of another picture (cat)", "SE_2_2 with gate 3 set to 1.00". */
export function deed({ block, gates, otherName, channel, value }) {
  if (gates === "one channel moved") return `${block} with gate ${channel} set to ${value.toFixed(2)}`;
  return `${block} with gates ${gates}${gates === "of another picture" ? ` (${otherName})` : ""}`;
}

/** The class with the largest logit and its probability: "cat, 71.2 %". */
export function verdict(logits, classes) {
  const shares = softmax(logits);
  const best = shares.indexOf(Math.max(...shares));
  return `${classes[best]}, ${percent(shares[best], 1)}`;
}

/** The pixels [3][32][32] of each picture. */
function unpackPictures(view, count) {
  const size = view.byteLength / count;
  return Array.from({ length: count }, (_, i) => new Uint8Array(view.buffer, view.byteOffset + i * size, size));
}

/** The gates of a block, its own and the chosen ones, as two lines and as a table. */
function gatesView(colours) {
  const lines = plot("channel", "gate");
  const table = tableTwin("Gates as a table");
  const keys = ["its own gates", "the chosen gates"].map((text, i) => element("span", { class: "legend" },
    element("span", { class: "swatch", style: `background: ${colours[i]}` }), text));
  const range = (values) => `from ${gate(Math.min(...values))} to ${gate(Math.max(...values))}`;
  return {
    root: element("div", {}, lines.root, element("p", { class: "keys" }, ...keys)),
    table: table.root,
    show(block, own, chosen) {
      const drawn = [
        { name: "own", values: own, colour: colours[0] },
        { name: "chosen", values: chosen, colour: colours[1], dash: "5 3" },
      ];
      lines.show(drawn, `Gates of the ${own.length} channels of ${block}: own ${range(own)}, chosen ${range(chosen)}.`);
      table.show(() => ({
        head: ["channel", "own", "chosen"],
        rows: Array.from(own, (s, c) => [`${c}`, gate(s), gate(chosen[c])]),
      }));
    },
  };
}

/** What the network says, with its own gates and with the chosen ones: a sentence, bars, and a table. */
function answerView(classes, colours) {
  const status = element("p", { role: "status", class: "shown" });
  const bars = shareBars();
  const table = tableTwin("Logits and probabilities as a table");
  return {
    root: element("div", {}, status, bars.root),
    table: table.root,
    show(now, { before, after }) {
      const [first, second] = [softmax(before), softmax(after)];
      const said = [before, after].map((logits) => verdict(logits, classes));
      status.textContent = `Picture: ${now.name}. With its own gates: ${said[0]}. ${deed(now)}: ${said[1]}.`;
      const rows = classes.map((name, k) => ({
        name,
        lines: [[{ length: first[k], colour: colours[0] }], [{ length: second[k], colour: colours[1] }]],
        text: `${percent(first[k], 1)} → ${percent(second[k], 1)}`,
      }));
      bars.show(rows, `Probabilities before and after. ${rows.map(({ name, text }) => `${name} ${text}`).join("; ")}.`);
      table.show(() => ({
        head: ["class", "logit before", "logit after", "probability before", "probability after"],
        rows: classes.map((name, k) => [name, gate(before[k]), gate(after[k]), percent(first[k]), percent(second[k])]),
      }));
    },
  };
}

/** Runs a job that takes its time. What is asked for meanwhile waits until it is done, and counts once. */
function onlyTheLast(job) {
  let [busy, asked] = [false, false];
  return async () => {
    asked = true;
    if (busy) return;
    busy = true;
    while (asked) {
      asked = false;
      await job();
    }
    busy = false;
  };
}

function render({ model, el }) {
  const [layers, units, channels, names, classes, colours] = [
    "layers", "units", "channels", "names", "classes", "colours"].map((name) => model.get(name));
  const blocks = units.map(([block]) => block);
  const take = floats(model.get("means"));
  const means = channels.map((C) => take(C));
  const pixels = unpackPictures(model.get("pictures"), names.length);
  const { ask, where, stop } = computer(model.get("worker"), { bytes: model.get("weights"), layers, units, ...model.get("pixels") });
  const set = (name) => (value) => save(model, { [name]: value });

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
  const [gatesShown, answer] = [gatesView(colours), answerView(classes, colours)];
  const note = element("p", { class: "caption wide-caption" });

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

  const usedNow = (now) => {
    const own = seen.get(now.key)?.[now.i];
    return own && (now.gates !== "of another picture" || now.other) ? replaced(now.gates, own, now) : null;
  };

  /** The controls, and the gates as far as they are known: this does not wait for the network. */
  const draw = () => {
    const now = state();
    const used = usedNow(now);
    picture.show(ownShown ? names.length : model.get("picture"));
    block.show(now.block);
    gates.show(now.gates);
    other.show(model.get("other"));
    channel.show({ min: 0, max: channels[now.i] - 1, step: 1, value: now.channel, text: `${now.channel}` });
    value.show({ min: 0, max: 1, step: 0.01, value: now.value, text: now.value.toFixed(2) });
    other.root.hidden = now.gates !== "of another picture";
    channel.root.hidden = value.root.hidden = now.gates !== "one channel moved";
    if (used) gatesShown.show(now.block, seen.get(now.key)[now.i], used);
  };

  const look = async (key, pixels) => {
    if (!seen.has(key)) seen.set(key, (await ask({ key, pixels, block: 0, gates: null })).own);
  };
  const compute = onlyTheLast(async () => {
    await look(state().key, state().pixels);
    if (model.get("gates") === "of another picture") await look(model.get("other"), pixels[model.get("other")]);
    const now = state();
    const used = usedNow(now);
    if (!used) return; // another picture was chosen meanwhile, and comes next
    const found = await ask({ key: now.key, pixels: now.pixels, block: now.i, gates: now.gates === "as computed" ? null : used });
    draw();
    answer.show(now, found);
    note.textContent = `Computed ${where()} in ${Math.max(1, Math.round(found.milliseconds))} ms. Nothing leaves the page.`;
  });
  const update = () => {
    draw();
    compute();
  };

  section.append(picture.root, file, block.root, gates.root, other.root, channel.root, value.root, gatesShown.root,
    answer.root, note, answer.table, gatesShown.table);
  el.append(section);
  const putAway = () => (ownShown = false); // Python or another view chose a picture
  model.on("change:picture", putAway);
  const leave = follow(model, ["picture", "block", "gates", "other", "channel", "value"], update);
  return () => {
    stop();
    model.off("change:picture", putAway);
    leave();
  };
}

export default { render };
