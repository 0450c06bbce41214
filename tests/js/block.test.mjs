// node --test tests/js/block.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

import { compute, excite, extent, facts, furthest, limits, movedZ, sentence, slopes, unpack } from "../../senet_edu/widgets/block.mjs";
import { floats } from "../../senet_edu/widgets/numbers.mjs";

// two channels, two hidden units: the first sees z₀, the second −z₁
const BLOCK = { w1: [[1, 0], [0, -1]], b1: [0, 0.5], w2: [[2, 0], [0, -4]], b2: [0, 1], z: [[1, 2], [0, 0]] };
const SIZES = { channels: 2, hidden: 2, weights: 12 };
const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-12, `${a} is not ${b}`);
const sigmoid = (a) => 1 / (1 + Math.exp(-a));

test("excite is eq. 3 with biases, step by step", () => {
  const { a, h, s } = excite(BLOCK, [1, 2]);
  assert.deepEqual(a, [1, -1.5]);
  assert.deepEqual(h, [1, 0]);
  near(s[0], sigmoid(2));
  near(s[1], sigmoid(1)); // the second unit is off: only the bias is left
});

test("slopes are what a small step shows, and zero through a unit that is off", () => {
  for (const z of [[1, 2], [0.3, -1]]) {
    const now = excite(BLOCK, z);
    for (const c of [0, 1]) {
      const step = 1e-6;
      const [less, more] = [-step, step].map((by) => excite(BLOCK, z.map((value, i) => value + (i === c ? by : 0))).s);
      slopes(BLOCK, now, c).forEach((slope, k) => assert.ok(Math.abs(slope - (more[k] - less[k]) / (2 * step)) < 1e-8));
    }
  }
  assert.deepEqual(slopes(BLOCK, excite(BLOCK, [1, 2]), 1).map(Math.abs), [0, 0]);
});

test("moved channels are added to the start; others and the start stay", () => {
  const start = Float32Array.from([1, 2]);
  assert.deepEqual([...movedZ(start, { 1: -0.5, 7: 3 })], [1, 1.5]);
  assert.deepEqual([...start], [1, 2]);
});

test("the state counts units that are off and gates that moved", () => {
  const state = compute(BLOCK, 0, { 0: -2 }, 0);
  assert.deepEqual(state.off, [0, 1]);
  assert.equal(state.moves, 1);
  assert.equal(state.most, 0);
  near(state.change[0], sigmoid(0) - sigmoid(2));
  assert.equal(compute(BLOCK, 0, {}, 9).c, 1, "a channel beyond the last is the last");
});

test("facts and sentence say the same", () => {
  const moved = compute(BLOCK, 0, { 0: -2 }, 0);
  const said = Object.fromEntries(facts(moved, SIZES, 1).map(([term, ...rest]) => [term, rest]));
  assert.deepEqual(said["weights added"], ["12", "2 · 2 · 2 in W₁ and W₂, 4 biases"]);
  assert.deepEqual(said["hidden width"], ["2", "C / r"]);
  assert.deepEqual(said["z of channel 0"], ["-1.0000", "at the start 1.0000"]);
  assert.deepEqual(said["hidden units off"], ["2 of 2", "at the start 1"]);
  assert.deepEqual(said["moved most"], ["gate 0", "from 0.8808 to 0.5000"]);
  assert.match(sentence(moved, 1), /^C = 2, r = 1: channel 0 of z at -1\.0000.*2 of 2 hidden units off; 1 of 2 gates .* gate 0, from 0\.8808 to 0\.5000\.$/);
  const still = compute(BLOCK, 0, {}, 0);
  assert.match(sentence(still, 1), /0 of 2 gates moved by more than 0\.01\.$/);
  assert.equal(facts(still, { ...SIZES, weights: 8 }, 2)[1][2], "C / r is 1; this block keeps 2");
  assert.equal(facts(still, { ...SIZES, channels: 16, weights: 8 }, 3)[1][2], "C / r is 5.33; this block keeps 2");
  assert.equal(facts(still, { ...SIZES, weights: 8 }, 2)[2][2], "2 · 2 · 2 in W₁ and W₂, no biases");
});

test("the slider's ends hold every start with room, and wherever z is", () => {
  const { low, high, step } = limits(BLOCK.z, [0, 9]);
  assert.ok(low < 0 && high >= 9 && step > 0);
  for (let most = 0.1; most < 3; most += 0.1) { // at one of its ends the slider stays as long as it was
    const first = limits([[0, most]], [0]);
    for (const end of ["low", "high"]) assert.deepEqual(limits([[0, most]], [first[end]]), first);
  }
  const flat = limits([[0, 0]], [0, 0]);
  assert.ok(flat.low < 0 && flat.high > 0 && flat.step > 0);
});

test("extent of more numbers than a call takes", () => {
  const many = Float32Array.from({ length: 2048 * 128 }, (_, i) => (i % 7) - 3);
  assert.deepEqual(extent([...many]), [-3, 3]);
  assert.deepEqual(extent([2, 5], [0, 0]), [0, 5]);
});

test("furthest from zero, either way", () => {
  assert.equal(furthest([0.1, -0.5, 0.4]), 1);
});

test("float32 numbers are taken in order, from any byte on, and never beyond the end", () => {
  const bytes = new Uint8Array(13);
  const view = new DataView(bytes.buffer, 1, 12);
  [0.5, -2, 3].forEach((value, i) => view.setFloat32(4 * i, value, true));
  const take = floats(view);
  assert.deepEqual([...take(2)], [0.5, -2]);
  assert.deepEqual([...take(1)], [3]);
  assert.throws(() => take(1), RangeError);
});

test("unpack gives every part its shape", () => {
  const values = Float32Array.from({ length: 2 + 1 + 2 + 2 + 4 }, (_, i) => i);
  const given = { reductions: [2], names: ["SE_2_2"], sizes: { r2: { SE_2_2: { channels: 2, hidden: 1 } } }, starts: ["cat", "dog"] };
  const { w1, b1, w2, b2, z } = unpack(new DataView(values.buffer), given).r2.SE_2_2;
  const plain = (rows) => rows.map((row) => [...row]);
  assert.deepEqual([plain(w1), [...b1], plain(w2), [...b2], plain(z)], [[[0, 1]], [2], [[3], [4]], [5, 6], [[7, 8], [9, 10]]]);
});
