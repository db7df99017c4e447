/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads the BPF program, opens its ring and attaches it to packet sockets of type SOCK_DGRAM, one
 * for each interface, whose filter returns 0 always, so that nothing is queued on them.
 *
 * The counters and the doorbell's flag are read through memory that is mapped at load time, never
 * through bpf(), which may be refused once capabilities are gone. The loader owns the maps and
 * the rings until loader_free. One thread.
 */
#ifndef CAPTURE_LOADER_H
#define CAPTURE_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/interfaces.h"
#include "capture/rings.h"

enum { LOADER_ERROR_MAX = 512, LOADER_NETWORKS_MAX = 64, LOADER_SAMPLE_KEY_WORDS = 2 };

/* A prefix of that many bits. */
struct loader_network {
	uint8_t family;
	uint8_t address[16];
	unsigned len;
};

/*
 * What the program may drop early because user space drops it anyway. What is all there at load
 * time costs nothing, and cannot be asked of the program later.
 */
struct loader_filter {
	const struct loader_network *clients, *servers; /* at most LOADER_NETWORKS_MAX; 0: all */
	size_t client_count, server_count;
	uint32_t sample; /* 1 in so many exchanges; 0 or 1: all */
	uint64_t sample_key[LOADER_SAMPLE_KEY_WORDS];
};

struct loader_options {
	enum rings_kind ring;
	size_t ring_size;      /* bytes, a power of two: rings.h; 0: rings_default_size */
	const uint16_t *ports; /* host byte order */
	size_t port_count;
	bool clamp; /* no sink wants the message bytes */
	struct loader_filter filter;
	size_t slots; /* for other namespaces, from 1 on; 0: our own only */
};

/* What the kernel's side has counted since the start, over all CPUs. */
struct loader_counts {
	uint64_t matched, ring_full, fragments_refused, empty_segments, filtered;
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
 * Makes a packet socket (NETNS_PACKET, of the interface's namespace) watch an interface. slot:
 * what its records have as tap. promiscuous: the interface takes in what is addressed to others
 * too, for as long. The socket stays the caller's: closing it ends it. 0 or -errno.
 */
int loader_attach(struct loader *loader, int fd, const struct interface *interface, uint16_t slot,
	bool promiscuous);

/*
 * Nothing enters the ring, nor is counted, after it: what is in there is the rest. Closing the
 * sockets would do that too, but takes some 13 ms each.
 */
void loader_stop(struct loader *loader);

struct rings *loader_rings(struct loader *loader);
/* The ring that was taken. */
enum rings_kind loader_ring_kind(const struct loader *loader);

/* The doorbell: armed before the reader blocks, its descriptor is readable once rung. */
void loader_arm(struct loader *loader);
void loader_disarm(struct loader *loader);
int loader_doorbell_fd(const struct loader *loader);
void loader_doorbell_clear(struct loader *loader);

void loader_read_counts(const struct loader *loader, struct loader_counts *ret);

/*
 * A CPU whose packets are all lost (and counted as ring_full), because it was brought up, or taken
 * down and brought up again, after the perf ring was opened, which has a buffer for each CPU: a new
 * one would need bpf(). Each is told once; -1: none.
 */
int loader_unheard_cpu(struct loader *loader);

/*
 * Changes while it runs, none of which needs bpf(). The sample counts only where the program was
 * loaded with one; the networks cannot change, only be left to user space; nor can a clamp come
 * back once a sink wanted bytes.
 */
void loader_set_ports(struct loader *loader, const uint16_t *ports, size_t count);
void loader_set_sample(struct loader *loader, uint32_t sample);
void loader_disable_networks(struct loader *loader);
void loader_disable_clamp(struct loader *loader);

/* Where libbpf's own messages go: nowhere by default. level: 0 warning, 1 info, 2 debug. */
typedef void loader_log_fn(int level, const char *line);
void loader_set_log(loader_log_fn *fn);

#endif
