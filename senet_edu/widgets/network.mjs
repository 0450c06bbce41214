// The forward pass of a small SE-ResNet in plain JavaScript, with gates of one block put in place of its own.
// Maps are { values, channels, side }: values[(c · side + y) · side + x]. No page in here: node tests it.

/** The network from its bytes, layer by layer: float32 scales [out] and biases [out], then int8 weights.
 *
 * @param view DataView of the bytes
 * @param layers [[name, outputs, inputs, kernel, stride]] in the order of the bytes; a linear layer has kernel 1
 * @param units [[name of the SE block, path of its residual unit]] in order of depth
 */
export function unpackNetwork(view, layers, units) {
  let at = view.byteOffset;
  const floats = (count) => {
    const taken = Float32Array.from({ length: count }, (_, i) => view.getFloat32(at - view.byteOffset + 4 * i, true));
    at += 4 * count;
    return taken;
  };
  const byName = {};
  for (const [name, outputs, inputs, kernel, stride] of layers) {
    const [scales, bias] = [floats(outputs), floats(outputs)];
    const each = inputs * kernel * kernel; // weights of one output
    const whole = new Int8Array(view.buffer, at, outputs * each);
    const weight = Float32Array.from(whole, (w, i) => w * scales[Math.floor(i / each)]);
    at += whole.length;
    byName[name] = { outputs, inputs, kernel, stride, weight, bias };
  }
  const parts = ["conv1", "conv2", "downsample", "se.fc1", "se.fc2"];
  return {
    stem: byName.conv1,
    units: units.map(([, path]) => Object.fromEntries(parts.map((part) => [part, byName[`${path}.${part}`]]))),
    fc: byName.fc,
  };
}

/** 8-bit pixels [3, side, side] as the network saw them in training: each colour less its mean, over its deviation. */
export function normalise(pixels, { mean, std }) {
  const area = pixels.length / 3;
  const values = Float32Array.from(pixels, (p, i) => {
    const colour = Math.floor(i / area);
    return (p / 255 - mean[colour]) / std[colour];
  });
  return { values, channels: 3, side: Math.sqrt(area) };
}

/** A convolution: each patch against each output's weights. Zeros around the maps, so that stride 1 keeps their size. */
export function convolve(x, layer) {
  const side = Math.floor((x.side - 1) / layer.stride) + 1;
  const patches = patchesOf(x, layer, side);
  const values = new Float32Array(layer.outputs * side * side);
  for (let o = 0; o < layer.outputs; o += 4) {
    for (let at = 0; at < side * side; at++) fourOutputs(values, o, at, side * side, patches, layer);
  }
  return { values, channels: layer.outputs, side };
}

/** Four outputs at one position. All the time goes here; of four at once, each number of the patch is read only once.
 *
 * Where fewer than four are left, what is written beyond the maps' end is dropped.
 */
function fourOutputs(values, o, at, area, patches, { inputs, kernel, weight, bias }) {
  const size = inputs * kernel * kernel;
  const patch = at * size;
  const [w0, w1, w2, w3] = [o * size, (o + 1) * size, (o + 2) * size, (o + 3) * size];
  let [s0, s1, s2, s3] = [bias[o], bias[o + 1], bias[o + 2], bias[o + 3]];
  for (let i = 0; i < size; i++) {
    const p = patches[patch + i];
    s0 += weight[w0 + i] * p;
    s1 += weight[w1 + i] * p;
    s2 += weight[w2 + i] * p;
    s3 += weight[w3 + i] * p;
  }
  const to = o * area + at;
  values[to] = s0;
  values[to + area] = s1;
  values[to + 2 * area] = s2;
  values[to + 3 * area] = s3;
}

/** What the kernel sees at each position, one after the other: [side · side][channels · kernel · kernel]. */
function patchesOf(x, { kernel, stride }, side) {
  const border = (kernel - 1) / 2;
  const wide = x.side + 2 * border;
  const padded = pad(x, border);
  const patches = new Float32Array(side * side * x.channels * kernel * kernel);
  let next = 0;
  for (let y = 0; y < side; y++) {
    for (let left = 0; left < side * stride; left += stride) {
      for (let c = 0; c < x.channels; c++) {
        for (let dy = 0; dy < kernel; dy++) {
          const from = (c * wide + y * stride + dy) * wide + left;
          for (let dx = 0; dx < kernel; dx++) patches[next++] = padded[from + dx];
        }
      }
    }
  }
  return patches;
}

