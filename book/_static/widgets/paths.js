// The widget manager finds anywidget beside this file, and so does not ask a content delivery network.
requirejs.config({ paths: { anywidget: new URL("anywidget", document.currentScript.src).href } });
