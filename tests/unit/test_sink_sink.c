/* SPDX-License-Identifier: BSD-2-Clause */
/* The sink against collectors of all manners, over real sockets; the good ones read by libfstrm. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "sink/retry.h"
#include "test_sink_room.h"
#include "test_sink_collector.h"

static char directory[] = "/tmp/test-sink-XXXXXX";

static const char *unix_path(char name)
{
	static char path[sizeof(directory) + 8];

	snprintf(path, sizeof(path), "%s/%c", directory, name);
	return path;
}

static const struct sink_options replay = {
	.queue_size = SINK_QUEUE_MIN, .failure_fd = -1, .wait_for_room = true};

static void offer(struct sink *sink, uint64_t from, uint64_t upto)
{
	offer_frames(sink, from, upto, 700);
}

/* What a person who reads the counts relies on, and that nothing came twice or out of order. */
static void agree(const struct sink_counts *c, const struct collector *collector)
{
	assert_int_equal(collector->repeated, 0);
	assert_int_equal(collector->disordered, 0);
	assert_in_range(collector->received, c->confirmed, c->confirmed + c->unconfirmed);
}

static bool within(uint64_t ms, const _Atomic uint64_t *count, uint64_t at_least)
{
	uint64_t end = clock_monotonic() + ms * NS_PER_MS;

	while (*count < at_least && clock_monotonic() < end)
		usleep(200);
	return *count >= at_least;
}

static bool connected(const struct sink *sink, uint64_t times, uint64_t ms)
{
	uint64_t end = clock_monotonic() + ms * NS_PER_MS;

	while (balanced(sink).connections < times && clock_monotonic() < end)
		usleep(200);
	return balanced(sink).connections >= times;
}

static bool drained(const struct sink *sink, uint64_t ms)
{
	uint64_t end = clock_monotonic() + ms * NS_PER_MS;

	while (balanced(sink).queued && clock_monotonic() < end)
		usleep(1000);
	return !balanced(sink).queued;
}

static void everything_is_confirmed(const char *text, struct collector *collector)
{
	struct sink *sink = open_sink(text, &live);
	struct sink_counts c;

	collector_start(collector);
	offer(sink, 0, 40000);
	assert_true(drained(sink, PATIENCE_MS));
	c = stopped(sink, SINK_STOP_MS);
	assert_int_equal(c.confirmed, 40000);
	assert_int_equal(collector->received, 40000);
	assert_true(within(PATIENCE_MS, &collector->streams, 1));
	assert_int_equal(c.connections, 1);
	agree(&c, collector);
	collector_stop(collector);
	sink_free(sink);
	free(collector);
}

static void unix_collector_gets_all(void **state)
{
	struct collector *c = collector_new(GOOD);

	(void)state;
	listen_unix(c, unix_path('a'));
	everything_is_confirmed(unix_path('a'), c);
}

static void tcp_collector_gets_all_by_address_and_by_name(void **state)
{
	static const char *const hosts[][2] = {
		{"127.0.0.1", "127.0.0.1"}, {"127.0.0.1", "localhost"}, {"::1", "[::1]"}};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct collector *c = collector_new(GOOD);
		uint16_t port = listen_tcp(c, hosts[i][0]);

		if (!port) {
			print_message("no %s on this machine\n", hosts[i][0]);
			close(c->listener);
			free(c);
			continue;
		}
		snprintf(text, sizeof(text), "tcp://%s:%u", hosts[i][1], port);
		everything_is_confirmed(text, c);
	}
}

struct own_socket {
	_Atomic uint64_t calls;
	struct sockaddr_in local, remote;
	int protocol;
};

static void note_own_socket(
	void *arg, int protocol, const struct sockaddr *local, const struct sockaddr *remote)
{
	struct own_socket *own = arg;

	memcpy(&own->local, local, sizeof(own->local));
	memcpy(&own->remote, remote, sizeof(own->remote));
	own->protocol = protocol;
	own->calls++;
}

