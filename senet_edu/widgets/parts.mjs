// What explorers are made of: elements, labelled controls, a plot of lines, a table. Each says its name to screen
// readers, and each is moved with the keyboard as the browser's own controls are.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (null: left out) and children (elements or text). */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Write traits of the widget, {name: value}, and send them to the kernel if there is one. */
export function save(model, values) {
  Object.entries(values).forEach(([name, value]) => model.set(name, value));
  model.save_changes();
}

/** Draw now, and whenever one of these traits changes. What comes back puts an end to it. */
export function follow(model, names, draw) {
  const events = names.map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, draw));
  draw();
  return () => events.forEach((event) => model.off(event, draw));
}

/** Says what a picture shows to those who do not see it. Before that it is not a picture to them: it shows nothing. */
export function alt(picture, words) {
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", words);
}

/** A native control. JupyterLab would take its arrow keys for moving between cells; the attribute keeps them here. */
function input(type, attributes = {}) {
  return element("input", { type, "data-lm-suppress-shortcuts": "true", ...attributes });
}

/** A slider over a list of values. `name(value)` is what is written and read out. */
export function slider(label, values, name, onChange) {
  const range = input("range", { min: 0, max: values.length - 1, step: 1, "aria-label": label });
  const said = element("span", { class: "said", "aria-hidden": "true" });
  const ticks = element("span", { class: "ticks", "aria-hidden": "true" }, ...values.map((v) => element("span", {}, `${v}`)));
  range.addEventListener("input", () => onChange(values[Number(range.value)]));
  return {
    root: element("label", { class: "slider" }, label, element("span", {}, range, ticks), said),
    show(value) {
      range.value = values.indexOf(value);
      range.setAttribute("aria-valuetext", name(value));
      said.textContent = name(value);
    },
  };
}

/** A slider over a range of numbers. `onInput` gets a number; what is read out for it comes back through `show`. */
export function dial(label, onInput) {
  const range = input("range");
  const name = element("span");
  const said = element("span", { class: "said", "aria-hidden": "true" });
  range.addEventListener("input", () => onInput(Number(range.value)));
  return {
    root: element("label", { class: "slider dial" }, name, range, said),
    /** `text` is written and read out; `called` is a label that changes. */
    show({ min, max, step, value, text, called = label }) {
      Object.assign(range, { min, max, step });
      range.value = value;
      range.setAttribute("aria-label", called);
      range.setAttribute("aria-valuetext", text);
      name.textContent = called;
      said.textContent = text;
    },
  };
}

/** One of several, as radio buttons: the arrow keys go through them. `name(value)` is what is written. */
export function choice(label, values, onChange, name = (value) => value) {
  const group = `${label}-${Math.random()}`; // radio buttons of one name exclude each other over the whole page
  const radios = values.map((value) => input("radio", { name: group, value }));
  radios.forEach((radio) => radio.addEventListener("change", () => onChange(radio.value)));
  const options = radios.map((radio) => element("label", {}, radio, name(radio.value)));
  return {
    root: element("fieldset", {}, element("legend", {}, label), ...options),
    show(value) {
      radios.forEach((radio) => (radio.checked = radio.value === value));
    },
  };
}

/** Several of many, as check boxes that are the legend of a plot too. As many can be on as there are colours. */
export function checkboxes(label, values, onChange, ...more) {
  const boxes = values.map((value) => input("checkbox", { value }));
  const swatches = values.map(() => element("span", { class: "swatch" }));
  const checked = () => boxes.filter((box) => box.checked).map((box) => box.value);
  boxes.forEach((box) => box.addEventListener("change", () => onChange(checked())));
  const options = boxes.map((box, i) => element("label", {}, box, swatches[i], values[i]));
  return {
    root: element("fieldset", {}, element("legend", {}, label), ...options, ...more),
    /** `colours`: value to colour, of those that are on; `full`: no other can be switched on; `absent`: not there now. */
    show(colours, { full = false, absent = [] }) {
      boxes.forEach((box, i) => {
        box.checked = box.value in colours;
        box.disabled = (full && !box.checked) || absent.includes(box.value);
        swatches[i].style.background = colours[box.value] ?? "";
      });
    },
  };
}

/** One thing to be switched on and off. */
export function toggle(label, onChange) {
  const box = input("checkbox");
  box.addEventListener("change", () => onChange(box.checked));
  return {
    root: element("fieldset", {}, element("label", {}, box, label)),
    show(on) {
      box.checked = on;
    },
  };
}

/** What is known of something, as a list of terms. */
export function factList() {
  const list = element("dl");
  return {
    root: list,
    /** `facts`: [[term, value, note]]. */
    show(facts) {
      list.replaceChildren(...facts.map(([term, value, note]) =>
        element("div", {}, element("dt", {}, term), element("dd", {}, element("b", {}, value), ` ${note}`))));
    },
  };
}

/** A picture with a pixel a number, as wide and high as its place. */
export function heat() {
  const canvas = element("canvas");
  return {
    root: element("div", { class: "heat" }, canvas),
    /** `colours`: rows of [red, green, blue, opacity], each 0 to 255. */
    show(colours, description) {
      Object.assign(canvas, { width: colours[0].length, height: colours.length });
      const pixels = Uint8ClampedArray.from(colours.flat(2));
      canvas.getContext("2d").putImageData(new ImageData(pixels, canvas.width, canvas.height), 0, 0);
      alt(canvas, description);
    },
  };
}

