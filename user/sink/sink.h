/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sink: where frames or lines go. Each has one queue, bounded in bytes, and one sender thread,
 * so that a collector that is absent, slow, stopped or hostile costs its own sink its messages
 * and nothing else. The sender writes Frame Streams with libfstrm's fstrm_writer over our own
 * fstrm_rdwr, whose every blocking step has a deadline; a lines sink writes lines.
 *
 * A live tap never waits: what does not fit into the queue is counted and gone (newest first). A
 * replay waits for room. What stands in the queue while the collector is away is sent when it is
 * back; a frame leaves the queue only when its bytes were taken by the system.
 *
 * With a spool (sink/spool.h) what is queued goes to disk first, and stays there until FINISH: what
 * was sent on a connection that ended otherwise is sent again. So a frame may come twice, and none
 * is lost while the spool has room. It holds frames for sockets; files and lines have none.
 *
 * Counts, which hold at every moment (queued is what is in flight, spooled what is on disk):
 *   offered + recovered = confirmed + unconfirmed + written + queued + spooled
 *                         + lost_queue_full + lost_undelivered + given_up
 * confirmed: on a connection that ended with FINISH, or in a file closed whole, or a line written;
 * unconfirmed: written to a connection that ended otherwise, or to a unidirectional one, on which
 * nobody can say FINISH; written: to one that is still open.
 *
 * Threads: one thread calls sink_new, sink_offer, sink_flush, sink_stop, sink_free; the counts may
 * be read from any. The sender thread blocks all signals and calls log_* and the own_socket hook.
 */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/files.h"
#include "sink/url.h"

enum {
	SINK_CONNECT_MS = 5000, /* each deadline of one step, milliseconds */
	SINK_HANDSHAKE_MS = 5000,
	SINK_WRITE_MS = 5000,
	SINK_FINISH_MS = 2000,
	/* all steps together at a live tap's exit, which with all else takes 3 s at most */
	SINK_STOP_MS = 2800,
	SINK_LINES_FLUSH_MS = 50,
};

/* The counts of one sink: the equation's, and why things happened. */
#define SINK_COUNT_LIST(X)                                                                         \
	X(offered, TOTAL, "frames given to the sink")                                              \
	X(confirmed, TOTAL, "frames on connections that ended with FINISH, or in whole files")     \
	X(unconfirmed, TOTAL, "frames written to a connection that ended otherwise")               \
	X(written, TOTAL, "frames written to the connection that is open")                         \
	X(queued, TOTAL, "frames in the queue")                                                    \
	X(spooled, NOTE, "frames in the spool, for when the collector is back")                    \
	X(recovered, NOTE, "frames found in the spool at the start")                               \
	X(given_up, NOTE, "lost: the oldest of a full spool")                                      \
	X(resent, NOTE, "frames sent again after a connection without FINISH")                     \
	X(torn, NOTE, "spool files with something cut off or damaged, which was left out")         \
	X(lost_queue_full, TOTAL, "lost: the queue was full")                                      \
	X(lost_undelivered, TOTAL, "lost: not delivered when the tap ended")                       \
	X(connections, TOTAL, "connections that were made")                                        \
	X(failed_connect, NOTE, "tries to connect, or to open the file, that failed")              \
	X(failed_handshake, NOTE, "connections that were not a collector's")                       \
	X(ended_closed, NOTE, "connections that the other end closed")                             \
	X(ended_timeout, NOTE, "connections on which the other end did nothing in time")           \
	X(ended_protocol, NOTE, "connections on which it said what no collector says")             \
	X(ended_error, NOTE, "connections that the system ended, writes to a file it refused")     \
	X(disk_full, NOTE, "times the disk had no room")                                           \
	X(spool_failed, NOTE, "times the spool took nothing")

struct sink_counts {
#define SINK_COUNT_FIELD(name, kind, text) uint64_t name;
	SINK_COUNT_LIST(SINK_COUNT_FIELD)
#undef SINK_COUNT_FIELD
};

