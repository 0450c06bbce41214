// The widget manager asks MathJax 2 to typeset the formulas of labels. Here is MathJax 3.
addEventListener("DOMContentLoaded", () => {
    if (window.MathJax?.typesetPromise || window.MathJax?.startup) {
        MathJax.Hub = { Queue: ([, , element]) => MathJax.startup.promise.then(() => MathJax.typesetPromise([element])) };
    }
});
