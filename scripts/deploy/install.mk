# SPDX-License-Identifier: BSD-2-Clause
# Included by the Makefile: what is generated for an installation, `make install` and `make deb`.

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system

SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),0)
export SOURCE_DATE_EPOCH

DEPLOYED := $(addprefix $(BUILD)/deploy/,dnstap-bpf.8 dnstap-bpf.yaml.5 dnstap-emit.3 \
	completion.bash dnstap-bpf.service)
manual: $(DEPLOYED)

SUBSTITUTE = sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@BINDIR@|$(BINDIR)|; \
	s|@SYSCONFDIR@|$(SYSCONFDIR)|; s|@VERSION@|$(VERSION)|; \
	s|@DATE@|'"$$(date -u -d @$(SOURCE_DATE_EPOCH) +%F)"'|'

# What depends on where things are installed is made again when that changes.
$(BUILD)/places: FORCE
	$(Q)mkdir -p $(@D) && \
		echo '$(VERSION) $(PREFIX) $(BINDIR) $(LIBDIR) $(SYSCONFDIR)' >$@.new && \
		{ cmp -s $@.new $@ || cp $@.new $@; }

$(BUILD)/scripts/deploy/describe: $(BUILD)/scripts/deploy/describe.o $(TEST_OBJECTS)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(HARDENING) $(HARDENED_LINK) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/deploy/%: scripts/deploy/%.in $(BUILD)/scripts/deploy/describe $(BUILD)/places
	$(Q)mkdir -p $(@D)
	$(Q)$(BUILD)/scripts/deploy/describe $< >$@.new && $(SUBSTITUTE) $@.new >$@; rm -f $@.new

$(BUILD)/deploy/dnstap-bpf.service: scripts/deploy/systemd/dnstap-bpf.service.in $(BUILD)/places
	$(Q)mkdir -p $(@D); $(SUBSTITUTE) $< >$@

$(BUILD)/deploy/dnstap-emit.3: scripts/deploy/dnstap-emit.3
	$(Q)mkdir -p $(@D); cp $< $@

$(BUILD)/dnstap-emit.pc: scripts/deploy/dnstap-emit.pc.in $(BUILD)/places
	$(Q)$(SUBSTITUTE) $< >$@

put = install -D -m $(1) $(2) "$(DESTDIR)$(3)"
SHARE = $(PREFIX)/share
EXAMPLES = $(SHARE)/doc/dnstap-bpf/examples

# A configuration that is there stays.
install: all manual install-library
	$(Q)$(call put,755,$(BUILD)/dnstap-bpf,$(BINDIR)/dnstap-bpf)
	$(Q)$(call put,644,$(BUILD)/deploy/dnstap-bpf.8,$(SHARE)/man/man8/dnstap-bpf.8)
	$(Q)$(call put,644,$(BUILD)/deploy/dnstap-bpf.yaml.5,$(SHARE)/man/man5/dnstap-bpf.yaml.5)
	$(Q)$(call put,644,$(BUILD)/deploy/completion.bash,$(SHARE)/bash-completion/completions/dnstap-bpf)
	$(Q)$(call put,644,$(BUILD)/deploy/dnstap-bpf.service,$(UNITDIR)/dnstap-bpf.service)
	$(Q)$(call put,644,scripts/deploy/systemd/dnstap-bpf.sysusers,$(PREFIX)/lib/sysusers.d/dnstap-bpf.conf)
	$(Q)$(call put,644,scripts/deploy/systemd/dnstap-bpf.tmpfiles,$(PREFIX)/lib/tmpfiles.d/dnstap-bpf.conf)
	$(Q)$(call put,644,scripts/deploy/systemd/containers.conf,$(EXAMPLES)/containers.conf)
	$(Q)$(call put,644,scripts/deploy/dnstap-bpf.yaml,$(EXAMPLES)/dnstap-bpf.yaml)
	$(Q)$(call put,644,scripts/deploy/alerts.yaml,$(EXAMPLES)/alerts.yaml)
	$(Q)$(call put,644,scripts/deploy/grafana-dashboard.json,$(EXAMPLES)/grafana-dashboard.json)
	$(Q)[ -e "$(DESTDIR)$(SYSCONFDIR)/dnstap-bpf/dnstap-bpf.yaml" ] || \
		$(call put,644,scripts/deploy/dnstap-bpf.yaml,$(SYSCONFDIR)/dnstap-bpf/dnstap-bpf.yaml)
	$(Q)$(own)

install-library: lib manual
	$(Q)$(call put,644,$(BUILD)/libdnstap-emit.a,$(LIBDIR)/libdnstap-emit.a)
	$(Q)$(call put,644,$(BUILD)/dnstap-emit.h,$(PREFIX)/include/dnstap-emit.h)
	$(Q)$(call put,644,$(BUILD)/dnstap-emit.pc,$(LIBDIR)/pkgconfig/dnstap-emit.pc)
	$(Q)$(call put,644,$(BUILD)/deploy/dnstap-emit.3,$(SHARE)/man/man3/dnstap-emit.3)
	$(Q)$(own)

deb:
	+$(Q)BUILD=$(BUILD) VERSION='$(VERSION)' scripts/deploy/debian/build-packages; status=$$?; $(own); exit $$status
