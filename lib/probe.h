/* probe.h - static tracepoints (USDT) for systemtap, bpftrace and perf: a no-op instruction each, where <sys/sdt.h> is
 * there as the library is built (Debian's systemtap-sdt-dev). Provider "libexec":
 *
 *     submit(future, function)    a task is about to be accepted, or refused; not the helpers of maps and streams
 *     start(future, function)     its function is about to be called, or it is about to be refused
 *     finish(future, error)       it has returned: 0, its error, or below 0, one that it was refused with
 *     park(seat), wake()          a worker is about to sleep; one is woken
 */
#ifndef EXEC__PROBE_H
#define EXEC__PROBE_H

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#ifdef __clang__
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments" /* in its macros */
#endif
#define EXEC__PROBE(name) DTRACE_PROBE(libexec, name)
#define EXEC__PROBE1(name, a) DTRACE_PROBE1(libexec, name, a)
#define EXEC__PROBE2(name, a, b) DTRACE_PROBE2(libexec, name, a, b)
#endif
#endif

#ifndef EXEC__PROBE
#define EXEC__PROBE(name) ((void)0)
#define EXEC__PROBE1(name, a) ((void)0)
#define EXEC__PROBE2(name, a, b) ((void)0)
#endif

#endif
