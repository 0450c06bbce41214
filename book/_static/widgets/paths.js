// The widget manager finds anywidget, and its own fonts, beside this file, and so asks no content delivery network.
{
    const here = new URL(".", document.currentScript.src).href;
    requirejs.config({ paths: { anywidget: `${here}anywidget`, "@jupyter-widgets/html-manager/dist": here.slice(0, -1) } });
}
