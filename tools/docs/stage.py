# stage.py - puts the documents where Sphinx can make the site of them.
# SPDX-License-Identifier: MIT
#
#   stage.py DIR     empties DIR and writes the documents there
#
# The documents are those that one reads in the repository. Three things differ:
# - a README.md is index.md, so that a folder's address shows it;
# - a source file or folder to which a document links is a page as well, with
#   the file's text, or the list of the folder's files;
# - the pages have a place in the navigation: NAVIGATION below, and, under the
#   index page of a folder, the documents of that folder that it lists.
import os
import re
import shutil
import subprocess
import sys

NAVIGATION = [
    ("Learn", ["Tutorial <docs/tutorial>", "Patterns <docs/patterns>",
               "Coming from elsewhere <docs/coming-from>"]),
    ("Reference", ["Manual <docs/manual/index>", "Casting in C <docs/c-api>",
                   "C functions <docs/c-functions>"]),
    ("How it works", ["Design <docs/DESIGN>", "Concurrency <docs/CONCURRENCY>",
                      "Glossary <docs/GLOSSARY>", "Source files <src/index>",
                      "Optional modules <modules/index>",
                      "Models <tests/model/index>"]),
    ("How fast it is", ["Results <docs/benchmarks>", "Programs <bench/index>"]),
    ("The project", ["Contributing <CONTRIBUTING>", "Security <SECURITY>",
                     "Changes <CHANGELOG>"]),
]
FOLDERS = ["docs/manual", "src", "src/lua", "modules"]  # with pages in the navigation
LANGUAGES = {".c": "c", ".h": "c", ".lua": "lua", ".sh": "sh"}
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")

root = os.path.normpath(os.path.join(os.path.dirname(__file__), "../.."))


def find_documents():
    for where, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in (".git", "build")]
        for name in files:
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(where, name), root)


def read(path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def write(path, text):
    path = os.path.join(target, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def page_of(path):
    """The path of the page that shows a file or folder of the repository."""
    if os.path.isdir(os.path.join(root, path)):
        readme = os.path.join(path, "README.md")
        if os.path.exists(os.path.join(root, readme)):
            return page_of(readme)
        return os.path.join(path, "index.md")
    folder, name = os.path.split(path)
    if name == "README.md":
        return os.path.join(folder, "index.md")
    return path if name.endswith(".md") else path + ".md"


def follow(document, link):
    """What a link leads to, as a path of the repository; None: elsewhere."""
    if re.match(r"[a-z]+:", link):
        return None
    path = os.path.normpath(os.path.join(os.path.dirname(document), link))
    return path if os.path.exists(os.path.join(root, path)) else None


def is_code(text, at):
    """Is this place in a block of code?"""
    line = text.rfind("\n", 0, at) + 1
    return text.startswith("    ", line) or text.count("\n```", 0, at) % 2 == 1


def write_document(path, text, sources):
    """Writes a document with its links changed; adds what it links to."""
    # This page is made for the site, so in the repository it cannot be a link.
    text = text.replace("*C functions*", "[C functions](c-functions.md)")

    def change(match):
        found = follow(path, match.group(2))
        if found is None or is_code(text, match.start()):
            return match.group(0)
        if found.endswith(".svg"):
            where = os.path.join(target, found)
            os.makedirs(os.path.dirname(where), exist_ok=True)
            shutil.copy(os.path.join(root, found), where)
            return match.group(0)
        if not found.endswith(".md"):
            sources.add(found)
        here = os.path.dirname(page_of(path)) or "."
        link = os.path.relpath(page_of(found), here)
        return match.group(1) + link + match.group(3)

    write(page_of(path), LINK.sub(change, text) + toctree_of(path, text))


def toctree(caption, pages):
    lines = ["", "```{toctree}", ":hidden:"]
    if caption:
        lines.append(":caption: " + caption)
    return "\n".join(lines + [""] + pages + ["```", ""])


def toctree_of(path, text):
    if path == "README.md":
        return "".join(toctree(*part) for part in navigation)
    folder, name = os.path.split(path)
    if folder not in FOLDERS or name not in ("README.md", "index.md"):
        return ""
    pages = []
    for link in LINK.finditer(text):
        line = text.rfind("\n", 0, link.start()) + 1
        if text[line:line + 2] not in ("- ", "| "):
            continue  # it is said in passing
        found = follow(path, link.group(2))
        if found and found.endswith(".md") and found in documents and \
                found.startswith(folder + "/") and found != path:
            page = os.path.relpath(page_of(found), folder)[:-3]
            if page not in pages:
                pages.append(page)
    for found in documents:  # of a folder below that nobody lists
        page = os.path.relpath(page_of(found), folder)[:-3]
        if re.match(r"\w+/index$|\w+$", page) and page not in pages and \
                found != path:
            pages.append(page)
    placed.update(os.path.join(folder, page) for page in pages)
    return toctree("", pages)


def write_source(path, sources):
    """A page for a source file, or for a folder of such."""
    head = "---\norphan: true\n---\n\n# %s\n\n" % path
    if os.path.isdir(os.path.join(root, path)):
        lines = []
        for name in sorted(os.listdir(os.path.join(root, path))):
            found = os.path.join(path, name)
            if found not in sources:
                sources.add(found)
                write_source(found, sources)
            page = os.path.relpath(page_of(found), path)
            lines.append("- [%s](%s)" % (name, page))
        write(page_of(path), head + "\n".join(lines) + "\n")
        return
    language = LANGUAGES.get(os.path.splitext(path)[1], "text")
    write(page_of(path), "%s~~~~~~~~%s\n%s\n~~~~~~~~\n" %
          (head, language, read(path).rstrip("\n")))


def place_others():
    """What nobody has given a place comes at the end of the navigation."""
    known = set(page[page.index("<") + 1:-1]
                for _, pages in NAVIGATION for page in pages) | placed
    others = [page_of(path)[:-3] for path in documents]
    others = [p for p in others if p not in known and p != "index"]
    if others:
        navigation.append(("More", others))


target = sys.argv[1]
navigation = list(NAVIGATION)
documents = sorted(find_documents())
placed = set()
sources = set()
shutil.rmtree(target, ignore_errors=True)
for document in documents:
    if document != "README.md":
        write_document(document, read(document), sources)
place_others()
write_document("README.md", read("README.md"), sources)
functions = subprocess.run(
    ["sh", os.path.join(root, "tools/gen/man.sh"), "--markdown"],
    check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
write_document("docs/c-functions.md", functions, sources)
for source in sorted(sources):
    write_source(source, sources)
