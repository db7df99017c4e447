/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection after another over one transport: bytes are put into a buffer, which takes them
 * without any system call, and flushed. Frames are wrapped by libfstrm's writer, which writes each
 * one by itself and lets its reader and writer block; so it is given an fstrm_rdwr whose write
 * only gathers and whose read first flushes and then waits, with a deadline.
 *
 * What libfstrm does by itself and what we do about it: fstrm_writer_destroy closes an open writer,
 * with STOP and waiting for FINISH, so a connection that is over is marked broken, and then
 * nothing is written or read; fstrm_writer_open leaves a transport open when the content type does
 * not match, so output_abort closes it.
 *
 * The buffer holds OUTPUT_BATCH and one more item of any length: put never flushes, and after a
 * flush that failed output_taken tells exactly how many of the bytes since the last successful
 * flush the system took. Bounds: that buffer. Threads: the sender's.
 */
#ifndef SINK_OUTPUT_H
#define SINK_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "sink/transport.h"
#include "sink/wait.h"

/* Bytes after which a batch is flushed: past 64 KiB a system call more does not show. */
enum { OUTPUT_BATCH = 64 * 1024 };

struct output;

/* The transport and the wait stay the caller's. 0 or -errno. */
int output_new(struct transport *transport, struct wait *wait, struct output **ret);
void output_free(struct output *output);

/*
 * Connects and, where frames go, does the handshake and sends START. 0 or -errno, then
 * *ret_connected tells whether the other end was there. -EPROTO: it is not a collector.
 */
int output_open(struct output *output, bool *ret_connected);

/* True when so much is put that it should be flushed now. */
bool output_full(const struct output *output);
/* Puts one frame or line, at most QUEUE_ITEM_MAX long and not when full. 0 or -errno. */
int output_put(struct output *output, const void *bytes, size_t len);
/* The bytes that an item of that length takes in the stream. */
size_t output_size(const struct output *output, size_t len);
/* Hands all that was put to the system. 0 or -errno. */
int output_flush(struct output *output);
/* After output_flush: the bytes taken; after a failure what was put is forgotten, taken or not. */
size_t output_taken(const struct output *output);

/* STOP and FINISH, and closes. 0: the other end (or the file) has everything; else -errno. */
int output_close(struct output *output);
/* Closes without a word. */
void output_abort(struct output *output);

#endif
