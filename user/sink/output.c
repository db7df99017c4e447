/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/output.h"

#include <errno.h>
#include <fstrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "sink/queue.h"

static const char content_type[] = "protobuf:dnstap.Dnstap";

enum {
	FRAME_PREFIX = 4, /* be32 length */
	/* START or READY before a batch and STOP after it, each with escape and length */
	CONTROL_ROOM = 2 * (8 + FSTRM_CONTROL_FRAME_LENGTH_MAX),
	BUFFER_SIZE = OUTPUT_BATCH + FRAME_PREFIX + QUEUE_ITEM_MAX + CONTROL_ROOM,
};

struct output {
	struct transport *transport;
	struct wait *wait;
	struct fstrm_writer *writer; /* NULL: not open, or lines */
	size_t used;                 /* bytes in the buffer */
	size_t taken;                /* of these, by the system; kept after the flush */
	bool connected;
	bool broken;            /* the connection is over: no I/O on it */
	int error;              /* why, -errno */
	unsigned int answer_ms; /* how long to wait for ACCEPT, FINISH */
	uint64_t answer_by;     /* the moment; 0: not waiting yet */
	uint8_t buffer[BUFFER_SIZE];
};

int output_new(struct transport *transport, struct wait *wait, struct output **ret)
{
	struct output *out = calloc(1, sizeof(*out));

	if (!out)
		return -ENOMEM;
	out->transport = transport;
	out->wait = wait;
	*ret = out;
	return 0;
}

void output_free(struct output *out)
{
	if (!out)
		return;
	output_abort(out);
	free(out);
}

static int fail(struct output *out, int rc)
{
	out->broken = true;
	if (!out->error)
		out->error = rc;
	return rc;
}

/*
 * A write has SINK_WRITE_MS from the last byte taken. A patient transport has no end while the tap
 * runs; when it stops, the time runs from then on.
 */
static uint64_t write_deadline(const struct output *out, uint64_t progress)
{
	uint64_t began = wait_stop_began(out->wait);

	if (!out->transport->patient)
		return progress;
	if (!began)
		return WAIT_FOREVER;
	began += SINK_WRITE_MS * NS_PER_MS;
	return began > progress ? began : progress;
}

int output_flush(struct output *out)
{
	struct transport *t = out->transport;
	uint64_t progress = wait_until(SINK_WRITE_MS);
	ssize_t n = 0;

	out->taken = 0;
	while (out->taken < out->used && n >= 0) {
		n = t->ops->write(t, out->buffer + out->taken, out->used - out->taken);
		if (n > 0) {
			out->taken += (size_t)n;
			progress = wait_until(SINK_WRITE_MS);
		} else if (n == 0 || n == -EAGAIN) {
			n = wait_fd(out->wait, t->fd, t->wants, write_deadline(out, progress));
		}
	}
	out->used = 0;
	return n < 0 ? (int)n : 0;
}

/* The functions that libfstrm calls. */

static fstrm_res on_open(void *arg)
{
	struct output *out = arg;
	int rc = out->transport->ops->open(out->transport, out->wait);

	if (rc) {
		fail(out, rc);
		return fstrm_res_failure;
	}
	out->connected = true;
	return fstrm_res_success;
}

static int append(struct output *out, const void *bytes, size_t len)
{
	if (len > sizeof(out->buffer) - out->used)
		return fail(out, -ENOBUFS);
	memcpy(out->buffer + out->used, bytes, len);
	out->used += len;
	return 0;
}

static fstrm_res on_write(void *arg, const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++) {
		if (append(arg, iov[i].iov_base, iov[i].iov_len))
			return fstrm_res_failure;
	}
	return fstrm_res_success;
}

/* All of len bytes, by the answer's deadline, which starts when the question is on its way. */
static int read_all(struct output *out, uint8_t *bytes, size_t len)
{
	struct transport *t = out->transport;
	int rc = out->used ? output_flush(out) : 0;
	ssize_t n;

	if (!out->answer_by)
		out->answer_by = wait_until(out->answer_ms);
	while (len > 0 && rc >= 0) {
		n = t->ops->read(t, bytes, len);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (n == -EAGAIN) {
			rc = wait_ready(out->wait, t->fd, t->wants, out->answer_by);
		} else {
			rc = n ? (int)n : -EPIPE;
		}
	}
	return rc < 0 ? rc : 0;
}

static fstrm_res on_read(void *arg, void *bytes, size_t len)
{
	struct output *out = arg;
	int rc;

	if (out->broken)
		return fstrm_res_failure;
	rc = read_all(out, bytes, len);
	if (!rc)
		return fstrm_res_success;
	fail(out, rc);
	return fstrm_res_failure;
}

/*
 * Nobody says FINISH: what the system took gets its time to arrive before the connection is closed,
 * which would throw it away if the other end had said anything.
 */
static void wait_for_end(struct output *out)
{
	struct transport *t = out->transport;
	const uint64_t deadline = wait_until(SINK_FINISH_MS);
	char ignored[256];
	ssize_t n = t->ops->hang_up(t);

	while (n >= 0) {
		n = t->ops->read(t, ignored, sizeof(ignored));
		if (n == -EAGAIN)
			n = wait_ready(out->wait, t->fd, t->wants, deadline);
		else if (n == 0)
			return;
	}
}

/* What goes one way only has its STOP still in the buffer here. A torn one is taken back. */
static fstrm_res on_close(void *arg)
{
	struct output *out = arg;
	const struct transport_ops *ops = out->transport->ops;
	int rc = out->broken || !out->used ? 0 : output_flush(out);

	if (rc && ops->cut)
		ops->cut(out->transport, out->taken);
	if (!rc && !out->broken && out->transport->unidirectional)
		wait_for_end(out);
	if (!rc)
		rc = ops->close(out->transport);
	if (rc)
		fail(out, rc);
	return rc ? fstrm_res_failure : fstrm_res_success;
}

static struct fstrm_writer *new_writer(struct output *out)
{
	struct fstrm_writer_options *options = fstrm_writer_options_init();
	struct fstrm_rdwr *rdwr = fstrm_rdwr_init(out);
	struct fstrm_writer *writer = NULL;

	if (!options || !rdwr)
		goto out;
	fstrm_rdwr_set_open(rdwr, on_open);
	fstrm_rdwr_set_write(rdwr, on_write);
	fstrm_rdwr_set_close(rdwr, on_close);
	if (out->transport->ops->read && !out->transport->unidirectional)
		fstrm_rdwr_set_read(rdwr, on_read);
	/* one type only: with more, libfstrm forgets that one matched */
	if (fstrm_writer_options_add_content_type(
		    options, content_type, sizeof(content_type) - 1) == fstrm_res_success)
		writer = fstrm_writer_init(options, &rdwr);
out:
	fstrm_rdwr_destroy(&rdwr);
	fstrm_writer_options_destroy(&options);
	return writer;
}

static int open_framed(struct output *out)
{
	out->answer_ms = SINK_HANDSHAKE_MS;
	out->writer = new_writer(out);
	if (!out->writer)
		return fail(out, -ENOMEM);
	if (fstrm_writer_open(out->writer) != fstrm_res_success)
		return fail(out, -EPROTO);
	return output_flush(out);
}

int output_open(struct output *out, bool *ret_connected)
{
	int rc;

	out->connected = out->broken = false;
	out->error = 0;
	out->answer_by = 0;
	out->used = out->taken = 0;
	rc = out->transport->framed ? open_framed(out) : (on_open(out), out->error);
	*ret_connected = out->connected;
	if (!rc)
		return 0;
	/* the first error is the cause: libfstrm's own word for it is only "failure" */
	rc = out->error ? out->error : rc;
	if (out->connected && out->transport->ops->cut)
		out->transport->ops->cut(out->transport, out->taken);
	output_abort(out);
	return rc;
}

bool output_full(const struct output *out)
{
	return out->used >= OUTPUT_BATCH;
}

int output_put(struct output *out, const void *bytes, size_t len)
{
	if (!out->writer)
		return append(out, bytes, len);
	/* libfstrm would write the escape of a control frame */
	if (len == 0)
		return 0;
	if (fstrm_writer_write(out->writer, bytes, len) != fstrm_res_success)
		return fail(out, -EPIPE);
	return 0;
}

size_t output_size(const struct output *out, size_t len)
{
	return out->transport->framed && len ? len + FRAME_PREFIX : len;
}

size_t output_taken(const struct output *out)
{
	return out->taken;
}

int output_close(struct output *out)
{
	int rc = 0;

	out->error = 0;
	out->answer_by = 0;
	out->answer_ms = SINK_FINISH_MS;
	/* a FINISH that is there before STOP is no answer to it */
	if (out->writer)
		rc = out->transport->ops->check(out->transport);
	if (rc)
		fail(out, rc);
	if (!out->writer)
		on_close(out);
	else if (fstrm_writer_close(out->writer) != fstrm_res_success)
		rc = -EPROTO;
	rc = out->error ? out->error : rc;
	output_abort(out);
	return rc;
}

void output_abort(struct output *out)
{
	out->broken = true;
	out->used = 0;
	if (out->writer)
		fstrm_writer_destroy(&out->writer);
	out->transport->ops->close(out->transport);
}
