# check.py - the site has what its pages name, and asks no other host.
# SPDX-License-Identifier: MIT
#
#   check.py DIR     prints PAGE: what is wrong; exit status 1 if anything
#
# Each link inside the site leads to a file, and to an anchor that is there.
# Scripts, pictures and style sheets are the site's own. Links to other hosts
# are for people to follow; nothing is loaded from there.
import os
import re
import sys
from html.parser import HTMLParser
from urllib.parse import unquote


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.parts = set(), [], []
        with open(path, encoding="utf-8") as f:
            self.feed(f.read())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(filter(None, [attributes.get("id"),
                                          attributes.get("name")]))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag == "link" and attributes.get("href"):
            self.parts.append(attributes["href"])
        elif attributes.get("src"):
            self.parts.append(attributes["src"])


def files(extension):
    for where, _, names in os.walk(top):
        for name in names:
            if name.endswith(extension):
                yield os.path.normpath(os.path.join(where, name))


def complain(path, text):
    problems.append("%s: %s" % (os.path.relpath(path, top), text))


def target_of(path, link):
    link = unquote(re.sub("[?#].*", "", link))
    if not link:
        return path
    return os.path.normpath(os.path.join(os.path.dirname(path), link))


def check_page(path, page):
    for link in page.links + page.parts:
        if re.match("[a-z]+:|//", link):
            if link in page.parts and not link.startswith("data:"):
                complain(path, "loads " + link)
            continue
        found = target_of(path, link)
        anchor = unquote(link.partition("#")[2])
        if not os.path.isfile(found):
            complain(path, "there is no " + link)
        elif anchor and found in pages and anchor not in pages[found].anchors:
            complain(path, "no anchor for " + link)


def check_styles(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for link in re.findall(r"url\(['\"]?([^)'\"]+)", text):
        if not link.startswith("data:") and \
                not os.path.isfile(target_of(path, link)):
            complain(path, "loads " + link)


top, problems = sys.argv[1], []
pages = {path: Page(path) for path in files(".html")}
for path, page in sorted(pages.items()):
    check_page(path, page)
for path in files(".css"):
    check_styles(path)
print("\n".join(problems) or "%d pages, %d links" %
      (len(pages), sum(len(page.links) for page in pages.values())))
sys.exit(1 if problems or not pages else 0)
