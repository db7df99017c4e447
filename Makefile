# SPDX-License-Identifier: BSD-2-Clause
#
#   make               build/dnstap-bpf
#   make lib           build/libdnstap-emit.a, its header and pkg-config file
#   sudo make run      install what is missing, build, and tap this host to the terminal
#   sudo make check    install what the tests need, build, and run every test
#   sudo make check-full    the same with every cut of every capture, larger comparisons, and the
#                           Debian package's life in a fresh root, and check-memory
#   sudo make check-kernels live tests under the kernels of four Debian releases, in virtual machines
#   sudo make check-memory  the end-to-end tests under the sanitizers, a part under valgrind
#   sudo make coverage which lines and branches of user/ the tests run: build/coverage/index.html
#   make lint          clang's warnings, clang-tidy and cppcheck; part of `check`
#   sudo make fuzz SECONDS=60    each fuzzer for so long; what they find stays in build/fuzz/
#   sudo make bench    what the tap costs: a table, a plot and the raw figures in build/bench/
#   sudo make soak     half an hour of load and trouble; SECONDS=1800
#   make install       DESTDIR= PREFIX=/usr/local: program, service, manual, completion, library
#   make deb           a Debian package, in build/
#   make clean
#
# BUILD=dir puts everything elsewhere; V=1 shows the commands; SINKS='...' is what `run` sends to.
# CASES=knot,replay ROUNDS=5 LOAD_SECONDS=1 WATCHERS=none,perf-full narrow `bench`.

BUILD   ?= build
CC      ?= gcc
CLANG   ?= clang
ifneq ($(words $(CURDIR) $(BUILD)),2)
$(error make cannot work where a folder's name has a space: $(CURDIR), BUILD=$(BUILD))
endif
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /sbin/bpftool) bpftool)
SINKS   ?= - full

# The version comes from git's tags and commits; without git it is RELEASE.
RELEASE := 0.1.0
ifndef VERSION
VERSION := $(shell scripts/version $(RELEASE))
endif

# What a newer library would rather not have used is no error; WARNINGS= is for newer compilers'.
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla -Wwrite-strings -Wundef -Wno-error=deprecated-declarations
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
HARDENED_LINK := -pie -Wl,-z,relro,-z,now
CFLAGS  ?= -O2 -g
SANITIZE :=
# Two builds of one commit are identical, wherever they are made.
PREFIX_MAP := -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(abspath $(BUILD))=build \
	-ffile-prefix-map=$(BUILD)=build
override CFLAGS += -std=c11 -D_GNU_SOURCE $(WARNINGS) $(PREFIX_MAP) $(SANITIZE)
override CPPFLAGS += -I user -I bpf -I $(BUILD)/bpf -I $(BUILD)/proto
LIBS    := -lbpf -lprotobuf-c -lfstrm -lpcap -lcares -lssl -lcrypto -lyaml -lsystemd -lseccomp -lcap-ng -lmicrohttpd -lpthread

