// What the theme and the widget manager leave undone. The manager makes its widgets later, when all has loaded.
addEventListener("DOMContentLoaded", () => {
    // The manager asks MathJax 2 to typeset the formulas of labels. Here is MathJax 3.
    if (window.MathJax?.startup) {
        MathJax.Hub = { Queue: ([, , element]) => MathJax.startup.promise.then(() => MathJax.typesetPromise([element])) };
    }
    // Two buttons of the theme are called by other words than they show, which misleads those who speak to a browser.
    document.querySelectorAll(".search-button-field").forEach((button) => button.removeAttribute("aria-label"));
    for (const icon of document.querySelectorAll(".theme-switch-button .theme-switch")) {
        icon.removeAttribute("title"); // before its font's script made a drawing of it, and after
        icon.removeAttribute("aria-labelledby");
        icon.setAttribute("aria-hidden", "true");
        icon.querySelector("title")?.remove();
    }
    // The manager's sliders have no name that a screen reader could say: they get that of the label beside them.
    const name = () => {
        for (const handle of document.querySelectorAll(".widget-slider .noUi-handle:not([aria-label])")) {
            const label = handle.closest(".widget-slider").querySelector(".widget-label");
            if (label?.textContent) handle.setAttribute("aria-label", label.textContent);
        }
    };
    new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
});
