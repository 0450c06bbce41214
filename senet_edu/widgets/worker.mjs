// The network in a worker: a page made of this text and network.mjs, which computes while the other page answers.

import { session, unpackNetwork } from "./network.mjs";

let answer = null;

self.onmessage = ({ data }) => {
  if (data.bytes) answer = session(unpackNetwork(data.bytes, data.layers, data.units), data);
  else self.postMessage({ id: data.id, ...answer(data) });
};
