# libexec, in one Makefile. `make help` lists the targets.
#
# What is built goes to build/VARIANT/, by the path of its source; `make VARIANT=asan check` is what `make check-asan`
# runs. No list of files is kept by hand: lib/*.c is the library; test/test_*.c, test/stress_*.c, test/fault_*.c,
# examples/*.c and bench/bench_*.c are one program each, linked with libexec.a; every other .c in test/ and bench/ goes
# into each program beside it. Headers are tracked by the compiler; objects are made anew when CC or flags change.

MAKEFLAGS += --no-builtin-rules
VERSION = 0.1.0
SONAME = libexec.so.0

PREFIX ?= /usr/local
INCLUDEDIR ?= $(PREFIX)/include
LIBDIR ?= $(PREFIX)/lib
MANDIR ?= $(PREFIX)/share/man
INSTALL ?= install
CFLAGS ?= -O2 -g

VARIANT = release
B = build/$(VARIANT)$(if $(findstring clang,$(CC)),-clang)

flags_release =
flags_asan = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
flags_tsan = -fsanitize=thread
flags_valgrind = -DEXEC_PLAIN_FUTURES

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(if $(WERROR),-Werror)
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -Iinclude -pthread $(CPPFLAGS) $(CFLAGS) $(flags_$(VARIANT))
LIBFLAGS = -fPIC -fvisibility=hidden -include lib/public.h -ftls-model=initial-exec -fexceptions

HEADERS := $(wildcard include/*.h include/*/*.h)
OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard lib/*.c))
programs = $(patsubst %.c,$(B)/%,$(wildcard $(1)))
TESTS := $(call programs,test/test_*.c)
STRESS := $(call programs,test/stress_*.c)
FAULTS := $(call programs,test/fault_*.c)
GLIB := $(shell pkg-config --exists glib-2.0 2>/dev/null && echo yes)
EXAMPLES := $(filter-out $(if $(GLIB),,%/loop_glib),$(call programs,examples/*.c)) # one is built where there is GLib
BENCHES := $(call programs,bench/bench_*.c)
SIMULATIONS := $(call programs,test/sim_*.c)
alone = test_% stress_% fault_% bench_% sim_%
beside = $(patsubst %.c,$(B)/%.o,$(filter-out $(addprefix $(1)/,$(alone)),$(wildcard $(1)/*.c)))

all: $(B)/libexec.a $(B)/libexec.so.$(VERSION) $(EXAMPLES)  ## the library, static and shared, and the examples

# --- building ---

$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(COMPILE) $(LIBFLAGS)' | cmp -s - $@ || echo '$(COMPILE) $(LIBFLAGS)' >$@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(COMPILE) $(EXTRA) -MMD -MP -c $< -o $@

$(OBJECTS): EXTRA = $(LIBFLAGS)
$(B)/test/%.o $(B)/bench/%.o: EXTRA = -Ilib
$(B)/examples/loop_glib.o: EXTRA = $(shell pkg-config --cflags glib-2.0)

$(B)/libexec.a: $(OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

$(B)/libexec.so.$(VERSION): $(OBJECTS) lib/libexec.map
	$(COMPILE) -shared -Wl,-soname,$(SONAME) -Wl,--version-script,lib/libexec.map $(LDFLAGS) $(OBJECTS) -o $@
	ln -sf libexec.so.$(VERSION) $(B)/$(SONAME)
	ln -sf $(SONAME) $(B)/libexec.so

$(TESTS) $(STRESS) $(FAULTS) $(EXAMPLES) $(BENCHES) $(SIMULATIONS): %: %.o $(B)/libexec.a
	$(COMPILE) $(LDFLAGS) $(filter %.o,$^) $(B)/libexec.a $(LIBS) -o $@

$(TESTS): LIBS = -lcriterion
$(B)/examples/loop_glib: LIBS = $(shell pkg-config --libs glib-2.0)
$(TESTS) $(STRESS) $(FAULTS): $(call beside,test)
$(BENCHES): $(call beside,bench)

# A fault program fails every allocation in turn, so each future is one; and it wraps what it names as __real_FUNCTION.
WRAPPED := $(subst __real_,,$(shell grep -oh '__real_[a-z][a-z_]*' test/fault* | sort -u))
$(FAULTS): LIBS = $(WRAPPED:%=-Wl,--wrap=%)
$(FAULTS): $(B)/lib/slab-plain.o
$(B)/lib/slab-plain.o: lib/slab.c $(B)/flags
	@mkdir -p $(@D)
	$(COMPILE) $(LIBFLAGS) -DEXEC_PLAIN_FUTURES -MMD -MP -c $< -o $@

-include $(wildcard $(B)/*/*.d)

# --- running ---

demo: $(EXAMPLES)  ## three real jobs, each first in a loop and then through libexec
	@for job in checksums treasure waits; do $(B)/examples/$$job --demo || exit; done