static void the_taps_own_connection_is_told(void **state)
{
	struct own_socket own = {0};
	struct sink_options options = live;
	struct collector *c = collector_new(GOOD);
	uint16_t port = listen_tcp(c, "127.0.0.1");
	struct sink *sink;
	char text[64];

	(void)state;
	collector_start(c);
	options.own_socket = note_own_socket;
	options.own_socket_arg = &own;
	snprintf(text, sizeof(text), "tcp://127.0.0.1:%u", port);
	sink = open_sink(text, &options);
	assert_true(within(PATIENCE_MS, &own.calls, 1));
	stopped(sink, SINK_STOP_MS);
	assert_int_equal(own.calls, 1);
	assert_int_equal(own.protocol, IPPROTO_TCP);
	assert_int_equal(ntohs(own.remote.sin_port), port);
	assert_int_equal(own.local.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_not_equal(own.local.sin_port, 0);
	collector_stop(c);
	sink_free(sink);
	free(c);
}

static void an_idle_sink_delivers_within_50_ms(void **state)
{
	struct collector *c = collector_new(GOOD);
	unsigned int quick = 0;
	struct sink *sink;

	(void)state;
	listen_unix(c, unix_path('b'));
	collector_start(c);
	sink = open_sink(unix_path('b'), &live);
	assert_true(connected(sink, 1, PATIENCE_MS));
	for (uint64_t n = 0; n < 30; n++) {
		usleep(20000);
		offer(sink, n, n + 1);
		quick += within(50, &c->received, n + 1);
		assert_true(within(PATIENCE_MS, &c->received, n + 1));
	}
	/* on a machine that has nothing else to do all of them */
	assert_true(quick > 5);
	assert_int_equal(stopped(sink, SINK_STOP_MS).confirmed, 30);
	collector_stop(c);
	sink_free(sink);
	free(c);
}

static void a_collector_may_come_later(void **state)
{
	struct collector *c = collector_new(GOOD);
	struct sink *sink;

	(void)state;
	sink = open_sink(unix_path('c'), &live);
	offer(sink, 0, 1000);
	usleep(700000);
	assert_int_equal(balanced(sink).queued, 1000);
	listen_unix(c, unix_path('c'));
	collector_start(c);
	assert_true(within(PATIENCE_MS, &c->received, 1000));
	assert_int_equal(stopped(sink, SINK_STOP_MS).confirmed, 1000);
	collector_stop(c);
	sink_free(sink);
	free(c);
}

static void an_idle_sink_sees_its_collector_go_and_finds_it_again(void **state)
{
	struct collector *c = collector_new(GOOD);
	struct sink *sink;
	struct sink_counts counts;

	(void)state;
	listen_unix(c, unix_path('d'));
	collector_start(c);
	sink = open_sink(unix_path('d'), &live);
	offer(sink, 0, 10);
	assert_true(within(PATIENCE_MS, &c->received, 10));
	shutdown(c->connection, SHUT_RDWR);
	assert_true(connected(sink, 2, PATIENCE_MS));
	assert_int_equal(balanced(sink).unconfirmed, 10);
	/* and one that speaks out of turn is no collector any more */
	c->speak_after = 11;
	offer(sink, 10, 11);
	assert_true(connected(sink, 3, PATIENCE_MS));
	offer(sink, 11, 31);
	counts = stopped(sink, SINK_STOP_MS);
	assert_int_equal(counts.confirmed, 20);
	agree(&counts, c);
	collector_stop(c);
	sink_free(sink);
	free(c);
}

/* Hangs up in the middle of a frame, again and again. */
static void nothing_is_lost_or_doubled_by_a_collector_that_hangs_up(void **state)
{
	struct collector *c = collector_new(GOOD);
	struct sink_options options = live;
	struct sink *sink;
	struct sink_counts counts;

	(void)state;
	options.queue_size = 64 * 1024 * 1024;
	c->hang_up_after = 1117;
	listen_unix(c, unix_path('e'));
	collector_start(c);
	sink = open_sink(unix_path('e'), &options);
	for (uint64_t n = 0; n < 100000; n += 1000) {
		offer(sink, n, n + 1000);
		usleep(10000);
	}
	assert_true(connected(sink, 6, PATIENCE_MS));
	c->hang_up_after = 0;
	assert_true(drained(sink, PATIENCE_MS));
	counts = stopped(sink, SINK_STOP_MS);
	assert_int_equal(counts.offered, 100000);
	assert_int_equal(counts.lost_queue_full + counts.lost_undelivered, 0);
	agree(&counts, c);
	collector_stop(c);
	sink_free(sink);
	free(c);
}

/* The ones that do harm, side by side: the exit of all takes the time of one. */
static void bad_collectors_cost_only_their_own_messages(void **state)
{
	static const enum manner manners[] = {NEVER_ACCEPTS, NEVER_READS, NEVER_FINISHES, RUBBISH,
		HUGE_CONTROL, OTHER_TYPE, GOOD};
	enum { COUNT = sizeof(manners) / sizeof(manners[0]) };
	struct collector *c[COUNT];
	struct sink_counts counts[COUNT];
	struct sink *sink[COUNT];
	struct sink_options options = live;
	uint64_t began;

	(void)state;
	options.queue_size = 1024 * 1024;
	for (size_t i = 0; i < COUNT; i++) {
		c[i] = collector_new(manners[i]);
		listen_unix(c[i], unix_path((char)('0' + i)));
		collector_start(c[i]);
		sink[i] = open_sink(unix_path((char)('0' + i)), &options);
	}
	usleep(100000);
	began = clock_monotonic();
	for (uint64_t n = 0; n < 2000; n += 500) {
		for (size_t i = 0; i < COUNT; i++)
			offer(sink[i], n, n + 500);
	}
	/* a live tap's offers do not wait: 14,000 of them, with sanitizers too */
	assert_in_range((clock_monotonic() - began) / NS_PER_MS, 0, 1000 + BUSY_MS);
	for (uint64_t n = 2000; n < 10000; n += 500) {
		for (size_t i = 0; i < COUNT; i++)
			offer(sink[i], n, n + 500);
		usleep(5000);
	}
	began = clock_monotonic();
	for (size_t i = 0; i < COUNT; i++)
		sink_stop_begin(sink[i]);
	for (size_t i = 0; i < COUNT; i++) {
		counts[i] = stopped(sink[i], SINK_STOP_MS + 300);
		assert_int_equal(counts[i].offered, 10000);
		agree(&counts[i], c[i]);
		assert_false(sink_failed(sink[i]));
	}
	assert_in_range((clock_monotonic() - began) / NS_PER_MS, 0, SINK_STOP_MS + 300 + BUSY_MS);
	for (size_t i = 0; i < COUNT; i++) {
		collector_stop(c[i]);
		sink_free(sink[i]);
		free(c[i]);
	}
	/* no handshake, nothing sent */
	assert_int_equal(counts[0].unconfirmed, 0);
	assert_int_equal(counts[3].unconfirmed + counts[4].unconfirmed + counts[5].unconfirmed, 0);
	/* never reads: what the kernel took is unconfirmed, some found the queue full */
	assert_true(counts[1].unconfirmed > 0 && counts[1].lost_queue_full > 0);
	assert_int_equal(counts[1].confirmed, 0);
	/* read all and said nothing: nothing is confirmed, nothing is lost */
	assert_int_equal(counts[2].unconfirmed, 10000);
	/* and the good one among them */
	assert_int_equal(counts[6].confirmed, 10000);
}

static void without_a_collector_the_exit_is_quick_and_counts(void **state)
{
	struct sink *sink = open_sink(unix_path('f'), &live);

	(void)state;
	offer(sink, 0, 500);
	usleep(50000);
	assert_int_equal(stopped(sink, 500).lost_undelivered, 500);
	sink_free(sink);
}

static void a_name_that_does_not_resolve_and_a_port_nobody_serves(void **state)
{
	static const char *const texts[] = {"tcp://no-such-host.invalid", "tcp://127.0.0.1:1"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sink *sink = open_sink(texts[i], &live);

		offer(sink, 0, 5);
		usleep(20000);
		assert_int_equal(stopped(sink, SINK_STOP_MS + 300).lost_undelivered, 5);
		sink_free(sink);
	}
}

static void a_replay_waits_for_a_slow_collector(void **state)
{
	struct collector *c = collector_new(GOOD);
	struct sink *sink;

	(void)state;
	c->pause_us = 1000;
	listen_unix(c, unix_path('g'));
	sink = open_sink(unix_path('g'), &replay);
	collector_start(c);
	offer(sink, 0, 50000);
	assert_int_equal(stopped(sink, 20000).confirmed, 50000);
	assert_int_equal(c->received, 50000);
	collector_stop(c);
	sink_free(sink);
	free(c);
}

static void *stop_soon(void *arg)
{
	usleep(200000);
	sink_stop_begin(arg);
	return NULL;
}

/*
 * The queue is full, nobody comes, and the exit begins: the waiting offer returns. Side by side
 * with a replay whose collector has everything and never says FINISH.
 */
static void a_replay_that_waits_can_be_stopped(void **state)
{
	struct collector *c = collector_new(NEVER_FINISHES);
	struct sink *alone = open_sink(unix_path('h'), &replay), *unfinished;
	struct sink_counts counts;
	pthread_t thread;

	(void)state;
	listen_unix(c, unix_path('j'));
	collector_start(c);
	unfinished = open_sink(unix_path('j'), &replay);
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, alone), 0);
	offer(alone, 0, 2000);
	pthread_join(thread, NULL);
	offer(unfinished, 0, 2000);
	counts = stopped(unfinished, SINK_FINISH_MS + 300);
	assert_int_equal(counts.unconfirmed, 2000);
	counts = stopped(alone, SINK_WRITE_MS + SINK_BACKOFF_NEAR_MS + 300);
	assert_int_equal(counts.offered, 2000);
	assert_true(counts.lost_queue_full > 0 && counts.lost_undelivered > 0);
	collector_stop(c);
	sink_free(alone);
	sink_free(unfinished);
	free(c);
}

