/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads the BPF program, opens its ring and attaches it to interfaces: one AF_PACKET socket of
 * type SOCK_DGRAM for each, whose filter returns 0 always, so that nothing is queued on it.
 *
 * The counters and the doorbell's flag are read through memory that is mapped at load time, never
 * through bpf(), which may be refused once capabilities are gone. The loader owns the sockets, the
 * maps and the rings until loader_free. One thread.
 */
#ifndef CAPTURE_LOADER_H
#define CAPTURE_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/interfaces.h"
#include "capture/rings.h"

enum { LOADER_ERROR_MAX = 512 };

struct loader_options {
	enum rings_kind ring;
	size_t ring_size;      /* bytes, a power of two: rings.h; 0: rings_default_size */
	const uint16_t *ports; /* host byte order */
	size_t port_count;
	bool clamp; /* no sink wants the message bytes */
};

/* What the kernel's side has counted since the start, over all CPUs. */
struct loader_counts {
	uint64_t matched, ring_full, fragments_refused, empty_segments;
};

struct loader;

/*
 * Loads and opens the ring. 0 or -errno, then error holds one line that names the missing
 * capability, kernel feature or option.
 */
int loader_new(const struct loader_options *options, struct loader **ret,
	char error[static LOADER_ERROR_MAX]);
void loader_free(struct loader *loader);

/*
 * One socket on this interface of the calling thread's network namespace; promiscuous: the
 * interface takes in what is addressed to others too, for as long. Errors as above.
 */
int loader_attach(struct loader *loader, const struct interface *interface, bool promiscuous,
	char error[static LOADER_ERROR_MAX]);
/* Closes all sockets: nothing enters the ring after it. */
void loader_detach(struct loader *loader);

struct rings *loader_rings(struct loader *loader);
/* The ring that was taken. */
enum rings_kind loader_ring_kind(const struct loader *loader);

/* The doorbell: armed before the reader blocks, its descriptor is readable once rung. */
void loader_arm(struct loader *loader);
void loader_disarm(struct loader *loader);
int loader_doorbell_fd(const struct loader *loader);
void loader_doorbell_clear(struct loader *loader);

void loader_read_counts(const struct loader *loader, struct loader_counts *ret);

/* Where libbpf's own messages go: nowhere by default. level: 0 warning, 1 info, 2 debug. */
typedef void loader_log_fn(int level, const char *line);
void loader_set_log(loader_log_fn *fn);

#endif