/* A socket that the sink opened for itself (a look-up, a connection): not to be reported. */
struct sockaddr;
typedef void sink_own_socket_fn(
	void *arg, int protocol, const struct sockaddr *local, const struct sockaddr *remote);

/* For the tls sinks whose own options do not say otherwise; paths or NULL. */
struct sink_tls {
	const char *ca;   /* NULL: those that the system trusts */
	const char *cert; /* our own; NULL: none */
	const char *key;  /* NULL: in the same file */
	bool no_verify;
};

struct sink_options {
	size_t queue_size; /* bytes; SINK_QUEUE_MIN to SINK_QUEUE_MAX; the sink's own goes first */
	struct sink_tls tls;
	const char *spool;   /* folder of the sockets' spools; NULL: none but their own */
	uint64_t spool_size; /* bytes of each; 0: SINK_SPOOL_DEFAULT */
	const struct sink_files *files; /* NULL: files_plain; outlives the sink */
	bool wait_for_room;             /* a replay: sink_offer blocks instead of losing */
	sink_own_socket_fn *own_socket; /* may be NULL; called from the sender thread */
	void *own_socket_arg;
	int failure_fd;   /* eventfd, 1 is added when the sink can never work again
			     (closed pipe, a replay's file gone wrong); -1: none */
	int interrupt_fd; /* a replay's: while it is readable, sink_offer does not wait
			     for room but loses (a signalfd: Ctrl-C); 0 or -1: none */
};

struct sink;

/*
 * Opens what must work at once (a file, standard output) and starts the sender; a collector may
 * come later. 0 or -errno; error gets one line that names the sink and says what to do.
 */
int sink_new(const struct sink_url *url, const struct sink_options *options, struct sink **ret,
	char *error, size_t error_size);

/*
 * Gives a copy of one frame (or line, for SINK_LINES) to the sink. Never blocks a live tap. What
 * is longer than 256 KiB or than the queue is lost as if it were full; so is all that comes after
 * sink_stop_begin.
 */
void sink_offer(struct sink *sink, const void *bytes, size_t len);
/* The end of a batch: wakes the sender if it sleeps. Cheap when nothing was offered. */
void sink_flush(struct sink *sink);

/*
 * A file is finished and opened again, as after a log rotation (SIGHUP): by its next name, or by
 * the same if it was moved away. Other sinks go on as they are. Any thread.
 */
void sink_reopen(struct sink *sink);

/*
 * Ends the sink: sends what is queued, closes the connection with STOP and FINISH. A live tap's
 * sink takes at most SINK_STOP_MS; a replay's as long as its collector goes on taking bytes.
 * sink_stop_begin tells all sinks first, so that their times run side by side; it may be called
 * from any thread and ends a sink_offer that waits. After sink_stop the counts are final: queued
 * and written are 0.
 */
void sink_stop_begin(struct sink *sink);
void sink_stop(struct sink *sink);
void sink_free(struct sink *sink);
/* After sink_stop_begin: true when sink_stop will not wait. */
bool sink_ended(const struct sink *sink);

/* What sink_url(sink)->full is from now on: what is offered is the caller's. Its thread's only. */
void sink_set_full(struct sink *sink, bool full);

void sink_read_counts(const struct sink *sink, struct sink_counts *ret);
void sink_counts_add(struct sink_counts *to, const struct sink_counts *from);

/* How full it is now, bytes; a sink without a spool has one of size 0. Any thread. */
struct sink_levels {
	uint64_t queue, queue_size, spool, spool_size;
};

void sink_read_levels(const struct sink *sink, struct sink_levels *ret);
const struct sink_url *sink_url(const struct sink *sink);
/* Whether a collector is there now; for files and lines: whether they take what comes. */
bool sink_connected(const struct sink *sink);
/* True when the sink can never work again: its pipe was closed, a replay's file failed. */
bool sink_failed(const struct sink *sink);
/*
 * After sink_stop: true when it failed, but not because its reader closed the pipe and so has had
 * enough, or when its file lacks some of what was given to it last. A collector may be away.
 */
bool sink_broken(const struct sink *sink);

#endif