/** In which of `count` columns of its place a pointer is. */
export function columnUnder(event, count) {
  const box = event.currentTarget.getBoundingClientRect();
  return Math.min(Math.max(Math.floor((count * (event.clientX - box.left)) / box.width), 0), count - 1);
}

/** A plot of lines with y from 0 to 1. A path's coordinates are the data: x is the index, y the value.
 *
 * @param margin free place left of the first point and right of the last, in steps of x
 */
export function plot(xlabel, ylabel, margin = 0) {
  const lines = svg("g");
  const pointed = svg("path", { class: "pointed" });
  const flip = svg("g", { transform: "matrix(1 0 0 -1 0 1)" }, pointed, lines); // y goes up
  const picture = svg("svg", { preserveAspectRatio: "none" }, flip);
  const [first, middle, last] = [element("span"), element("span"), element("span")];
  const y = element("div", { class: "y", "aria-hidden": "true" });
  y.append(...["1", "0.5", "0"].map((tick) => element("span", {}, tick)), element("span", { class: "name" }, ylabel));
  const x = element("div", { class: "x", "aria-hidden": "true" });
  x.append(first, middle, last);
  return {
    root: element("div", { class: "plot" }, y, picture, x),
    picture,
    /** Marks one place on x. */
    mark(place) {
      pointed.setAttribute("d", `M${place} 0V1`);
    },
    /** `drawn`: [{name, values, colour, dash}], with edges `low` and `high` of a band if there is one; `description`:
     * what a reader who cannot see it should know; `ends`: what stands below the first point, the axis and the last. */
    show(drawn, description, ends = {}) {
      const end = drawn[0].values.length - 1;
      picture.setAttribute("viewBox", `${-margin} 0 ${end + 2 * margin} 1`);
      alt(picture, description);
      [first.textContent, middle.textContent, last.textContent] = [ends.first ?? "0", ends.label ?? xlabel, ends.last ?? `${end}`];
      lines.replaceChildren(
        ...drawn.filter(({ low }) => low).map(band),
        path({ values: [0.5, 0.5], colour: "currentColor", dash: "2 4", name: "0.5", step: end, thin: true }),
        ...drawn.map(path),
      );
    },
  };
}

function path({ name, values, colour, dash = null, step = 1, thin = false }) {
  const d = Array.from(values, (value, i) => `${i ? "L" : "M"}${i * step} ${value}`).join("");
  return svg("path", { d, stroke: colour, "stroke-dasharray": dash, "data-name": name, class: thin ? "thin" : null });
}

function band({ name, low, high, colour }) {
  const upper = high.map((value, i) => `${i ? "L" : "M"}${i} ${value}`);
  const lower = low.map((value, i) => `L${i} ${value}`).reverse();
  return svg("path", { d: `${[...upper, ...lower].join("")}Z`, style: `fill: ${colour}`, class: "band", "data-band": name });
}

/** A table behind a fold, made only while it is open: what the picture shows, for readers who cannot see it. */
export function tableTwin(title) {
  const table = element("table");
  const around = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": title }, table);
  around.dataset.lmSuppressShortcuts = "true"; // the arrow keys scroll it
  const root = element("details", {}, element("summary", {}, title), around);
  root.firstChild.dataset.lmSuppressShortcuts = "true";
  let content = () => ({ head: [], rows: [] });
  const fillTable = () => {
    if (!root.open) return;
    writeTable(table, content());
  };
  root.addEventListener("toggle", fillTable);
  return {
    root,
    /** `next()` gives {head: [text], rows: [[text]]} when it is wanted. */
    show(next) {
      content = next;
      fillTable();
    },
  };
}

/** Write a table anew, from {head: [text], rows: [[text]]}: the first cell of a row names it. */
export function writeTable(table, { head, rows }) {
  const headers = head.map((text) => element("th", { scope: "col" }, text));
  table.replaceChildren(
    element("thead", {}, element("tr", {}, ...headers)),
    element("tbody", {}, ...rows.map(([first, ...rest]) =>
      element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((text) => element("td", {}, text))))),
  );
}

/** One of several, from a menu: for more than fit beside each other. `names` are written, `values` passed on. */
export function menu(label, values, names, onChange) {
  const options = names.map((name, i) => element("option", { value: i }, name));
  const select = element("select", { "data-lm-suppress-shortcuts": "true" }, ...options);
  select.addEventListener("change", () => onChange(values[select.selectedIndex]));
  return {
    root: element("label", { class: "menu" }, `${label} `, select),
    show(value) {
      select.selectedIndex = values.indexOf(value);
    },
  };
}

/** Horizontal bars in named rows, one below the other. A length of 1 is the whole width. */
export function shareBars() {
  const root = element("div", { class: "shares" });
  return {
    root,
    /** `rows`: [{name, lines: [[{length, colour}]], text}]: in each line the parts stand one behind the other. */
    show(rows, description) {
      alt(root, description);
      root.replaceChildren(...rows.flatMap(({ name, lines, text }) => [
        element("span", {}, name),
        element("span", { class: "lines" }, ...lines.map((parts) => element("span", {}, ...parts.map(({ length, colour }) =>
          element("span", { style: `width: ${100 * length}%; background: ${colour}` }))))),
        element("span", { class: "said" }, text),
      ]));
    },
  };
}
