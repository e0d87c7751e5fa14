# libexec, in one Makefile. `make help` lists the targets.
#
# What is built goes to build/VARIANT/, by the path of its source; `make VARIANT=asan check` is what `make check-asan`
# runs. No list of files is kept by hand: lib/*.c is the library; test/test_*.c, test/stress_*.c, test/fault_*.c,
# test/fuzz/fuzz_*.c, examples/*.c and bench/bench_*.c are one program each, linked with libexec.a, as is
# bench/count_operations.c, but for fault programs, which have the library compiled anew; every other .c in bench/ goes
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
flags_coverage = --coverage -fprofile-update=atomic -O0
flags_fuzz = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
# Without -fsanitize=undefined, whose test for null GNU ld breaks where it turns the address of a thread-local variable,
# computed by an add, into one computed by a lea, which sets no flags.
flags_perturbed-asan = -fsanitize=address -fno-omit-frame-pointer
flags_perturbed-tsan = $(flags_tsan)

# A variant that is perturbed loses time at random at each step of the library: test/perturb/perturb.c. Its macros lie
# within each other; and they include <pthread.h> before task.c can say what it needs of it.
PERTURBED = $(findstring perturbed,$(VARIANT))
PERTURB = $(if $(PERTURBED),-include test/perturb/perturb.h -Wno-shadow)

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(if $(WERROR),-Werror)
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -Iinclude -pthread $(CPPFLAGS) $(CFLAGS) $(flags_$(VARIANT))
LIBFLAGS = -fPIC -fvisibility=hidden -include lib/public.h -ftls-model=initial-exec -fexceptions $(PERTURB)

# The examples that need a library, and what pkg-config calls it: each is built where it is there (not with musl).
needs_fetch = libcurl
needs_gzip = zlib
needs_lookup = sqlite3
needs_loop_glib = glib-2.0
needs_loop_uv = libuv
module = $(needs_$(basename $(notdir $(1))))
has_module = $(if $(filter musl,$(VARIANT)),,$(shell pkg-config --exists $(1) 2>/dev/null && echo yes))
there = $(if $(call module,$(1)),$(call has_module,$(call module,$(1))),yes)
ask = $(if $(call module,$(2)),$(shell pkg-config $(1) $(call module,$(2))))

