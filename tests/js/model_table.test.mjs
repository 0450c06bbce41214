// node --test tests/js/model_table.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

import { COLUMNS, notes, order, signed } from "../../senet_edu/widgets/model_table.mjs";

const ROWS = [
  { network: "vgg16", placement: "", parameters: 1_000_000, multiply_adds: 9_000_000_000, printed: 15.5, difference: -0.0049, note: "" },
  { network: "resnet9", placement: "standard", parameters: 90_000, multiply_adds: 10_000_000_000, printed: null, difference: null, note: "b" },
  { network: "mobile", placement: "", parameters: 200_000, multiply_adds: 500_000_000, printed: 0.5, difference: 0.0001, note: "a" },
  { network: "se_mobile", placement: "pre", parameters: 200_000, multiply_adds: 500_000_000, printed: null, difference: null, note: "b" },
];
const names = (rows) => rows.map((row) => row.network);

test("numbers are sorted as numbers, both ways, and equal rows stay in order", () => {
  assert.deepEqual(names(order(ROWS, "parameters", false)), ["resnet9", "mobile", "se_mobile", "vgg16"]);
  assert.deepEqual(names(order(ROWS, "parameters", true)), ["vgg16", "mobile", "se_mobile", "resnet9"]);
});

test("names are sorted as words", () => {
  assert.deepEqual(names(order(ROWS, "network", false)), ["mobile", "resnet9", "se_mobile", "vgg16"]);
});

test("rows without a value come last, both ways", () => {
  assert.deepEqual(names(order(ROWS, "difference", false)), ["vgg16", "mobile", "resnet9", "se_mobile"]);
  assert.deepEqual(names(order(ROWS, "difference", true)), ["mobile", "vgg16", "resnet9", "se_mobile"]);
});

test("sorting leaves the rows alone", () => {
  const before = names(ROWS);
  order(ROWS, "printed", true);
  assert.deepEqual(names(ROWS), before);
});

test("a row is written column by column", () => {
  const written = (row) => Object.values(COLUMNS).slice(0, 6).map(([, write]) => write(row));
  assert.deepEqual(written(ROWS[0]), ["vgg16", "none", "1,000,000", "9.000", "15.50", "−0.49 %"]);
  assert.deepEqual(written(ROWS[1]), ["resnet9", "standard", "90,000", "10.000", "", ""]);
  assert.equal(written(ROWS[2])[4], "0.500");
  assert.equal(signed(0), "+0.00 %");
});

test("each note once, in the order of the rows", () => {
  assert.deepEqual(notes(ROWS), ["b", "a"]);
});
