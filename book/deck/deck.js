// Formulas as SVG, which needs no fonts, each with its own letters, so that the speaker's window can copy it.
window.MathJax = {
  tex: { inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEnvironments: true },
  svg: { fontCache: "none" },
  options: { enableMenu: false, skipHtmlTags: ["script", "style", "textarea", "pre", "code"] },
  startup: { pageReady: () => Promise.all([MathJax.startup.defaultPageReady(), laidOut]).then(fit) },
};

// The first that a slide matches, and the size, in pixels, at which its letters begin.
const LARGEST = [
  [":has(.explorer)", 26],
  [".beside", 34],
  [":has(.picture)", 30],
  [":has(pre, table, blockquote)", 38],
  ["*", 46],
];

// Letters as large as the slide allows, when its formulas have their sizes. A picture takes what the text leaves.
function fit() {
  for (const slide of document.querySelectorAll(".slides section")) {
    const shown = [...slide.children].filter((part) => part.tagName !== "ASIDE");
    const runsOver = () =>
      shown.some((part) => part.offsetTop + part.offsetHeight > 720 - 44 || part.scrollWidth > part.clientWidth);
    const size = (name) => parseFloat(slide.style.getPropertyValue(name));
    const set = (name, pixels) => slide.style.setProperty(name, `${pixels}px`);
    set("--text", LARGEST.find(([kind]) => slide.matches(kind))[1]);
    while (runsOver() && size("--text") > 26) set("--text", size("--text") - 2);
    while (runsOver() && size("--letters") > 16) set("--letters", Math.max(16, size("--letters") - 1)); // those of code
  }
  // The speaker's window gets a copy of the notes without MathJax's style, which hides these doubles from the eye.
  for (const double of document.querySelectorAll(".notes mjx-assistive-mml")) double.remove();
  document.body.dataset.fitted = "yes";
}

let laidOut;
if (window.Reveal) {
  laidOut = Reveal.initialize({
    width: 1280,
    height: 720,
    margin: 0,
    center: false,
    display: "flex",
    hash: true,
    slideNumber: "c/t",
    transition: "none",
    viewDistance: 1000, // every slide is laid out at once: an explorer measures itself when it is drawn
    mobileViewDistance: 1000,
    plugins: [RevealNotes],
  });
  // To reveal.js every <section> is a slide; an explorer that is one must come as something else.
  const createElement = document.createElement.bind(document);
  document.createElement = (name, options) => {
    if (name !== "section") return createElement(name, options);
    const region = createElement("div");
    region.setAttribute("role", "region");
    return region;
  };
  for (const explorer of document.querySelectorAll(".explorer")) {
    // Arrow keys on an explorer's slider move the slider, not the lecture.
    explorer.addEventListener("keydown", (event) => event.stopPropagation());
    // While it is drawn: smaller, if that makes it fit. What is still too long is scrolled.
    const content = explorer.firstElementChild;
    const watch = new ResizeObserver(() => {
      content.style.zoom = 1;
      content.style.zoom = Math.max(0.8, Math.min(1, explorer.clientHeight / content.offsetHeight || 1));
    });
    for (const event of ["pointerdown", "keydown"]) explorer.addEventListener(event, () => watch.disconnect());
    watch.observe(content);
  }
}
