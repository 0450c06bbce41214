// Where the page computes: in a worker, or, where the page may have none, in the page itself.

import { session, unpackNetwork } from "./network.mjs";

/** Answers questions as `session` does, but later: `ask` gives a promise.
 *
 * A worker's text cannot be another file of a page that has none, so it comes as a text. A page may forbid workers by
 * throwing or, with a content security policy, by an event; both lead to the same answers, from the page itself.
 *
 * @param code text of worker.mjs with all that it imports
 * @param network { bytes, layers, units, mean, std }
 */
export function computer(code, network) {
  const waiting = new Map(); // number of the question to { question, resolve }
  let [asked, worker, here] = [0, null, null];

  const computeHere = () => {
    worker?.terminate();
    here = session(unpackNetwork(network.bytes, network.layers, network.units), network);
    waiting.forEach(({ question, resolve }) => resolve(here(question)));
    waiting.clear();
  };

  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    worker = new Worker(address);
    worker.onerror = (event) => {
      event.preventDefault();
      computeHere();
    };
    worker.onmessage = ({ data }) => {
      waiting.get(data.id).resolve(data);
      waiting.delete(data.id);
    };
    worker.postMessage(network);
  } catch {
    computeHere();
  }
  return {
    ask: (question) => new Promise((resolve) => {
      if (here) return resolve(here(question));
      waiting.set(asked, { question, resolve });
      worker.postMessage({ id: asked++, ...question });
    }),
    where: () => (here ? "in the page itself, which allows no worker" : "by a worker of this page"),
    stop() {
      worker?.terminate();
      URL.revokeObjectURL(address);
    },
  };
}