struct watcher {
	struct sink *sink;
	atomic_bool ending;
	_Atomic uint64_t looks, wrong;
};

static void *watch_counts(void *arg)
{
	struct watcher *w = arg;
	struct sink_counts c;

	while (!w->ending) {
		sink_read_counts(w->sink, &c);
		w->wrong += c.offered != c.confirmed + c.unconfirmed + c.written + c.queued +
						 c.lost_queue_full + c.lost_undelivered ||
			    c.queued > c.offered || c.written > c.offered;
		w->looks++;
	}
	return NULL;
}

static void the_counts_hold_at_every_moment(void **state)
{
	struct collector *c = collector_new(GOOD);
	struct watcher w = {0};
	struct sink_counts counts;
	pthread_t thread;

	(void)state;
	c->hang_up_after = 5003;
	listen_unix(c, unix_path('i'));
	collector_start(c);
	w.sink = open_sink(unix_path('i'), &live);
	assert_int_equal(pthread_create(&thread, NULL, watch_counts, &w), 0);
	offer(w.sink, 0, 60000);
	counts = stopped(w.sink, SINK_STOP_MS + 300);
	w.ending = true;
	pthread_join(thread, NULL);
	assert_true(w.looks > 0);
	assert_int_equal(w.wrong, 0);
	agree(&counts, c);
	collector_stop(c);
	sink_free(w.sink);
	free(c);
}

