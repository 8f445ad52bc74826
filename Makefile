# Builds and installs the shared library, its header and its pkg-config file, as users of C expect it:
#
#     make && sudo make install && sudo ldconfig       # to /usr/local
#     make install PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu DESTDIR=debian/tmp
#
# Everything else is cargo's. (Packagers who use cargo-c: see ARCHITECTURE.md, "The shared library".)

PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
# `PROFILE=dev` is built faster, and runs slower.
PROFILE = release
CARGO ?= cargo
INSTALL = install

# As build.rs has it.
SONAME = libbulk_rerun.so.1
LIBRARY = target/capi/$(PROFILE:dev=debug)/libbulk_rerun.so
of_package = $(shell sed -n 's/^$(1) = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)

all:
	$(CARGO) build --profile $(PROFILE) --lib --no-default-features --features capi --target-dir target/capi

$(LIBRARY):
	$(MAKE) all

install: $(LIBRARY)
	$(INSTALL) -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(INCLUDEDIR)"
	$(INSTALL) -m 755 $(LIBRARY) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libbulk_rerun.so"
	$(INSTALL) -m 644 include/bulk_rerun.h "$(DESTDIR)$(INCLUDEDIR)/bulk_rerun.h"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	    -e "s|@DESCRIPTION@|$(call of_package,description)|" -e 's|@VERSION@|$(call of_package,version)|' \
	    src/capi/bulk_rerun.pc.in > "$(DESTDIR)$(LIBDIR)/pkgconfig/bulk_rerun.pc"
	chmod 644 "$(DESTDIR)$(LIBDIR)/pkgconfig/bulk_rerun.pc"

uninstall:
	rm -f "$(DESTDIR)$(LIBDIR)/$(SONAME)" "$(DESTDIR)$(LIBDIR)/libbulk_rerun.so" \
	    "$(DESTDIR)$(LIBDIR)/pkgconfig/bulk_rerun.pc" "$(DESTDIR)$(INCLUDEDIR)/bulk_rerun.h"

.PHONY: all install uninstall
