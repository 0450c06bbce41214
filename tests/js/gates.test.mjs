// node --test tests/js/gates.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

import { arrange, colour, facts, linesOf, mostSpecific, placeOf, sentence, unpack, written } from "../../senet_edu/widgets/gates.mjs";

const GATES = {
  mean: [[0.25, 0.5, 0.9], [0.75, 0.5, 0.8]],
  spread: [[0.1, 0.2, 0.3], [0.4, 0.1, 0]],
  all: [0.5, 0.5, 0.85],
  specificity: [0.4, 0, 0.7],
};
const CLASSES = ["cat", "dog"];

test("three orders: sampled, all, the most class-specific first", () => {
  assert.deepEqual(arrange("fifty sampled, as in the paper", GATES.specificity, [0, 2]), [0, 2]);
  assert.deepEqual(arrange("all", GATES.specificity, [0, 2]), [0, 1, 2]);
  assert.deepEqual(arrange("sorted by specificity", GATES.specificity, [0, 2]), [2, 0, 1]);
});

test("a channel that is not shown stands where the nearest by number does", () => {
  assert.equal(placeOf(2, [5, 2, 0]), 1);
  assert.equal(placeOf(4, [0, 5, 9]), 1);
  assert.equal(mostSpecific(GATES.specificity, [0, 1]), 0);
});

test("facts name rank, widest and least open class", () => {
  const said = facts(GATES, CLASSES, 0);
  assert.deepEqual(said[0], ["class specificity", "0.4000", "number 2 of 3 channels; mean of this block 0.3667"]);
  assert.deepEqual(said.slice(2).map((row) => row.slice(1)), [["dog", "0.7500 ± 0.4000"], ["cat", "0.2500 ± 0.1000"]]);
  assert.equal(sentence(GATES, CLASSES, "SE_5_1", 0), "Channel 0 of SE_5_1: class specificity 0.4000, mean over all images " +
    "0.5000, widest open for dog, 0.7500 ± 0.4000, least for cat, 0.2500 ± 0.1000.");
  assert.equal(written(GATES, 1, 2), "0.8000 ± 0.0000");
});

test("lines of the chosen classes in the order shown, and of all classes", () => {
  const lines = linesOf(GATES, CLASSES, { dog: "#0072b2" }, [2, 0], false);
  assert.deepEqual(lines.map(({ name, values, low }) => [name, values, low]),
    [["dog", [0.8, 0.75], undefined], ["all classes", [0.85, 0.5], undefined]]);
});

test("bands are one standard deviation to both sides, within 0 and 1", () => {
  const [dog] = linesOf(GATES, CLASSES, { dog: "#0072b2" }, [0, 1], true);
  assert.deepEqual([dog.low, dog.high], [[0.35, 0.4], [1, 0.6]]);
});

test("colours run over the ramp and stop at its ends", () => {
  const ramp = [[0, 0, 0], [10, 20, 30], [255, 255, 255]];
  assert.deepEqual(colour([[0, 0.5, 1, 1.2, -0.1]], ramp), [[[0, 0, 0, 255], [10, 20, 30, 255], [255, 255, 255, 255], [255, 255, 255, 255], [0, 0, 0, 255]]]);
});

test("unpack gives every block its rows", () => {
  const values = Float32Array.from({ length: 2 + 2 + 1 + 1 + 4 + 4 + 2 + 2 }, (_, i) => i);
  const found = unpack(new DataView(values.buffer), { blocks: ["SE_2_1", "SE_3_1"], channels: [1, 2], classes: CLASSES });
  assert.deepEqual(found.SE_2_1.spread.map((row) => [...row]), [[2], [3]]);
  assert.deepEqual(found.SE_3_1.mean.map((row) => [...row]), [[6, 7], [8, 9]]);
  assert.deepEqual([...found.SE_3_1.specificity], [16, 17]);
});
