# words.mk - the most frequent words of some documents.
# SPDX-License-Identifier: MIT
#
# For examples/make.lua, and for make: try -j 4, twice.

.PHONY: all clean

all: build/words/most
	@echo the ten most frequent words:
	@head -n 10 build/words/most

build/words/most: build/words/manual build/words/tutorial build/words/design
	cat $^ | awk '{n[$$2] += $$1} END {for (w in n) print n[w], w}' | sort -rn > $@

build/words/manual: docs/manual/net.md docs/manual/tasks.md docs/manual/values.md
	@mkdir -p build/words
	cat $^ | tr -cs 'A-Za-z' '\n' | sort | uniq -c > $@

build/words/tutorial: docs/tutorial.md docs/patterns.md
	@mkdir -p build/words
	cat $^ | tr -cs 'A-Za-z' '\n' | sort | uniq -c > $@

build/words/design: docs/DESIGN.md
	@mkdir -p build/words
	cat $^ | tr -cs 'A-Za-z' '\n' | sort | uniq -c > $@

clean:
	rm -rf build/words
