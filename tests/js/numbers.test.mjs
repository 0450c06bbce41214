// node --test tests/js/numbers.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

import { assign, gate, half, mean, meanOverClasses, percent, reader, whole } from "../../senet_edu/widgets/numbers.mjs";
import { describe, facts, sentence } from "../../senet_edu/widgets/reduction.mjs";

test("half reads the corners of float16", () => {
  const corners = { 0x0000: 0, 0x8000: -0, 0x3c00: 1, 0xbc00: -1, 0x3800: 0.5, 0x0001: 2 ** -24, 0x0400: 2 ** -14 };
  for (const [bits, value] of Object.entries(corners)) assert.equal(half(Number(bits)), value);
  assert.equal(half(0x7bff), 65504);
  assert.equal(half(0xfc00), -Infinity);
  assert.ok(Number.isNaN(half(0x7e00)));
});

test("reader goes on where it was, also in a view that begins at an odd byte", () => {
  const bytes = new Uint8Array(9);
  const view = new DataView(bytes.buffer, 1, 8);
  [0x3c00, 0x3800, 0x4000, 0x0000].forEach((bits, i) => view.setUint16(2 * i, bits, true));
  const take = reader(view);
  assert.deepEqual([...take(1)], [1]);
  assert.deepEqual([...take(3)], [0.5, 2, 0]);
  assert.throws(() => take(1), RangeError);
});

test("mean over classes is a mean for each channel", () => {
  assert.equal(mean([1, 2, 6]), 3);
  assert.deepEqual([...meanOverClasses([[0, 1, 0.5], [1, 0, 0.25]])], [0.5, 0.5, 0.375]);
});

test("numbers are written alike everywhere", () => {
  assert.equal(whole(1392640), "1,392,640");
  assert.equal(percent(0.8410000205039978), "84.10 %");
  assert.equal(gate(0.5), "0.5000");
});

test("a class keeps its colour; the first that is free goes to a newcomer", () => {
  const none = [null, null, null];
  const two = assign(none, ["cat", "frog"]);
  assert.deepEqual(two, ["cat", "frog", null]);
  assert.deepEqual(none, [null, null, null], "the old list is left alone");
  assert.deepEqual(assign(two, ["frog"]), [null, "frog", null]);
  assert.deepEqual(assign([null, "frog", null], ["frog", "ship", "truck"]), ["ship", "frog", "truck"]);
  assert.deepEqual(assign(two, []), none);
});

const ROW = {
  reduction: 8, accuracy: 0.75, parameters: 10_000, se_weights: 1_250,
  hidden: { SE_2_1: 4, SE_3_1: 4 }, se_weights_per_block: { SE_2_1: 148, SE_3_1: 292 }, movement: { SE_2_1: 0.02, SE_3_1: 0.03 },
};

test("facts say when the hidden width is not C / r", () => {
  const note = (block, channels) => facts(ROW, { accuracy: 0.7 }, block, channels).find(([term]) => term === "hidden width");
  assert.deepEqual(note("SE_3_1", 32), ["hidden width", "4", "C / r"]);
  assert.deepEqual(note("SE_2_1", 16), ["hidden width", "4", "C / r is 2; these networks keep at least 4"]);
});

test("the sentence and the description name what is shown", () => {
  assert.match(sentence(ROW, "SE_3_1", 32), /^SE_3_1, r = 8: 32 channels, hidden width 4, 292 weights .* \(12\.50 % of/);
  const said = describe([{ name: "cat", values: [0.25, 0.75] }], "SE_3_1", 8);
  assert.equal(said, "Mean gate of the 2 channels of SE_3_1 at r = 8. cat from 0.2500 to 0.7500, mean 0.5000.");
});