simulate: $(SIMULATIONS)  ## what an adaptive limit does as capacity moves: traces in build/VARIANT/*.trace
	@for limit in 'aimd refuses' 'gradient queues'; do \
		$(B)/test/sim_limiter $$limit >$(B)/$${limit%% *}.trace || exit; \
		echo "$$limit: $(B)/$${limit%% *}.trace" && sed -n 's/^# to/    to/p' $(B)/$${limit%% *}.trace; done

bench: $(BENCHES)  ## the benchmarks, against sequential loops
	@for bench in $(BENCHES); do echo && echo "$$bench" && $$bench || exit; done

# --- checking ---

RUN = $(TESTS) $(STRESS) $(FAULTS) $(EXAMPLES:%='% --demo')
run_release = 'test/headers.sh' 'test/symbols.sh $(B)' $(RUN)
run_asan = $(subst checksums --demo,checksums --demo include,$(subst waits --demo,waits,\
	$(subst lines --demo,lines 200000,$(filter-out %/stress_cron,$(RUN)))))  # with less to do
run_tsan = $(run_asan)
# Not test_poll, which lowers RLIMIT_NOFILE to what valgrind needs itself, and not test_stream_slow, whose 100,000s of
# items one at a time take minutes there.
run_valgrind = $(filter-out %/test_poll %/test_stream_slow,$(TESTS))
jobs_valgrind = $(shell nproc) # it runs one thread at a time

check: all $(TESTS) $(STRESS) $(FAULTS) $(SIMULATIONS)  ## all tests: Criterion, stress, faults, examples, symbols
	CC='$(CC)' VARIANT=$(VARIANT) JOBS=$(jobs_$(VARIANT)) test/run.sh $(run_$(VARIANT))

check-asan check-tsan check-valgrind: check-%:  ## the same programs under that tool
	$(MAKE) VARIANT=$* check

check-man: $(B)/libexec.a  ## the manual and README.md: lint, against the headers, every program in them
	test/need.sh mandoc
	test/check-man.sh '$(CC)' include $(B)/libexec.a

check-install: all  ## install, use from C and C++ by pkg-config, uninstall
	test/need.sh pkg-config g++
	MAKE='$(MAKE)' CC='$(CC)' test/check-install.sh

lint:  ## formatting, static analysis, and what else our files must not have
	test/lint.sh

format:  ## clang-format over all C files
	clang-format -i $(wildcard $(addsuffix /*.[ch],include include/exec lib test test/install examples bench))

$(TESTS:=.o): | criterion
criterion:
	@CC='$(CC)' test/need.sh criterion tzdata

# --- installing ---

install: $(B)/libexec.a $(B)/libexec.so.$(VERSION)  ## to PREFIX (/usr/local), below DESTDIR
	$(INSTALL) -d $(addprefix $(DESTDIR),$(INCLUDEDIR)/exec $(LIBDIR)/pkgconfig $(MANDIR)/man3 $(MANDIR)/man7)
	$(INSTALL) -m 644 include/exec.h $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 644 $(wildcard include/exec/*.h) $(DESTDIR)$(INCLUDEDIR)/exec
	$(INSTALL) -m 644 $(B)/libexec.a $(DESTDIR)$(LIBDIR)
	$(INSTALL) -m 755 $(B)/libexec.so.$(VERSION) $(DESTDIR)$(LIBDIR)
	ln -sf libexec.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libexec.so
	sed 's,@PREFIX@,$(PREFIX),; s,@INCLUDEDIR@,$(INCLUDEDIR),; s,@LIBDIR@,$(LIBDIR),; s,@VERSION@,$(VERSION),' \
		exec.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/exec.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/exec.pc
	$(INSTALL) -m 644 $(wildcard man/*.3) $(DESTDIR)$(MANDIR)/man3
	$(INSTALL) -m 644 $(wildcard man/*.7) $(DESTDIR)$(MANDIR)/man7

INSTALLED = $(HEADERS:include/%=$(INCLUDEDIR)/%) $(LIBDIR)/pkgconfig/exec.pc \
	$(addprefix $(LIBDIR)/,libexec.a libexec.so $(SONAME) libexec.so.$(VERSION)) \
	$(foreach page,$(wildcard man/*.[37]),$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))

uninstall:  ## from PREFIX, below DESTDIR
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rmdir $(DESTDIR)$(INCLUDEDIR)/exec 2>/dev/null || true

dist:  ## build/libexec-VERSION.tar.gz, the same from the same commit
	@mkdir -p build
	git archive --format=tar --prefix=libexec-$(VERSION)/ HEAD | gzip -9n >build/libexec-$(VERSION).tar.gz

clean:  ## removes build/
	rm -rf build

help:  ## this list
	@sed -n 's/^\([a-z][a-z -]*\):.*  ## \(.*\)/\1\t\2/p' Makefile | expand -t 38

FORCE:
.PHONY: all demo simulate check check-asan check-tsan check-valgrind check-man check-install lint format bench install \
	uninstall dist clean help criterion FORCE
.DELETE_ON_ERROR:
