/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sink/output against what a collector may say: READY, ACCEPT, FINISH, too little, too much and
 * rubbish, in any pieces. The input: u8 options, u8 frames, then what the collector says, over a
 * transport whose other end is this harness. Each byte of the options' pieces: how much of it a
 * read gives. What was sent is read back by the rules of Frame Streams: no frame before ACCEPT,
 * each frame whole and right, STOP at the end.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fuzz.h"
#include "sink/output.h"

enum { CONTROL_ACCEPT = 1, CONTROL_START, CONTROL_STOP, CONTROL_READY, CONTROL_FINISH };
enum { SENT_MAX = 1 << 20, FRAMES_MAX = 64, CONTROL_LEN_MAX = 512, SAID_MAX = 4096 };
enum option { ONE_WAY = 1, NO_WRITES = 2, FAILS_AT_END = 4, ABORTS = 8 };

struct collector {
	struct transport base;
	struct script says;
	uint8_t options;
	uint8_t turn; /* every few tries nothing goes */
	bool over;    /* the connection has ended: nothing is to be tried on it */
	size_t heard; /* bytes of says that were read */
	size_t len;
	uint8_t sent[SENT_MAX];
};

static int on_open(struct transport *t, struct wait *wait)
{
	(void)wait;
	((struct collector *)t)->len = 0;
	((struct collector *)t)->over = false;
	return 0;
}

static ssize_t on_write(struct transport *t, const void *bytes, size_t len)
{
	struct collector *c = (struct collector *)t;

	FUZZ_CHECK(!c->over);
	t->wants = POLLIN; /* which an eventfd that is set always is */
	if (++c->turn % 4 == 0)
		return -EAGAIN;
	if (c->options & NO_WRITES && c->turn > 8) {
		c->over = true;
		return -EPIPE;
	}
	if (c->turn % 3 == 0)
		len = (len + 1) / 2;
	FUZZ_CHECK(len <= SENT_MAX - c->len);
	memcpy(c->sent + c->len, bytes, len);
	c->len += len;
	return (ssize_t)len;
}

static ssize_t on_read(struct transport *t, void *bytes, size_t len)
{
	struct collector *c = (struct collector *)t;
	const uint8_t *from;
	size_t got;

	FUZZ_CHECK(!c->over);
	t->wants = POLLIN;
	if (++c->turn % 4 == 0)
		return -EAGAIN;
	from = script_bytes(&c->says, c->turn % 3 ? len : (len + 1) / 2, &got);
	c->over = !got;
	if (!got)
		return c->options & FAILS_AT_END ? -ECONNRESET : 0;
	memcpy(bytes, from, got);
	c->heard += got;
	return (ssize_t)got;
}

static int on_check(struct transport *t)
{
	(void)t;
	return 0;
}

static int on_close(struct transport *t)
{
	((struct collector *)t)->over = true;
	return 0;
}

static const struct transport_ops ops = {
	.open = on_open,
	.write = on_write,
	.read = on_read,
	.check = on_check,
	.hang_up = on_check,
	.close = on_close,
};

/* A control frame by its type and length, at the front of the script, which moves behind it. */
static bool take_control(struct script *s, uint32_t *ret_type)
{
	struct script payload;
	uint32_t len;

	if (s->left < 12 || script_u32(s))
		return false;
	len = script_u32(s);
	payload = *s;
	*ret_type = script_u32(&payload);
	if (len < 4 || len > CONTROL_LEN_MAX || len > s->left)
		return false;
	script_bytes(s, len, &payload.left);
	return true;
}

static void make_frame(unsigned int number, uint8_t *frame, size_t *ret_len)
{
	*ret_len = 1 + number * number * 7 % 3000;
	for (size_t i = 0; i < *ret_len; i++)
		frame[i] = (uint8_t)(number + i * 3);
}

/* The whole of what was sent on a connection that was closed as it should be. */
static void check_sent(const struct collector *c, unsigned int frames)
{
	struct script s = {c->sent, c->len};
	uint8_t expected[3000];
	size_t len, got;
	uint32_t type;

	if (!c->base.unidirectional)
		FUZZ_CHECK(take_control(&s, &type) && type == CONTROL_READY);
	FUZZ_CHECK(take_control(&s, &type) && type == CONTROL_START);
	for (unsigned int i = 0; i < frames; i++) {
		const uint8_t *frame;

		make_frame(i, expected, &len);
		FUZZ_CHECK(script_u32(&s) == len);
		frame = script_bytes(&s, len, &got);
		FUZZ_CHECK(got == len && !memcmp(frame, expected, len));
	}
	FUZZ_CHECK(take_control(&s, &type) && type == CONTROL_STOP && !s.left);
}

/* It said what it must before it got what it got; *ret_rest: what it said behind ACCEPT. */
static void check_accepted(const uint8_t *said, size_t len, struct script *ret_rest)
{
	struct script s = {said, len};
	uint32_t type;

	FUZZ_CHECK(take_control(&s, &type) && type == CONTROL_ACCEPT);
	*ret_rest = s;
}

static void check_not_accepted(const struct collector *c)
{
	struct script s = {c->sent, c->len};
	uint32_t type;

	if (c->base.unidirectional || !take_control(&s, &type))
		return;
	FUZZ_CHECK(type == CONTROL_READY);
	/* START may have gone out before the write that failed, frames never */
	if (s.left >= 12)
		FUZZ_CHECK(take_control(&s, &type) && type == CONTROL_START && !s.left);
}

static void converse(struct collector *c, struct output *out, unsigned int frames)
{
	const struct script said = c->says;
	struct script rest = {0};
	uint8_t frame[3000];
	bool connected;
	uint32_t type;
	size_t len;
	int rc = output_open(out, &connected);

	FUZZ_CHECK(connected);
	if (rc) {
		check_not_accepted(c);
		return;
	}
	if (!c->base.unidirectional)
		check_accepted(said.at, said.left, &rest);
	for (unsigned int i = 0; i < frames && !rc; i++) {
		make_frame(i, frame, &len);
		rc = output_put(out, frame, len);
		FUZZ_CHECK(!rc && output_size(out, len) == len + 4);
		if (i % 5 == 4)
			rc = output_flush(out);
	}
	if (rc || c->options & ABORTS) {
		c->over = true;
		output_abort(out);
		return;
	}
	if (output_close(out))
		return;
	check_sent(c, frames);
	if (!c->base.unidirectional)
		FUZZ_CHECK(take_control(&rest, &type) && type == CONTROL_FINISH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct collector *c = calloc(1, sizeof(*c));
	struct wait wait = {.wake_fd = eventfd(0, EFD_NONBLOCK)};
	struct script s = {data, size};
	struct output *out;
	unsigned int frames;
	uint8_t *said;

	FUZZ_CHECK(c && wait.wake_fd >= 0);
	c->base.ops = &ops;
	c->base.fd = eventfd(1, EFD_NONBLOCK);
	c->base.framed = c->base.remote = true;
	c->options = script_u8(&s);
	c->base.unidirectional = c->options & ONE_WAY;
	frames = script_u8(&s) % FRAMES_MAX;
	said = fuzz_copy(s.at, s.left);
	c->says = (struct script){said, s.left};
	FUZZ_CHECK(c->base.fd >= 0 && !output_new(&c->base, &wait, &out));
	for (int i = 0; i < 2; i++)
		converse(c, out, frames);
	output_free(out);
	close(c->base.fd);
	close(wait.wake_fd);
	fuzz_free(said);
	free(c);
	return 0;
}
