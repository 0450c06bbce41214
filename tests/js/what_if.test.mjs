// node --test tests/js/what_if.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

import { convolve, linear, normalise, session, softmax, squeeze } from "../../senet_edu/widgets/network.mjs";
import { deed, GATES, replaced, verdict } from "../../senet_edu/widgets/what_if.mjs";

const CHOICE = { block: "SE_4_1", otherName: "cat", channel: 1, value: 0.25, mean: [0.4, 0.6, 0.8], other: [0.1, 0.2, 0.3] };

test("each choice gives its gates, and leaves the block's own alone", () => {
  const own = Float32Array.of(0.5, 0.75, 1);
  const used = Object.fromEntries(GATES.map((gates) => [gates, [...replaced(gates, own, CHOICE)]]));
  assert.deepEqual(used, {
    "as computed": [0.5, 0.75, 1],
    "all 1": [1, 1, 1],
    "all 0.5": [0.5, 0.5, 0.5],
    "mean over images": [0.4, 0.6, 0.8],
    "of another picture": [0.1, 0.2, 0.3],
    "one channel moved": [0.5, 0.25, 1],
  });
  assert.deepEqual([...own], [0.5, 0.75, 1]);
});

test("the sentence says what is done and what comes out", () => {
  assert.equal(deed({ ...CHOICE, gates: "all 1" }), "SE_4_1 with gates all 1");
  assert.equal(deed({ ...CHOICE, gates: "of another picture" }), "SE_4_1 with gates of another picture (cat)");
  assert.equal(deed({ ...CHOICE, gates: "one channel moved" }), "SE_4_1 with gate 1 set to 0.25");
  assert.equal(verdict([0, Math.log(3), -1000], ["cat", "dog", "ship"]), "dog, 75.0 %");
});

test("probabilities of logits, however large", () => {
  assert.deepEqual(softmax([1000, 1000]), [0.5, 0.5]);
  assert.ok(Math.abs(softmax([0, Math.log(3)])[1] - 0.75) < 1e-12);
});

test("a convolution of one pixel is its weights, turned round; stride takes every other place", () => {
  const values = new Float32Array(16);
  values[5] = 2; // row 1, column 1 of 4 × 4
  const weight = Float32Array.from({ length: 4 * 9 }, (_, i) => i);
  const layer = { outputs: 4, inputs: 1, kernel: 3, stride: 1, weight, bias: Float32Array.of(0, 0, 0, 100) };
  const maps = convolve({ values, channels: 1, side: 4 }, layer);
  assert.deepEqual([maps.channels, maps.side], [4, 4]);
  assert.deepEqual([...maps.values.subarray(16, 32)], [34, 32, 30, 0, 28, 26, 24, 0, 22, 20, 18, 0, 0, 0, 0, 0]);
  assert.equal(maps.values[48 + 15], 100);
  const three = convolve({ values, channels: 1, side: 4 }, { ...layer, outputs: 3 }); // it computes four at once
  assert.deepEqual([...three.values], [...maps.values.subarray(0, 48)]);
  const half = convolve({ values, channels: 1, side: 4 }, { ...layer, stride: 2 });
  assert.deepEqual([...half.values.subarray(4, 8)], [34, 30, 22, 18]);
});

test("squeeze is a mean a map, linear a sum and a bias, normalise goes by colour", () => {
  assert.deepEqual([...squeeze({ values: Float32Array.of(1, 2, 3, 6, 0, 0, 0, 2), channels: 2, side: 2 })], [3, 0.5]);
  const layer = { outputs: 2, inputs: 2, weight: Float32Array.of(1, 2, 3, 4), bias: Float32Array.of(10, 20) };
  assert.deepEqual([...linear([1, 2], layer)], [15, 31]);
  const { values, side } = normalise(Uint8Array.of(0, 255, 51), { mean: [0, 0.5, 0.2], std: [1, 0.5, 2] });
  assert.deepEqual([...values, side], [0, 1, 0, 1]);
});

test("what was seen is looked up by its key, and the oldest forgotten", () => {
  let looks = 0;
  const layer = (outputs, inputs) => ({
    outputs, inputs, kernel: 1, stride: 1, weight: new Float32Array(outputs * inputs).fill(0.5), bias: new Float32Array(outputs),
  });
  const stem = layer(4, 3);
  const unit = { conv1: layer(4, 4), conv2: layer(4, 4), "se.fc1": layer(2, 4), "se.fc2": layer(4, 2) };
  const network = { get stem() { looks += 1; return stem; }, units: [unit], fc: layer(2, 4) };
  const ask = session(network, { mean: [0, 0, 0], std: [1, 1, 1] });
  const question = { pixels: new Uint8Array(12).fill(255), block: 0, gates: null };
  const first = ask({ key: 0, ...question });
  assert.deepEqual(first.after, first.before);
  const shut = ask({ key: 0, ...question, gates: [0, 0, 0, 0] }); // only the skip is left: 1.5 in each channel
  assert.deepEqual([...shut.after], [3, 3]);
  assert.deepEqual(shut.before, first.before);
  assert.equal(looks, 1);
  for (let key = 1; key <= 12; key++) ask({ key, ...question });
  ask({ key: 12, ...question });
  assert.equal(looks, 13);
  ask({ key: 0, ...question });
  assert.equal(looks, 14);
});