ROOMS   := base wire exchange dnstap sink capture agent
SOURCES := $(foreach room,$(ROOMS),$(sort $(wildcard user/$(room)/*.c)))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/proto/dnstap.pb-c.o
TESTS   := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/test_*.c tests/bpf/test_*.c \
	tests/failures/test_*.c)))

Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2);)

NEEDS_ROOT = $(if $(filter -r% --read%,$(SINKS)),,$(filter-out 0,$(shell id -u)))

# What root makes on behalf of a user belongs to the user.
own = if [ -n "$$SUDO_UID" ]; then chown -R "$$SUDO_UID:$$SUDO_GID" $(BUILD); fi

.PHONY: all lib run check check-full bench soak fuzz fuzzers unit corpora floors clean manual install \
	install-library deb check-kernels check-memory coverage lint clang-check tidy cppcheck objects
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/dnstap-bpf

# A live tap needs root; `make run SINKS='-r capture.pcap -'` does not.
run:
	$(if $(NEEDS_ROOT),$(error a tap of this host needs root: sudo make run))
	$(Q)scripts/install-deps build
	$(Q)$(MAKE) --no-print-directory all; status=$$?; $(own); exit $$status
	$(Q)exec scripts/run-until-interrupted $(BUILD)/dnstap-bpf $(SINKS)

check:
	$(Q)scripts/install-deps $(if $(DNSTAP_BPF_FULL),full,test)
	$(Q)BUILD=$(BUILD) scripts/check; status=$$?; $(own); exit $$status

check-full: export DNSTAP_BPF_FULL := 1
check-full: export DNSTAP_BPF_CUTS := 100
check-full: export DNSTAP_BPF_RESTARTS := 100
check-full: export DNSTAP_BPF_ORACLE_MESSAGES := 60000
check-full: check

bench:
	$(Q)scripts/install-deps bench
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/bench/collector && \
		DNSTAP_BPF=$(BUILD)/dnstap-bpf BENCH_COLLECTOR=$(BUILD)/tests/bench/collector \
		/usr/bin/python3 tests/bench/bench.py --output $(BUILD)/bench $(CASES) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(LOAD_SECONDS),--seconds $(LOAD_SECONDS)) \
		$(if $(WATCHERS),--watchers $(WATCHERS)); status=$$?; $(own); exit $$status

soak:
	$(Q)scripts/install-deps test
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/bench/collector && \
		DNSTAP_BPF=$(BUILD)/dnstap-bpf BENCH_COLLECTOR=$(BUILD)/tests/bench/collector \
		/usr/bin/python3 tests/soak/soak.py --seconds $(or $(SECONDS),1800); status=$$?; \
		$(own); exit $$status

# KERNELS='bullseye sid' takes some of them.
KERNELS ?= bullseye bookworm trixie sid
check-kernels:
	$(Q)scripts/install-deps test
	$(Q)$(MAKE) --no-print-directory all && DNSTAP_BPF=$(BUILD)/dnstap-bpf BUILD=$(BUILD) \
		DNSTAP_BPF_KERNELS='$(KERNELS)' /usr/bin/python3 -m pytest -v -rsP -p no:cacheprovider \
		tests/e2e/test_kernels.py; status=$$?; $(own); exit $$status

check-memory:
	$(Q)scripts/install-deps memory
	$(Q)BUILD=$(BUILD) scripts/memory; status=$$?; $(own); exit $$status

coverage:
	$(Q)scripts/install-deps coverage
	$(Q)BUILD=$(BUILD) scripts/coverage; status=$$?; $(own); exit $$status

# Warnings of clang's are errors too, in everything that is compiled.
objects: $(OBJECTS) $(patsubst %.c,$(BUILD)/%.o,$(foreach room,unit bpf failures fuzz bench,\
	$(wildcard tests/$(room)/*.c)))
clang-check:
	$(Q)$(MAKE) --no-print-directory CC=$(CLANG) BUILD=$(BUILD)/clang objects

# .clang-tidy says which checks. A file is looked at again when its object is made again.
tidy: $(SOURCES:%.c=$(BUILD)/tidy/%.ok)
$(BUILD)/tidy/%.ok: %.c $(BUILD)/%.o .clang-tidy
	$(Q)mkdir -p $(@D)
	$(call say,TIDY,$<)clang-tidy --quiet $< -- -I user -I bpf -isystem $(BUILD)/bpf \
		-isystem $(BUILD)/proto -std=c11 -D_GNU_SOURCE -DVERSION='""' >$@.log 2>/dev/null || \
		{ cat $@.log; exit 1; }
	$(Q)touch $@

# Not asked: what -Wshadow says better (it takes `close(*fd)` for a declaration), declarations in
# the innermost block (not this style), members that only readers use (each table's reasons), and
# its experimental look across files, which takes the address of an array for a use of it.
CPPCHECK := --quiet --error-exitcode=1 --std=c11 --language=c --inline-suppr \
	--enable=warning,style,performance,portability --suppress=variableScope \
	--suppress=shadowVariable --suppress=shadowFunction --suppress=unusedStructMember \
	--suppress=ctuuninitvar -D_GNU_SOURCE -DVERSION='""' \
	-D'bpf_object__for_each_program(one,all)=while(next(one,all))' -I user -I bpf
cppcheck:
	$(Q)mkdir -p $(BUILD)/cppcheck
	$(call say,CPPCHECK,user)cppcheck $(CPPCHECK) --cppcheck-build-dir=$(BUILD)/cppcheck user

lint: clang-check tidy cppcheck

fuzz:
	$(Q)scripts/install-deps test
	$(Q)scripts/fuzz $(BUILD)/fuzz $(or $(SECONDS),60) $(NAMES); status=$$?; $(own); exit $$status

floors:
	$(Q)scripts/check-floors

unit: $(TESTS)
	$(Q)scripts/check-wraps $(BUILD)
	$(Q)scripts/run-unit $(TESTS)

clean:
	$(Q)rm -rf $(BUILD)

$(BUILD)/dnstap-bpf: $(OBJECTS)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(HARDENING) $(HARDENED_LINK) $(LDFLAGS) -o $@ $^ $(LIBS)

# The emitting half as a library: one object in which only dnstap_emit_* is visible.
LIB_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(foreach room,base wire dnstap sink,\
	$(sort $(wildcard user/$(room)/*.c)))) $(BUILD)/proto/dnstap.pb-c.o
lib: $(BUILD)/libdnstap-emit.a $(BUILD)/dnstap-emit.h $(BUILD)/dnstap-emit.pc

$(BUILD)/libdnstap-emit.a: $(LIB_OBJECTS)
	$(call say,AR,$@)$(LD) -r -o $(BUILD)/dnstap-emit.o $^
	$(Q)objcopy --wildcard --keep-global-symbol='dnstap_emit_*' $(BUILD)/dnstap-emit.o
	$(Q)rm -f $@; $(AR) rcsD $@ $(BUILD)/dnstap-emit.o

$(BUILD)/dnstap-emit.h: user/sink/dnstap-emit.h
	$(Q)mkdir -p $(@D); cp $< $@

# The version is compiled into one object, which is built again when it changes.
$(BUILD)/user/agent/run.o: CPPFLAGS += -DVERSION='"$(VERSION)"'
$(BUILD)/user/agent/run.o: $(BUILD)/version
$(BUILD)/version: FORCE
	$(Q)mkdir -p $(@D); echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
.PHONY: FORCE

# What was made with other flags is made again. Every object waits for this.
NEEDED := libbpf >= 1.0 openssl >= 3.0
$(BUILD)/flags: FORCE
	$(Q)command -v pkg-config >/dev/null || \
		{ echo "packages are missing: sudo scripts/install-deps build" >&2; exit 1; }
	$(Q)pkg-config --exists '$(NEEDED)' || { echo "$(NEEDED) is needed, as Debian 12 and later" \
		"have it: sudo scripts/install-deps build; here:" $$(for i in libbpf openssl; do \
		echo $$i; pkg-config --silence-errors --modversion $$i || echo none; done) >&2; exit 1; }
	$(Q)mkdir -p $(@D) && echo '$(CC) $(CLANG) $(CPPFLAGS) $(CFLAGS) $(HARDENING)' >$@.new && \
		{ cmp -s $@.new $@ || cp $@.new $@; }

$(BUILD)/%.o: %.c $(BUILD)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(HARDENING) -MMD -MP -c -o $@ $<

$(BUILD)/user/capture/loader.o $(BUILD)/user/capture/settings.o: $(BUILD)/bpf/capture.skel.h
$(patsubst %,$(BUILD)/%,$(patsubst %.c,%.o,$(wildcard tests/bpf/*.c))): $(BUILD)/bpf/capture.skel.h
$(BUILD)/user/dnstap/message.o $(BUILD)/tests/unit/test_dnstap_message.o: $(BUILD)/proto/dnstap.pb-c.h

$(BUILD)/proto/dnstap.pb-c.c $(BUILD)/proto/dnstap.pb-c.h &: proto/dnstap.proto
	$(Q)mkdir -p $(@D)
	$(call say,PROTOC,$<)protoc-c --c_out=$(@D) -I proto $<

# Generated code is not ours to warn about.
$(BUILD)/proto/dnstap.pb-c.o: $(BUILD)/proto/dnstap.pb-c.c $(BUILD)/flags
	$(call say,CC,$<)$(CC) $(CPPFLAGS) -O2 -g -std=c11 -fPIE $(PREFIX_MAP) $(SANITIZE) -c -o $@ $<

# clang has no path to the multiarch headers when the target is BPF.
BPF_INCLUDES := -I bpf -idirafter /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)
$(BUILD)/bpf/capture.bpf.o: bpf/capture.bpf.c $(wildcard bpf/*.h) $(BUILD)/flags
	$(Q)mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Werror $(PREFIX_MAP) $(BPF_INCLUDES) -c -o $@.full $<
	$(Q)$(BPFTOOL) gen object $@ $@.full

$(BUILD)/bpf/capture.skel.h: $(BUILD)/bpf/capture.bpf.o
	$(call say,SKEL,$@){ echo '/* NOLINTBEGIN: not ours to look at */' && \
		$(BPFTOOL) gen skeleton $< name capture && echo '/* NOLINTEND */'; } >$@

# A test is one program linked with every room but main.
TEST_OBJECTS := $(filter-out $(BUILD)/user/agent/main.o,$(OBJECTS))
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_OBJECTS)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(HARDENING) $(HARDENED_LINK) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

# Here the calls for which wraps_*.o have a __wrap_ go there.
FAILURES := $(filter $(BUILD)/tests/failures/%,$(TESTS))
WRAPS    := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/failures/wraps_*.c))
$(FAILURES): $(BUILD)/tests/failures/%: $(BUILD)/tests/failures/%.o \
		$(BUILD)/tests/failures/failures.o $(BUILD)/tests/failures/scene.o $(WRAPS) $(TEST_OBJECTS)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(HARDENING) $(HARDENED_LINK) $(LDFLAGS) \
		$$(nm $(WRAPS) | sed -n 's/.* T __wrap_/-Wl,--wrap=/p') -o $@ $^ $(LIBS) -lcmocka

