# conf.py - how Sphinx makes the site of the documents; see ./dev docs.
# SPDX-License-Identifier: MIT
import os
import re

here = os.path.dirname(__file__)
with open(os.path.join(here, "../../include/casting.h")) as header:
    release = re.search(r'CASTING_VERSION "(.*)"', header.read()).group(1)

project = "casting"
html_title = "casting " + release
extensions = ["myst_parser"]
root_doc = "index"
myst_heading_anchors = 4  # the anchors that links in the documents use
highlight_language = "none"  # of indented blocks, which are what one types
smartquotes = False  # a quote may be Lua's
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_use_index = False
html_domain_indices = False
html_js_files = ["site.js"]

# Debian's copy of the theme leaves two files to be bundled: a style sheet that
# it imports from the server's root, and a script that it imports as a module. A
# site on a disk can do neither, so they are put where they are imported.
BUNDLED = [
    ("styles/furo.css",
     "@import url(/javascript/normalize.css/normalize.css);",
     "/usr/share/javascript/normalize.css/normalize.css"),
    ("scripts/furo.js",
     'import Gumshoe from "./gumshoe-patched.js";',
     "gumshoe-patched.js"),
]


def bundle(app, problem):
    for name, statement, other in BUNDLED:
        path = os.path.join(app.outdir, "_static", name)
        if problem or not os.path.exists(path):
            return
        with open(path, encoding="utf-8") as f:
            text = f.read()
        other = os.path.join(os.path.dirname(path), other)
        if statement in text and os.path.exists(other):
            with open(other, encoding="utf-8") as f:
                text = text.replace(statement, f.read())
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)


def setup(app):
    app.connect("build-finished", bundle)
