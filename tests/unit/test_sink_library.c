/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's calls as another program makes them: what is taken, what is refused, what is told.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "sink/dnstap-emit.h"

enum { FILE_MAX = 4096 };

static char path[] = "/tmp/test-library-XXXXXX";
static char sink[sizeof(path) + 8];
static const struct dnstap_emit_options options = {.identity = "ns1", .version = "test 1"};
static const struct sockaddr_in client4 = {
	.sin_family = AF_INET, .sin_port = 0x3930, .sin_addr.s_addr = 0x017200c0};
static const struct sockaddr_in6 client6 = {
	.sin6_family = AF_INET6, .sin6_addr.s6_addr = {0x20, 1, 0xd, 0xb8, 'c', 'l'}};
static const struct sockaddr_in6 server6 = {
	.sin6_family = AF_INET6, .sin6_addr.s6_addr = {0x20, 1, 0xd, 0xb8, 's', 'v'}};
static const uint8_t query[] = "\0\1\1\0\0\1\0\0\0\0\0\0\4name\0\0\1\0";

static const void *at(const void *address)
{
	return address;
}

static struct dnstap_emit_message a_query(void)
{
	return (struct dnstap_emit_message){.type = DNSTAP_EMIT_CLIENT_QUERY,
		.query_address = at(&client4),
		.query_time = {.tv_sec = 1700000000},
		.query = {query, sizeof(query)}};
}

static struct dnstap_emit *open_with(const char *const *words, size_t count)
{
	struct dnstap_emit *e = NULL;
	char error[512] = "";

	if (dnstap_emit_open(&options, words, count, &e, error, sizeof(error)))
		fail_msg("%s", error);
	return e;
}

static size_t read_file(uint8_t *ret)
{
	FILE *from = fopen(path, "r");
	size_t len;

	assert_non_null(from);
	len = fread(ret, 1, FILE_MAX, from);
	fclose(from);
	return len;
}

static void both_families_are_written(void **state)
{
	const char *const words[] = {sink, "full"};
	struct dnstap_emit *e = open_with(words, 2);
	struct dnstap_emit_message m = a_query();
	struct dnstap_emit_counts counts[1];
	uint8_t file[FILE_MAX];
	size_t len;

	(void)state;
	assert_int_equal(dnstap_emit_sink_count(e), 1);
	assert_int_equal(dnstap_emit_tap(e, &m), 0);
	m.protocol = DNSTAP_EMIT_TCP;
	m.query_address = at(&client6);
	m.response_address = at(&server6);
	assert_int_equal(dnstap_emit_tap(e, &m), 0);
	dnstap_emit_close(e, counts);
	assert_int_equal(counts[0].frames, 2);
	assert_int_equal(counts[0].confirmed, 2);
	assert_int_equal(counts[0].lost, 0);
	len = read_file(file);
	assert_non_null(memmem(file, len, &client4.sin_addr, 4));
	assert_non_null(memmem(file, len, &client6.sin6_addr, 16));
	assert_non_null(memmem(file, len, &server6.sin6_addr, 16));
	assert_non_null(memmem(file, len, query, sizeof(query)));
	assert_non_null(memmem(file, len, "test 1", 6));
}

static void bytes_are_wanted_where_full_is_asked_for(void **state)
{
	const char *const words[] = {sink, "full"};
	struct dnstap_emit *e;

	(void)state;
	for (size_t count = 1; count <= 2; count++) {
		e = open_with(words, count);
		assert_int_equal(dnstap_emit_wants_bytes(e), count == 2);
		dnstap_emit_close(e, NULL);
	}
}

/* What is wrong in one place is refused as a whole. */
static void wrong_messages_are_refused(void **state)
{
	static const struct sockaddr_un unix_socket = {.sun_family = AF_UNIX};
	static uint8_t many[70000];
	const char *const words[] = {sink, "full"};
	struct dnstap_emit *e = open_with(words, 2);
	struct dnstap_emit_message wrong[11];
	struct dnstap_emit_counts counts[1];

	(void)state;
	for (size_t i = 0; i < 11; i++)
		wrong[i] = a_query();
	wrong[0].type = 0;
	wrong[1].type = DNSTAP_EMIT_UPDATE_RESPONSE + 1;
	wrong[2].response = wrong[2].query;
	wrong[3].response_address = at(&server6);
	wrong[4].query_address = at(&unix_socket);
	wrong[5].query_time.tv_sec = -1;
	wrong[6].query_time.tv_nsec = 1000000000;
	wrong[7].response_time.tv_nsec = -1;
	wrong[8].query = (struct dnstap_emit_bytes){many, sizeof(many)};
	wrong[9].query_zone = (struct dnstap_emit_bytes){many, 256};
	wrong[10].extra = (struct dnstap_emit_bytes){many, sizeof(many)};
	for (size_t i = 0; i < 11; i++)
		if (dnstap_emit_tap(e, &wrong[i]) != -EINVAL)
			fail_msg("message %zu is taken", i);
	dnstap_emit_close(e, counts);
	assert_int_equal(counts[0].frames, 0);
}

static void wrong_sinks_and_texts_are_told(void **state)
{
	static const char *const bad[] = {"udp://h"};
	const char *const good[] = {sink};
	struct dnstap_emit_options wrong = {.identity = "\xff"};
	struct dnstap_emit *e = NULL;
	char error[512];

	(void)state;
	assert_int_equal(dnstap_emit_open(&options, good, 0, &e, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "no sink is named"));
	assert_int_equal(dnstap_emit_open(&options, bad, 1, &e, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "udp"));
	assert_int_equal(dnstap_emit_open(&wrong, good, 1, &e, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "UTF-8"));
	assert_null(e);
	dnstap_emit_close(NULL, NULL);
}

static int make_path(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	snprintf(sink, sizeof(sink), "file://%s", path);
	return fd < 0 || close(fd);
}

static int remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families_are_written),
		cmocka_unit_test(bytes_are_wanted_where_full_is_asked_for),
		cmocka_unit_test(wrong_messages_are_refused),
		cmocka_unit_test(wrong_sinks_and_texts_are_told),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