# A fuzz harness is the same, called by libFuzzer or (files.c) with the files of its corpus.
FUZZERS     := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_DRIVER ?= $(BUILD)/tests/fuzz/files.o
FUZZ_WRAPS  := -Wl,--wrap=getrandom,--wrap=table_new,--wrap=malloc,--wrap=calloc,--wrap=free
fuzzers: $(FUZZERS)
corpora: $(FUZZERS)
	$(Q)for fuzzer in $^; do \
		timeout -k 5 120 $$fuzzer tests/fuzz/corpus/$${fuzzer##*/} || exit 1; done

$(BUILD)/tests/fuzz/fuzz_options: FUZZ_WRAPS += -Wl,--wrap=if_indextoname
$(BUILD)/tests/fuzz/fuzz_pipeline: FUZZ_WRAPS += \
	-Wl,--wrap=sink_offer,--wrap=sink_flush,--wrap=sink_url,--wrap=sink_read_counts \
	-Wl,--wrap=copies_new,--wrap=fragments_new
$(BUILD)/tests/fuzz/fuzz_pipeline.o: $(BUILD)/proto/dnstap.pb-c.h
$(FUZZERS): $(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(FUZZ_DRIVER) \
		$(patsubst %,$(BUILD)/tests/fuzz/%.o,heard tables blocks) $(TEST_OBJECTS)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(HARDENING) $(HARDENED_LINK) $(LDFLAGS) $(FUZZ_WRAPS) \
		-o $@ $^ $(LIBS)

# The bench's own collector knows nothing of the tap.
$(BUILD)/tests/bench/collector: tests/bench/collector.c
	$(Q)mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -O2 -g -std=c11 -D_GNU_SOURCE $(WARNINGS) -o $@ $<

# Installation and the Debian package: targets install and deb.
include scripts/deploy/install.mk

-include $(OBJECTS:.o=.d) $(TESTS:=.d) $(FUZZERS:=.d)
