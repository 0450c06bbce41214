// Formulas as SVG, which needs no fonts, each with its own letters, so that the speaker's window can copy it.
window.MathJax = {
  startup: { pageReady: () => MathJax.startup.defaultPageReady().then(fit) },
  tex: { inlineMath: [["$", "$"]], displayMath: [["$$", "$$"]], processEnvironments: true },
  svg: { fontCache: "none" },
  options: { enableMenu: false, skipHtmlTags: ["script", "style", "textarea", "pre", "code"] },
};

// Letters as large as the slide allows, when its formulas have their sizes. A picture takes what the text leaves.
function fit() {
  for (const slide of document.querySelectorAll(".slides > section")) {
    const shown = [...slide.children].filter((part) => part.tagName !== "ASIDE");
    const end = () => Math.max(...shown.map((part) => part.offsetTop + part.offsetHeight));
    let text = slide.querySelector(".picture") ? 30 : slide.querySelector("pre, table, blockquote") ? 38 : 46;
    do slide.style.setProperty("--text", `${text}px`);
    while (end() > 720 - 44 && (text -= 2) >= 26);
  }
}

if (window.Reveal) {
  Reveal.initialize({
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
  // Arrow keys on an explorer's slider move the slider, not the lecture.
  for (const explorer of document.querySelectorAll(".explorer")) {
    explorer.addEventListener("keydown", (event) => event.stopPropagation());
  }
}