HEADERS := $(wildcard include/*.h include/*/*.h)
OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard lib/*.c $(if $(PERTURBED),test/perturb/*.c)))
programs = $(patsubst %.c,$(B)/%,$(wildcard $(1)))
TESTS := $(call programs,test/test_*.c)
STRESS := $(call programs,test/stress_*.c)
FAULTS := $(call programs,test/fault_*.c)
FUZZ := $(call programs,test/fuzz/fuzz_*.c)
ifneq ($(PERTURBED),)
FAULTS =
FUZZ =
TESTS := $(if $(QUICK),,$(TESTS))
endif
EXAMPLES := $(foreach example,$(call programs,examples/*.c),$(if $(call there,$(example)),$(example)))
BENCHES := $(call programs,bench/bench_*.c)
OPERATIONS := $(B)/bench/count_operations
SIMULATIONS := $(call programs,test/sim_*.c)
alone = test_% stress_% fault_% bench_% count_% sim_%
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
$(B)/lib/task.o: EXTRA = $(LIBFLAGS) $(if $(PERTURBED),-U__EXCEPTIONS)
$(B)/test/%.o: EXTRA = -Ilib $(PERTURB)
$(B)/bench/%.o: EXTRA = -Ilib
$(B)/examples/%.o: EXTRA = $(call ask,--cflags,$@)

$(B)/libexec.a: $(OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

$(B)/libexec.so.$(VERSION): $(OBJECTS) lib/libexec.map
	$(COMPILE) -shared -Wl,-soname,$(SONAME) -Wl,--version-script,lib/libexec.map $(LDFLAGS) $(OBJECTS) -o $@
	ln -sf libexec.so.$(VERSION) $(B)/$(SONAME)
	ln -sf $(SONAME) $(B)/libexec.so

$(TESTS) $(STRESS) $(FUZZ) $(EXAMPLES) $(BENCHES) $(OPERATIONS) $(SIMULATIONS): %: %.o $(B)/libexec.a
	$(COMPILE) $(LDFLAGS) $(STATIC) $(filter %.o,$^) $(B)/libexec.a $(LIBS) -o $@
$(FAULTS): %: %.o
	$(COMPILE) $(LDFLAGS) $< $(LIBS) -o $@

$(TESTS): LIBS = -lcriterion
$(EXAMPLES): LIBS = $(call ask,--libs,$@)
$(BENCHES) $(OPERATIONS): $(call beside,bench)

# With musl, the stress programs and examples are static; what an installation is tried with is linked with the shared
# library.
ifeq ($(VARIANT),musl)
$(STRESS) $(EXAMPLES): STATIC = -static
endif
$(B)/consumer: test/install/consumer.c $(HEADERS) $(B)/libexec.so.$(VERSION)
	$(COMPILE) $(LDFLAGS) $< -L$(B) -lexec -Wl,-rpath,$(abspath $(B)) -o $@

# A fault program is linked with the library's files as test/fault_sites.h has them compiled: each call that could fail
# is one that the program can fail. It fails every allocation in turn, so each future is one, but in fault_once.
FAULT_OBJECTS := $(patsubst %.c,$(B)/%-fault.o,$(wildcard lib/*.c))
FAULT_API = $(B)/fault/fault_api.h
$(FAULTS): LIBS = $(FAULT_OBJECTS:%/slab-fault.o=%/slab-$(if $(filter %/fault_once,$@),fault,plain-fault).o)
$(FAULTS): $(FAULT_OBJECTS) $(B)/lib/slab-plain-fault.o
$(FAULTS:=.o): $(FAULT_API)
$(FAULTS:=.o): EXTRA = -Ilib -I$(dir $(FAULT_API)) -Wno-shadow
WITH_SITES = $(COMPILE) $(LIBFLAGS) $(no_unwinding_$(VARIANT)) -w -U_FORTIFY_SOURCE -include test/fault_sites.h -MMD -MP
no_unwinding_musl = -fno-exceptions # there a thread that ends does not unwind its stack
$(FAULT_OBJECTS): $(B)/lib/%-fault.o: lib/%.c $(B)/flags
	@mkdir -p $(@D)
	$(WITH_SITES) -DFAULT_IN_$* -c $< -o $@
$(B)/lib/slab-plain-fault.o: lib/slab.c $(B)/flags
	@mkdir -p $(@D)
	$(filter-out --coverage,$(WITH_SITES)) -DEXEC_PLAIN_FUTURES -c $< -o $@ # gcovr takes a function for one only once
$(FAULT_API): lib/libexec.map
	@mkdir -p $(@D)
	sed -n 's/^ *\([a-z][a-z0-9_]*\);$$/#define \1(...) FAULT_PUBLIC_CALL(\1, __VA_ARGS__)/p' $< >$@

# What is reached is counted also by processes that end by _exit(), as forked children do.
ifeq ($(VARIANT),coverage)
$(TESTS) $(STRESS): $(B)/test/coverage/exit.o
$(TESTS) $(STRESS): LDFLAGS += -Wl,--wrap=_exit
endif

# A fuzz target is given its inputs by libFuzzer, or reads them from files.
ifeq ($(VARIANT),fuzz)
$(FUZZ): LIBS = -fsanitize=fuzzer $(wrap)
else
$(FUZZ): LIBS = $(wrap)
$(FUZZ): $(B)/test/fuzz/replay.o
endif
$(B)/test/fuzz/fuzz_names: wrap = -Wl,--wrap=open
$(B)/test/fuzz/fuzz_cpus: wrap = -Wl,--wrap=fopen

# The peers of `make bench`: one program for each library that is there (bench/peers/peer.h).
PEER = $(B)/bench/peers
ifneq ($(filter bench%,$(MAKECMDGOALS)),)
has = $(shell pkg-config --exists $(1) 2>/dev/null && echo $(2))
PEERS := $(addprefix $(PEER)/,peer_libexec peer_loop peer_limit \
	$(shell echo 'int main(void) { return 0; }' | $(CC) -fopenmp -x c - -o /dev/null 2>/dev/null && echo peer_openmp) \
	$(if $(shell command -v $(CXX)),$(call has,tbb,peer_tbb)) $(call has,glib-2.0,peer_glib) \
	$(call has,libuv,peer_uv) $(call has,apr-util-1,peer_apr) $(if $(shell command -v javac),Peer.class) \
	$(if $(shell command -v python3),peer.py peer_asyncio.py))
endif
peer_name_peer_libexec = libexec
peer_name_peer_loop = loop
peer_name_peer_limit = limit
peer_name_peer_openmp = OpenMP
peer_name_peer_tbb = oneTBB
peer_name_peer_glib = GLib
peer_name_peer_uv = libuv
peer_name_peer_apr = APR-util
peer_name_Peer.class = Java
peer_name_peer.py = Python
peer_name_peer_asyncio.py = asyncio
peer_command = $(if $(filter %.class,$(1)),java -cp $(PEER) Peer,$(if $(filter %.py,$(1)),python3 $(1),$(1)))
peer_side = $(peer_name_$(notdir $(1)))=$(call peer_command,$(1))

$(PEER)/peer_tbb: LIBS = $(shell pkg-config --libs tbb)
$(PEER)/peer_glib: LIBS = $(shell pkg-config --cflags --libs glib-2.0)
$(PEER)/peer_uv: LIBS = $(shell pkg-config --cflags --libs libuv)
$(PEER)/peer_apr: LIBS = $(shell pkg-config --cflags --libs apr-util-1 apr-1)
$(PEER)/peer_openmp: LIBS = -fopenmp
$(PEER)/peer_libexec: LIBS = $(B)/libexec.a
$(PEER)/peer_libexec: $(B)/libexec.a
$(PEER)/compare: LIBS = $(B)/bench/bench.o $(B)/libexec.a
$(PEER)/compare: $(B)/bench/bench.o $(B)/libexec.a
# The same loop must run as fast in each of them, wherever the linker has put it.
ALIGNED = -falign-functions=64 -falign-loops=64
$(PEER)/%: bench/peers/%.c $(wildcard bench/peers/*.h) $(B)/flags
	@mkdir -p $(@D)
	$(COMPILE) $(ALIGNED) $< $(LIBS) -o $@
$(PEER)/peer_tbb: bench/peers/peer_tbb.cpp $(wildcard bench/peers/*.h)
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -O2 -g $(ALIGNED) -pthread $(CXXFLAGS) $< $(LIBS) -o $@
$(PEER)/Peer.class: $(wildcard bench/peers/*.java)
	@mkdir -p $(@D)
	javac -d $(PEER) $^
$(PEER)/%.py: bench/peers/%.py
	@mkdir -p $(@D)
	cp $< $@
$(PEER)/peer_asyncio.py: $(PEER)/peer.py

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)

# --- running ---

examples-deps:  ## installs the libraries that some examples need: see needs_ in the Makefile
	test/need.sh libcurl zlib sqlite3 glib-2.0 libuv

demo: $(EXAMPLES)  ## three real jobs, each first in a loop and then through libexec
	@for job in checksums treasure waits; do $(B)/examples/$$job --demo || exit; done

simulate: $(SIMULATIONS)  ## what an adaptive limit does as capacity moves: traces in build/VARIANT/*.trace
	@for limit in 'aimd refuses' 'gradient queues'; do \
		$(B)/test/sim_limiter $$limit >$(B)/$${limit%% *}.trace || exit; \
		echo "$$limit: $(B)/$${limit%% *}.trace" && sed -n 's/^# to/    to/p' $(B)/$${limit%% *}.trace; done

simulate-plot: simulate  ## the same, drawn by gnuplot: build/VARIANT/limiter.svg and .png
	test/need.sh gnuplot
	gnuplot -e "dir='$(B)'" test/limiter.gnuplot
	@echo '$(B)/limiter.svg $(B)/limiter.png'

bench: $(BENCHES) bench-peers  ## the benchmarks, against sequential loops and other libraries
	@for bench in $(BENCHES); do echo && echo "$$bench" && $$bench || exit; done

bench-peers: $(PEERS) $(PEER)/compare  ## those against other libraries alone, or some: BENCH_CASES='ping;io'
	$(PEER)/compare --out $(B)/peers $(foreach peer,$(PEERS),'$(call peer_side,$(peer))')

bench-growth: $(B)/bench/bench_growth  ## how a task's cost grows; figures in build/VARIANT/growth.table
	$< --out $(B)/growth.table

$(B)/peers.table $(B)/growth.table: $(B)/%.table:
	$(MAKE) bench-$*

COUNT = CC='$(CC)' CFLAGS='$(strip $(CPPFLAGS) $(CFLAGS) $(flags_$(VARIANT)))' bench/instructions.sh
bench-instructions: $(OPERATIONS)  ## counts the instructions of single operations anew: bench/instructions.table
	@$(COUNT) --update $<

bench-deps:  ## installs the other libraries that `make bench` compares with
	test/need.sh glib-2.0 libuv tbb apr-util-1 javac python3

bench-plot: $(B)/peers.table $(B)/growth.table  ## draws what these two have found: build/VARIANT/*.svg and .png
	test/need.sh gnuplot
	gnuplot -e "dir='$(B)'" bench/peers/peers.gnuplot
	gnuplot -e "dir='$(B)'" bench/growth.gnuplot
	@echo '$(B)/peers.svg $(B)/peers.png $(B)/growth.svg $(B)/growth.png'

# --- checking ---

CORPUS = test/fuzz/corpus
REPLAY = $(foreach target,$(FUZZ),'$(target) $(CORPUS)/$(patsubst fuzz_%,%,$(notdir $(target)))')
RUN = $(TESTS) $(STRESS) $(FAULTS) 'test/check-faults.sh $(B)' $(REPLAY) $(EXAMPLES:%='% --demo')
run_release = 'test/headers.sh' 'test/symbols.sh $(B)' $(RUN)
less = $(subst checksums --demo,checksums --demo include,$(subst waits --demo,waits,\
	$(subst lines --demo,lines 200000,$(1))))
run_asan = $(call less,$(filter-out %/stress_cron,$(RUN)))
run_plain = 'test/headers.sh' 'test/symbols.sh $(B)' $(B)/consumer $(call less,$(filter-out $(TESTS),$(RUN)))
run_tsan = $(run_asan)
# Not test_poll, which lowers RLIMIT_NOFILE to what valgrind needs itself, and not test_stream_slow, whose 100,000s of
# items one at a time take minutes there.
run_valgrind = $(filter-out %/test_poll %/test_stream_slow,$(TESTS))
# Not test/check-faults.sh, which does not know what gcc calls there.
run_coverage = $(subst 'test/check-faults.sh $(B)',,$(run_asan))
# Not stress_cron, which is arithmetic on one thread.
run_perturbed = $(TESTS) $(filter-out %/stress_cron,$(STRESS))
run_perturbed-asan = $(run_perturbed)
run_perturbed-tsan = $(run_perturbed)
jobs_valgrind = $(shell nproc) # it runs one thread at a time

check: all $(TESTS) $(STRESS) $(FAULTS) $(FUZZ) $(SIMULATIONS)  ## Criterion, stress, faults, inputs, examples, symbols
	CC='$(CC)' VARIANT=$(VARIANT) JOBS=$(jobs_$(VARIANT)) test/run.sh $(run_$(VARIANT))

check-asan check-tsan check-valgrind: check-%:  ## the same programs under that tool
	$(MAKE) VARIANT=$* check

MINUTES ?= 10
soak: $(B)/test/stress_random  ## random programs for MINUTES (10): memory, threads, descriptors; SEED, or of the clock
	$< --minutes $(MINUTES) $(SEED)

check-faults: $(FAULTS)  ## the fault programs, and each site and public function in which they have made something fail
	@CC='$(CC)' VARIANT=$(VARIANT) test/run.sh $(FAULTS)
	@test/check-faults.sh -v $(B)

check-perturbed check-perturbed-asan check-perturbed-tsan: check-%:  ## with time lost at random; less by QUICK=1
	$(MAKE) VARIANT=$* check

check-plain: all $(STRESS) $(FAULTS) $(FUZZ) $(B)/consumer  ## those without Criterion; less by EXEC_STRESS_SCALE
	CC='$(CC)' VARIANT=$(VARIANT) test/run.sh $(run_plain)

check-musl:  ## the same with musl, static programs and the shared library; a tenth of the stress
	test/need.sh musl-gcc
	EXEC_STRESS_SCALE=0.1 $(MAKE) VARIANT=musl CC=musl-gcc check-plain

check-fuzz: $(FUZZ)  ## what reads text, against all inputs of test/fuzz/corpus; part of `make check`
	VARIANT=$(VARIANT) test/run.sh $(REPLAY)

coverage:  ## which lines and branches of lib/ the tests reach, with a tenth of the stress: at least 97 %, 90 %
	test/need.sh gcovr
	rm -rf build/coverage/lib
	EXEC_STRESS_SCALE=0.1 $(MAKE) VARIANT=coverage check
	test/coverage/report.sh build/coverage 97 90

# What is found goes to build/fuzz/NAME/, what fails to build/fuzz/NAME-crash-*.
SECONDS = 60
fuzz:  ## looks for new inputs: each target SECONDS (60) long; FUZZ_TARGETS='cron zone' for some; needs clang
	test/need.sh clang libfuzzer
	CC=clang EACH=$(SECONDS) MAKE='$(MAKE)' test/fuzz/fuzz.sh $(FUZZ_TARGETS)

fuzz-merge:  ## takes what these have found, and reaches more than is reached already, into test/fuzz/corpus
	CC=clang MERGE=1 MAKE='$(MAKE)' test/fuzz/fuzz.sh $(FUZZ_TARGETS)

check-instructions: $(OPERATIONS)  ## the instructions of single operations, against bench/instructions.table
	@$(COUNT) $<

check-model:  ## models of the protocols, searched to the end by spin, and that their mutations are caught
	CC='$(CC)' JOBS=$(shell nproc) test/model/check.sh

check-man: $(B)/libexec.a  ## the manual and README.md: lint, against the headers, every program in them
	test/need.sh mandoc
	test/check-man.sh '$(CC)' include $(B)/libexec.a

check-prometheus: $(B)/examples/observe  ## what Prometheus's own promtool says of our text; installs it; not in .ci/run
	test/need.sh promtool
	test/check-prometheus.sh $<

check-abi: $(B)/libexec.so.$(VERSION)  ## symbols against debian/libexec0.symbols, types against the last release
	@MAKE='$(MAKE)' CC='$(CC)' test/check-abi.sh $(B)

check-install: all  ## install, use from C and C++ by pkg-config and by CMake, uninstall
	test/need.sh pkg-config cmake g++
	MAKE='$(MAKE)' CC='$(CC)' test/check-install.sh

check-dist:  ## `make dist` of two clones, made differently, is the same; and it builds
	MAKE='$(MAKE)' test/check-dist.sh

check-deb:  ## the Debian packages: built, lintian, installed, used, removed again
	test/need.sh dpkg-buildpackage dh lintian pkg-config cmake g++ tzdata
	test/check-deb.sh

lint:  ## formatting, static analysis, and what else our files must not have
	test/lint.sh

format:  ## clang-format over all C files
	clang-format -i $(wildcard $(addsuffix /*.[ch],include include/exec lib test test/coverage test/fuzz test/install \
		test/perturb examples bench bench/peers))

$(TESTS:=.o): | criterion
criterion:
	@CC='$(CC)' test/need.sh criterion tzdata
$(OPERATIONS).o: | valgrind
valgrind:
	@CC='$(CC)' test/need.sh valgrind

# --- installing ---

CMAKEDIR = $(LIBDIR)/cmake/exec
CMAKEFILES = exec-config.cmake exec-config-version.cmake
FILL_IN = sed 's,@PREFIX@,$(PREFIX),; s,@INCLUDEDIR@,$(INCLUDEDIR),; s,@LIBDIR@,$(LIBDIR),; s,@VERSION@,$(VERSION),'

install: $(B)/libexec.a $(B)/libexec.so.$(VERSION)  ## to PREFIX (/usr/local), below DESTDIR
	$(INSTALL) -d $(addprefix $(DESTDIR),$(INCLUDEDIR)/exec $(LIBDIR)/pkgconfig $(CMAKEDIR) $(MANDIR)/man3 $(MANDIR)/man7)
	$(INSTALL) -m 644 include/exec.h $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 644 $(wildcard include/exec/*.h) $(DESTDIR)$(INCLUDEDIR)/exec
	$(INSTALL) -m 644 $(B)/libexec.a $(DESTDIR)$(LIBDIR)
	$(INSTALL) -m 755 $(B)/libexec.so.$(VERSION) $(DESTDIR)$(LIBDIR)
	ln -sf libexec.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libexec.so
	$(FILL_IN) exec.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/exec.pc
	for file in $(CMAKEFILES); do $(FILL_IN) $$file.in >$(DESTDIR)$(CMAKEDIR)/$$file || exit; done
	chmod 644 $(addprefix $(DESTDIR),$(LIBDIR)/pkgconfig/exec.pc $(CMAKEFILES:%=$(CMAKEDIR)/%))
	$(INSTALL) -m 644 $(wildcard man/*.3) $(DESTDIR)$(MANDIR)/man3
	$(INSTALL) -m 644 $(wildcard man/*.7) $(DESTDIR)$(MANDIR)/man7

INSTALLED = $(HEADERS:include/%=$(INCLUDEDIR)/%) $(LIBDIR)/pkgconfig/exec.pc $(CMAKEFILES:%=$(CMAKEDIR)/%) \
	$(addprefix $(LIBDIR)/,libexec.a libexec.so $(SONAME) libexec.so.$(VERSION)) \
	$(foreach page,$(wildcard man/*.[37]),$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))

uninstall:  ## from PREFIX, below DESTDIR
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rmdir $(DESTDIR)$(INCLUDEDIR)/exec $(DESTDIR)$(CMAKEDIR) 2>/dev/null || true

# Whatever git's settings are: modes are the repository's, times the commit's, and gzip notes neither name nor time.
dist:  ## build/libexec-VERSION.tar.gz, the same from the same commit
	@mkdir -p build
	git -c tar.umask=0022 -c core.autocrlf=false archive --format=tar --prefix=libexec-$(VERSION)/ HEAD \
		>build/libexec-$(VERSION).tar
	gzip -9nf build/libexec-$(VERSION).tar

clean:  ## removes build/
	rm -rf build

help:  ## this list
	@sed -n 's/^\([a-z][a-z -]*\):.*  ## \(.*\)/\1\t\2/p' Makefile | expand -t 38

FORCE:
.PHONY: all demo examples-deps simulate simulate-plot check check-asan check-tsan check-valgrind check-plain \
	check-musl check-instructions check-model check-man check-prometheus check-abi check-install check-dist \
	check-deb soak lint format bench bench-peers bench-growth bench-instructions bench-deps bench-plot install \
	uninstall dist clean help criterion valgrind check-faults check-fuzz coverage fuzz fuzz-merge \
	check-perturbed check-perturbed-asan check-perturbed-tsan FORCE
.DELETE_ON_ERROR:
