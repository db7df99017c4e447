/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The opener: a second, small process that holds what the operator started the tap with, opens what
 * the configuration names and hands the descriptors over. It never reads a packet: its packet
 * sockets have protocol 0 and receive nothing until the other side binds them. It keeps its user
 * and of the capabilities CAP_NET_RAW and CAP_DAC_OVERRIDE, with --netns CAP_SYS_ADMIN and
 * CAP_SYS_PTRACE; never CAP_BPF. It ignores the signals that end the tap, and ends with it.
 *
 * A request is one message of a fixed size on a socket pair and has one answer; what the
 * configuration does not name is refused with -EPERM and a line (agent/opener_rules.h). They are
 * served one after another. Who asks waits for OPENER_PATIENCE_S, since his request or since the
 * one before it that has no answer yet, and gets -ETIMEDOUT: so while a file system hangs, or the
 * opener is stopped, one waits that long and all others are refused at once, until the late answer
 * has come. The packet loop, which the rings wait for, waits OPENER_LOOP_MS, whatever it asks for
 * and whoever is before it, and everybody OPENER_EXIT_MS once the tap is ending. -EPIPE: it has
 * ended.
 *
 * Ownership: descriptors are the caller's; all are close-on-exec. Threads: opener_start before any
 * other thread, opener_stop after them; what a reload needs is the packet loop's; the rest from
 * any.
 */
#ifndef AGENT_OPENER_H
#define AGENT_OPENER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/opener_protocol.h"
#include "agent/options.h"
#include "capture/netns.h"
#include "sink/files.h"

enum {
	OPENER_PATIENCE_S = 5,
	/* the rings hold more than what comes in so long: 8 MiB a CPU, 30 MB/s at 200,000 q/s */
	OPENER_LOOP_MS = 200,
	OPENER_EXIT_MS = 500, /* a live tap's exit takes 3 s in all */
};

struct opener;

/*
 * Forks it. options: what it may open; source: where it reads them again from. Both are the
 * caller's, and so is what they point to, until opener_stop. 0, or -errno after a line was logged.
 */
int opener_start(
	const struct options *options, const struct options_source *source, struct opener **ret);
/* Ends it and waits for it, a second at most. NULL is fine. */
void opener_stop(struct opener *opener);

/* For epoll, without any event: it hangs up when the opener has ended, however that came. */
int opener_fd(const struct opener *opener);
/* True after that, and the first time a line was logged. */
bool opener_ended(struct opener *opener);

/* The calling thread is the packet loop from now on. */
void opener_begin_loop(struct opener *opener);
/*
 * A live tap is ending; also for those who wait already. It is asked whether it answers at all, so
 * that one that does not costs the exit no time when the sinks have had theirs.
 */
void opener_hurry(struct opener *opener);

/* As netns_socket and netns_list, with an opener as arg: they fit into struct taps_source. A list
 * that takes longer than the loop waits is what the next call gets. */
int opener_socket(void *arg, uint64_t netns, enum netns_socket kind);
int opener_netns_list(void *arg, struct netns_entry *ret, size_t max);

/*
 * A reload, in two steps. It reads the options again, and from then on opens also what they name. 0
 * and the number of this reading, which is not 0 (the start's), or -errno: they are faulty. Then:
 *  - commit: they are in force; kept says of the sinks that stay with older settings where those
 *    stand. What the ones before named is opened still, until opener_forget: for what is ending.
 *  - abort: the worker has found a fault of its own; they are forgotten.
 */
int opener_reload(struct opener *opener, uint32_t *ret_reading);
void opener_commit(struct opener *opener, const struct opener_place *kept, size_t count);
void opener_abort(struct opener *opener);
void opener_forget(struct opener *opener);

/* All of sink/files.h through the opener; valid until opener_stop. */
const struct sink_files *opener_files(const struct opener *opener);

#endif
