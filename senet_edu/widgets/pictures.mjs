// Pictures of 32 × 32 pixels: shown, chosen, and read from a file that stays on the page.
// Pixels are 8-bit numbers [3][32][32], all reds first.

import { choice, element } from "./parts.mjs";

const SIDE = 32;

/** Pictures to choose from, as radio buttons, and a last one for the reader's own, hidden until there is one.
 *
 * @param onChange gets the number of the picture; that of the reader's own is `names.length`
 */
export function gallery(label, names, pixels, onChange) {
  const called = [...names, "yours"];
  // the button's name says what it is: the canvas need not
  const canvases = called.map(() => element("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" }));
  const face = (i) => element("span", { class: "captioned" }, canvases[i], called[i]);
  const buttons = choice(label, called.map((_, i) => `${i}`), (i) => onChange(Number(i)), face);
  const last = buttons.root.lastChild;
  last.hidden = true;
  pixels.forEach((one, i) => paint(canvases[i], one));
  return {
    root: buttons.root,
    show: (i) => buttons.show(`${i}`),
    /** The reader's own picture is there. */
    add(one) {
      paint(canvases.at(-1), one);
      last.hidden = false;
    },
  };
}

function paint(canvas, pixels) {
  const image = new ImageData(SIDE, SIDE);
  image.data.forEach((_, i) => (image.data[i] = i % 4 === 3 ? 255 : pixels[(i % 4) * SIDE * SIDE + (i >> 2)]));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** A file's picture, its largest square in the middle made 32 × 32, on white where it is transparent.
 *
 * Rejects what the browser cannot read as a picture.
 */
export async function readPicture(file) {
  const bitmap = await createImageBitmap(file);
  const side = Math.min(bitmap.width, bitmap.height);
  const context = element("canvas", { width: SIDE, height: SIDE }).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, SIDE, SIDE);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  const { data } = context.getImageData(0, 0, SIDE, SIDE); // red, green, blue, opacity of each pixel
  const area = SIDE * SIDE;
  return Uint8Array.from({ length: 3 * area }, (_, i) => data[4 * (i % area) + Math.floor(i / area)]);
}

/** A place for a picture of the reader's own: a file button, and `around`, onto which a file can be dropped. */
export function ownPicture(around, onPicture) {
  const button = element("input", { type: "file", accept: "image/*", "data-lm-suppress-shortcuts": "true" });
  const problem = element("span", { role: "alert" });
  const take = async (file) => {
    if (!file) return;
    problem.textContent = "";
    try {
      onPicture(await readPicture(file));
    } catch {
      problem.textContent = `This browser cannot read ${file.name} as a picture.`;
    }
  };
  button.addEventListener("change", () => take(button.files[0]));
  around.addEventListener("dragover", (event) => event.preventDefault());
  around.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  return element("p", { class: "own" }, element("label", {}, "or your own, here or dropped: ", button), problem);
}