function pad({ values, channels, side }, border) {
  const wide = side + 2 * border;
  const padded = new Float32Array(channels * wide * wide);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < side; y++) {
      const row = values.subarray((c * side + y) * side, (c * side + y + 1) * side);
      padded.set(row, (c * wide + y + border) * wide + border);
    }
  }
  return padded;
}

function relu(x) {
  for (let i = 0; i < x.values.length; i++) if (x.values[i] < 0) x.values[i] = 0;
  return x;
}

/** A linear layer: [inputs] to [outputs]. */
export function linear(z, { outputs, inputs, weight, bias }) {
  return Float32Array.from({ length: outputs }, (_, o) => {
    let sum = bias[o];
    for (let i = 0; i < inputs; i++) sum += weight[o * inputs + i] * z[i];
    return sum;
  });
}

/** Squeeze, equation 2: the mean of each map. */
export function squeeze({ values, channels, side }) {
  const area = side * side;
  const sum = (c) => values.subarray(c * area, (c + 1) * area).reduce((a, b) => a + b, 0);
  return Float32Array.from({ length: channels }, (_, c) => sum(c) / area);
}

/** Excitation, equation 3: s = σ(W₂ δ(W₁ z)). */
export function excite(z, unit) {
  const hidden = linear(z, unit["se.fc1"]).map((h) => Math.max(h, 0));
  return linear(hidden, unit["se.fc2"]).map((a) => 1 / (1 + Math.exp(-a)));
}

/** A residual unit up to its gates: the branch's maps u, the skip, and the gates that the block computes. */
function branch(unit, x) {
  const u = convolve(relu(convolve(x, unit.conv1)), unit.conv2);
  const skip = unit.downsample ? convolve(x, unit.downsample) : x;
  return { u, skip, gates: excite(squeeze(u), unit) };
}

/** The rest of the unit: scale (equation 4), the sum, the ReLU. */
function join({ u, skip }, gates) {
  const area = u.side * u.side;
  const values = u.values.map((value, i) => gates[Math.floor(i / area)] * value + skip.values[i]);
  return relu({ ...u, values });
}

/** What the network does with a picture: of each unit what `branch` gives, and the logits. */
export function observe(network, x) {
  x = relu(convolve(x, network.stem));
  const units = network.units.map((unit) => {
    const before = branch(unit, x);
    x = join(before, before.gates);
    return before;
  });
  return { units, logits: linear(squeeze(x), network.fc) };
}

/** The logits if block number `block` had other gates. What comes before it does not change: `trace` has it. */
export function withGates(network, trace, block, gates) {
  let x = join(trace.units[block], gates);
  for (const unit of network.units.slice(block + 1)) {
    const before = branch(unit, x);
    x = join(before, before.gates);
  }
  return linear(squeeze(x), network.fc);
}

/** Answers questions about pictures, and remembers the last dozen of them.
 *
 * A question: { key, pixels, block, gates }, `key` a name for these pixels, `gates` null for the block's own.
 * The answer: { own: gates of every block, before: logits, after: logits, milliseconds }.
 */
export function session(network, { mean, std }) {
  const traces = new Map();
  return ({ key, pixels, block, gates }) => {
    const start = performance.now();
    if (!traces.has(key)) traces.set(key, observe(network, normalise(pixels, { mean, std })));
    if (traces.size > 12) traces.delete(traces.keys().next().value);
    const trace = traces.get(key);
    const after = gates ? withGates(network, trace, block, gates) : trace.logits;
    return { own: trace.units.map((unit) => unit.gates), before: trace.logits, after, milliseconds: performance.now() - start };
  };
}

/** Probabilities of logits. */
export function softmax(logits) {
  const top = Math.max(...logits);
  const raised = Array.from(logits, (value) => Math.exp(value - top));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((value) => value / sum);
}
