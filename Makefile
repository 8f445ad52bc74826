# Builds and installs the shared library, its header and its pkg-config file, as users of C expect it:
#
#     make && sudo make install && sudo ldconfig       # to /usr/local
#     make install PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu DESTDIR=debian/tmp
#
# and the command line tool, with its manual pages, what shells complete, and a unit for systemd:
#
#     make tool && sudo make install-tool
#
# Everything else is cargo's. (Packagers who use cargo-c: see ARCHITECTURE.md, "The shared library".)

PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
BINDIR = $(PREFIX)/bin
DATADIR = $(PREFIX)/share
MANDIR = $(DATADIR)/man
BASHDIR = $(DATADIR)/bash-completion/completions
ZSHDIR = $(DATADIR)/zsh/site-functions
FISHDIR = $(DATADIR)/fish/vendor_completions.d
UNITDIR = $(PREFIX)/lib/systemd/system
# `PROFILE=dev` is built faster, and runs slower.
PROFILE = release
CARGO ?= cargo
INSTALL = install

# As build.rs has it.
SONAME = libbulk_rerun.so.1
LIBRARY = target/capi/$(PROFILE:dev=debug)/libbulk_rerun.so
TOOL = target/$(PROFILE:dev=debug)/bulk-rerun
UNIT = bulk-rerun-serve.service
# What Cargo.toml says of the package. Scripts ask `make --silent version`.
of_package = $(shell sed -n 's/^$(1) = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)

all:
	$(CARGO) build --profile $(PROFILE) --lib --no-default-features --features capi --target-dir target/capi

tool:
	$(CARGO) build --profile $(PROFILE) --bin bulk-rerun

$(LIBRARY):
	$(MAKE) all

$(TOOL):
	$(MAKE) tool

install: $(LIBRARY)
	$(INSTALL) -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(INCLUDEDIR)"
	$(INSTALL) -m 755 $(LIBRARY) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libbulk_rerun.so"
	$(INSTALL) -m 644 include/bulk_rerun.h "$(DESTDIR)$(INCLUDEDIR)/bulk_rerun.h"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	    -e "s|@DESCRIPTION@|$(call of_package,description)|" -e 's|@VERSION@|$(call of_package,version)|' \
	    src/capi/bulk_rerun.pc.in > "$(DESTDIR)$(LIBDIR)/pkgconfig/bulk_rerun.pc"
	chmod 644 "$(DESTDIR)$(LIBDIR)/pkgconfig/bulk_rerun.pc"
	@[ -n "$(DESTDIR)" ] || echo "Now run as root: ldconfig (programs do not find $(SONAME) before)"

install-tool: $(TOOL)
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(BASHDIR)" "$(DESTDIR)$(ZSHDIR)" \
	    "$(DESTDIR)$(FISHDIR)" "$(DESTDIR)$(UNITDIR)"
	$(INSTALL) -m 755 $(TOOL) "$(DESTDIR)$(BINDIR)/bulk-rerun"
	umask 022 && $(TOOL) man --dir "$(DESTDIR)$(MANDIR)/man1"
	umask 022 && $(TOOL) completions bash > "$(DESTDIR)$(BASHDIR)/bulk-rerun"
	umask 022 && $(TOOL) completions zsh > "$(DESTDIR)$(ZSHDIR)/_bulk-rerun"
	umask 022 && $(TOOL) completions fish > "$(DESTDIR)$(FISHDIR)/bulk-rerun.fish"
	umask 022 && sed -e 's|@BINDIR@|$(BINDIR)|' packaging/systemd/$(UNIT) > "$(DESTDIR)$(UNITDIR)/$(UNIT)"

uninstall:
	rm -f "$(DESTDIR)$(LIBDIR)/$(SONAME)" "$(DESTDIR)$(LIBDIR)/libbulk_rerun.so" \
	    "$(DESTDIR)$(LIBDIR)/pkgconfig/bulk_rerun.pc" "$(DESTDIR)$(INCLUDEDIR)/bulk_rerun.h"

uninstall-tool:
	rm -f "$(DESTDIR)$(BINDIR)/bulk-rerun" "$(DESTDIR)$(MANDIR)/man1/bulk-rerun.1" "$(DESTDIR)$(MANDIR)"/man1/bulk-rerun-*.1 \
	    "$(DESTDIR)$(BASHDIR)/bulk-rerun" "$(DESTDIR)$(ZSHDIR)/_bulk-rerun" "$(DESTDIR)$(FISHDIR)/bulk-rerun.fish" \
	    "$(DESTDIR)$(UNITDIR)/$(UNIT)"

version:
	@echo $(call of_package,version)

.PHONY: all tool install install-tool uninstall uninstall-tool version
