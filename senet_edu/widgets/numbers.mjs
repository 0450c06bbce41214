// What the explorers compute and how they write numbers. No page and no widget in here: node tests it.

/** The float16 number of 16 bits. */
export function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

/** Take float16 numbers, little endian, from a DataView in order: take(5) gives the next five. */
export function reader(view) {
  let next = 0;
  return (count) => Float64Array.from({ length: count }, () => half(view.getUint16(2 * next++, true)));
}

/** The same for float32 numbers. What is taken are views of one copy, which may begin at any byte. */
export function floats(view) {
  const all = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  let next = 0;
  return (count) => {
    if (next + count > all.length) throw new RangeError(`${all.length} numbers, not ${next + count}`);
    return all.subarray(next, (next += count));
  };
}

export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The mean over classes of every channel: rows [K][C] to [C]. Over all images, if classes have equally many. */
export function meanOverClasses(rows) {
  return Float64Array.from(rows[0], (_, c) => mean(rows.map((row) => row[c])));
}

/** 8352 as "8,352". */
export function whole(value) {
  return value.toLocaleString("en-US");
}

/** 0.0642 as "6.42 %". */
export function percent(share, digits = 2) {
  return `${(100 * share).toFixed(digits)} %`;
}

/** A gate with as many decimals as float16 has from 0.5 on. */
export function gate(value) {
  return value.toFixed(4);
}

/** Which class has which colour: who has one keeps it, newcomers take the first that is free.
 *
 * @param slots a class's name, or null, for every colour
 * @param chosen names of the classes to draw, at most one a colour
 */
export function assign(slots, chosen) {
  const kept = slots.map((name) => (chosen.includes(name) ? name : null));
  for (const name of chosen) {
    if (!kept.includes(name)) kept[kept.indexOf(null)] = name;
  }
  return kept;
}
