/* probe.h - USDT probes of the provider `parley`: places in the running daemon that bpftrace, perf
 * and SystemTap can listen at. A probe nobody listens at is one nop; its arguments must be values
 * that are at hand, since they are worked out all the same. docs/operations.md lists them.
 * Source: <sys/sdt.h> of SystemTap, the note section .note.stapsdt. */
#ifndef PARLEY_BASE_PROBE_H
#define PARLEY_BASE_PROBE_H

#define SDT_USE_VARIADIC
#include <sys/sdt.h>

/* PROBE(name, up to 6 integers or pointers): bpftrace 0.17 reads no more of them. */
#define PROBE(name, ...) STAP_PROBEV(parley, name, __VA_ARGS__)
/* Before a probe whose listener reads what the pointer leads to: it must be in memory by then. */
#define PROBE_READS(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

#endif