static void queue_sizes_are_checked(void **state)
{
	struct sink_options options = live;
	struct sink_url url;
	struct sink *sink;

	(void)state;
	assert_int_equal(sink_url_parse("/tmp/x", &url, error, sizeof(error)), 0);
	options.queue_size = SINK_QUEUE_MIN - 1;
	assert_int_equal(sink_new(&url, &options, &sink, error, sizeof(error)), -EINVAL);
	options.queue_size = (size_t)SINK_QUEUE_MAX + 1;
	assert_int_equal(sink_new(&url, &options, &sink, error, sizeof(error)), -EINVAL);
}

static int make_directory(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	for (const char *name = "abcdefghij0123456"; *name; name++)
		unlink(unix_path(*name));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unix_collector_gets_all),
		cmocka_unit_test(tcp_collector_gets_all_by_address_and_by_name),
		cmocka_unit_test(the_taps_own_connection_is_told),
		cmocka_unit_test(an_idle_sink_delivers_within_50_ms),
		cmocka_unit_test(a_collector_may_come_later),
		cmocka_unit_test(an_idle_sink_sees_its_collector_go_and_finds_it_again),
		cmocka_unit_test(nothing_is_lost_or_doubled_by_a_collector_that_hangs_up),
		cmocka_unit_test(bad_collectors_cost_only_their_own_messages),
		cmocka_unit_test(without_a_collector_the_exit_is_quick_and_counts),
		cmocka_unit_test(a_name_that_does_not_resolve_and_a_port_nobody_serves),
		cmocka_unit_test(a_replay_waits_for_a_slow_collector),
		cmocka_unit_test(a_replay_that_waits_can_be_stopped),
		cmocka_unit_test(the_counts_hold_at_every_moment),
		cmocka_unit_test(queue_sizes_are_checked),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
