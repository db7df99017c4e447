/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection to a collector that is only its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fstrm.h>

#include "sink/output.h"

static uint8_t answers[2 * FSTRM_CONTROL_FRAME_LENGTH_MAX];
static size_t answers_len, answers_read, written;
static bool says_early, closed;

static void add_answer(fstrm_control_type type)
{
	struct fstrm_control *control = fstrm_control_init();
	size_t len = sizeof(answers) - answers_len;

	fstrm_control_set_type(control, type);
	assert_int_equal(fstrm_control_encode(control, answers + answers_len, &len,
				 FSTRM_CONTROL_FLAG_WITH_HEADER),
		fstrm_res_success);
	answers_len += len;
	fstrm_control_destroy(&control);
}

static int fake_open(struct transport *t, struct wait *wait)
{
	(void)t, (void)wait;
	return 0;
}

static ssize_t fake_write(struct transport *t, const void *bytes, size_t len)
{
	(void)t, (void)bytes;
	written += len;
	return (ssize_t)len;
}

static ssize_t fake_read(struct transport *t, void *bytes, size_t len)
{
	(void)t;
	if (answers_len - answers_read < len)
		return 0;
	memcpy(bytes, answers + answers_read, len);
	answers_read += len;
	return (ssize_t)len;
}

static int fake_check(struct transport *t)
{
	(void)t;
	return says_early ? -EPROTO : 0;
}

static int fake_close(struct transport *t)
{
	(void)t;
	closed = true;
	return 0;
}

static const struct transport_ops ops = {
	.open = fake_open,
	.write = fake_write,
	.read = fake_read,
	.check = fake_check,
	.close = fake_close,
};

/* What output_close says of a connection with one frame. */
static int close_one(bool early)
{
	struct transport transport = {.ops = &ops, .fd = -1, .framed = true, .remote = true};
	struct wait wait = {.wake_fd = -1};
	struct output *output;
	bool connected;
	size_t before;
	int rc;

	says_early = closed = false;
	answers_len = answers_read = 0;
	add_answer(FSTRM_CONTROL_ACCEPT);
	add_answer(FSTRM_CONTROL_FINISH);
	assert_int_equal(output_new(&transport, &wait, &output), 0);
	assert_int_equal(output_open(output, &connected), 0);
	assert_int_equal(output_put(output, "frame", 5), 0);
	assert_int_equal(output_flush(output), 0);
	before = written;
	says_early = early;
	rc = output_close(output);
	assert_int_equal(written == before, early);
	assert_true(closed);
	output_free(output);
	return rc;
}

static void finish_confirms_only_after_stop(void **state)
{
	(void)state;
	assert_int_equal(close_one(false), 0);
	assert_int_equal(close_one(true), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finish_confirms_only_after_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
