// node --test tests/js/price.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

import { cost, facts, sentence, stageRows, widths } from "../../senet_edu/widgets/price.mjs";

const PRICE = {
  parameters: 1000, multiply_adds: 50_000, size: [3, 32, 32],
  stages: {
    2: { channels: [16, 16], parameters: { 16: 100, 32: 90 }, multiply_adds: { 16: 64, 32: 60 } },
    3: { channels: [8, 32], parameters: { 16: 150, 32: 140 }, multiply_adds: { 16: 128, 32: 80 } },
  },
};

test("only chosen stages that the network has are added up", () => {
  const totals = (stages, r = 16) => (({ parameters, multiplyAdds }) => [parameters, multiplyAdds])(cost(PRICE, r, stages));
  assert.deepEqual(totals(["2", "3"]), [250, 192]);
  assert.deepEqual(totals(["3"], 32), [140, 80]);
  assert.deepEqual(totals(["1", "5"]), [0, 0]);
  assert.deepEqual(totals([]), [0, 0]);
});

test("facts give shares of the plain network", () => {
  const values = Object.fromEntries(facts(PRICE, cost(PRICE, 16, ["2", "3"])));
  assert.equal(values["weights with SE"], "1,250");
  assert.deepEqual(facts(PRICE, cost(PRICE, 16, ["2", "3"])).filter(([term]) => term.endsWith("in per cent")).map(([, v]) => v), ["25.00 %", "0.384 %"]);
  assert.equal(values.image, "3 × 32 × 32");
});

test("the sentence names stages that are on, and networks without SE", () => {
  assert.match(sentence("net", PRICE, cost(PRICE, 16, ["1", "3"]), 16), /^net, r = 16, SE in stages 3: 150 weights more \(15\.00 %\)/);
  assert.match(sentence("net", PRICE, cost(PRICE, 16, ["1"]), 16), /SE in no stage: 0 weights more \(0\.00 %\)/);
  const without = { ...PRICE, stages: {} };
  assert.equal(sentence("sk", without, cost(without, 16, ["2"]), 16), "sk has no version with SE: 1,000 weights.");
});

test("blocks are counted by width", () => {
  assert.equal(widths([256, 256, 256]), "3 × 256");
  assert.equal(widths([8, 32, 32]), "8, 2 × 32");
  assert.equal(widths([512]), "1 × 512");
});

test("rows of stages: hidden widths at least 1, shares of what is added, none where there is no SE", () => {
  const [two, three] = stageRows("net", cost(PRICE, 16, ["3"]), 16);
  assert.deepEqual(two, ["net, stage 2", "2 × 16", "1", "no SE", "", ""]);
  assert.deepEqual(three, ["net, stage 3", "8, 32", "1, 2", "150", "100.00 %", "128"]);
});
