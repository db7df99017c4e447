/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A collector for the sink's tests, in a thread of its own: one connection after another, good
 * (read by libfstrm) or bad in one of the manners that the sink must survive. It notes which frames
 * came, by the number in their first 8 bytes, and whether any came twice or out of order.
 */
#ifndef TEST_SINK_COLLECTOR_H
#define TEST_SINK_COLLECTOR_H

#include <arpa/inet.h>
#include <fstrm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FRAMES_MAX = 400 * 1000 };

enum manner {
	GOOD,
	NEVER_ACCEPTS,  /* takes the connection, never says ACCEPT */
	NEVER_READS,    /* does the handshake, then nothing */
	NEVER_FINISHES, /* reads everything, never says FINISH */
	RUBBISH,        /* says something else than ACCEPT */
	HUGE_CONTROL,   /* a control frame of 4 GiB */
	OTHER_TYPE,     /* accepts another content type only */
};

struct collector {
	enum manner manner;
	/* frames on each connection, then in the middle of the next; 0: never */
	_Atomic uint64_t hang_up_after;
	_Atomic uint64_t speak_after; /* frames in all, then a byte out of turn; 0: never */
	unsigned int pause_us;        /* after each 100 frames */
	int listener;
	pthread_t thread;
	atomic_bool ending;
	atomic_int connection; /* the one that is open, -1: none */
	_Atomic uint64_t received, streams, repeated, disordered;
	uint64_t last;
	uint8_t seen[FRAMES_MAX];
};

/* libfstrm's reader over the collector's connection. */

static inline fstrm_res no_step(void *arg)
{
	(void)arg;
	return fstrm_res_success;
}

static inline fstrm_res read_bytes(void *arg, void *bytes, size_t len)
{
	struct collector *c = arg;
	ssize_t n = len ? recv(c->connection, bytes, len, MSG_WAITALL) : 0;

	if (n == (ssize_t)len)
		return fstrm_res_success;
	return n == 0 ? fstrm_res_stop : fstrm_res_failure;
}

static inline fstrm_res write_bytes(void *arg, const struct iovec *iov, int count)
{
	struct collector *c = arg;

	for (int i = 0; i < count; i++) {
		if (c->manner == NEVER_FINISHES && c->received)
			return fstrm_res_success;
		if (send(c->connection, iov[i].iov_base, iov[i].iov_len, MSG_NOSIGNAL) < 0)
			return fstrm_res_failure;
	}
	return fstrm_res_success;
}

static inline struct fstrm_reader *new_reader(struct collector *c)
{
	static const char type[] = "protobuf:dnstap.Dnstap";
	struct fstrm_reader_options *options = fstrm_reader_options_init();
	struct fstrm_rdwr *rdwr = fstrm_rdwr_init(c);
	struct fstrm_reader *reader;

	fstrm_rdwr_set_open(rdwr, no_step);
	fstrm_rdwr_set_close(rdwr, no_step);
	fstrm_rdwr_set_read(rdwr, read_bytes);
	fstrm_rdwr_set_write(rdwr, write_bytes);
	fstrm_reader_options_add_content_type(options, type, sizeof(type) - 1);
	reader = fstrm_reader_init(options, &rdwr);
	fstrm_reader_options_destroy(&options);
	return reader;
}

static inline void note_frame(struct collector *c, const uint8_t *bytes, size_t len)
{
	uint64_t number;

	if (len < sizeof(number))
		return;
	memcpy(&number, bytes, sizeof(number));
	if (number >= FRAMES_MAX)
		return;
	c->repeated += c->seen[number];
	c->seen[number] = 1;
	c->disordered += c->received && number <= c->last;
	c->last = number;
	c->received++;
}

static inline void read_stream(struct collector *c)
{
	struct fstrm_reader *reader = new_reader(c);
	const uint8_t *bytes;
	uint64_t frames = 0;
	size_t len;
	uint8_t part[10];
	fstrm_res res;

	while ((res = fstrm_reader_read(reader, &bytes, &len)) == fstrm_res_success) {
		note_frame(c, bytes, len);
		if (c->received == c->speak_after)
			send(c->connection, "?", 1, MSG_NOSIGNAL);
		if (++frames == c->hang_up_after) {
			recv(c->connection, part, sizeof(part), MSG_WAITALL);
			break;
		}
		if (c->pause_us && frames % 100 == 0)
			usleep(c->pause_us);
	}
	if (res == fstrm_res_stop && fstrm_reader_close(reader) == fstrm_res_success)
		c->streams++;
	fstrm_reader_destroy(&reader);
}

static inline void wait_for_end(struct collector *c)
{
	while (!c->ending)
		usleep(1000);
}

static inline void serve(struct collector *c)
{
	static const uint8_t rubbish[600] = "HTTP/1.1 400 Bad Request\r\n";
	static const uint8_t huge[8] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
	/* escape, length, ACCEPT, CONTENT_TYPE */
	static const uint8_t other_type[] = "\0\0\0\0"
					    "\0\0\0\x16"
					    "\0\0\0\1"
					    "\0\0\0\1"
					    "\0\0\0\x0a"
					    "text/plain";
	struct fstrm_reader *reader;

	switch (c->manner) {
	case NEVER_READS:
		reader = new_reader(c);
		fstrm_reader_open(reader);
		wait_for_end(c);
		fstrm_reader_destroy(&reader);
		break;
	case NEVER_ACCEPTS:
		wait_for_end(c);
		break;
	case RUBBISH:
		send(c->connection, rubbish, sizeof(rubbish), MSG_NOSIGNAL);
		usleep(1000);
		break;
	case HUGE_CONTROL:
		send(c->connection, huge, sizeof(huge), MSG_NOSIGNAL);
		wait_for_end(c);
		break;
	case OTHER_TYPE:
		send(c->connection, other_type, sizeof(other_type) - 1, MSG_NOSIGNAL);
		wait_for_end(c);
		break;
	default:
		read_stream(c);
		if (c->manner == NEVER_FINISHES)
			wait_for_end(c);
	}
}

static inline void *collect(void *arg)
{
	struct collector *c = arg;

	while (!c->ending) {
		int fd = accept(c->listener, NULL, NULL);

		if (fd < 0)
			break;
		c->connection = fd;
		serve(c);
		c->connection = -1;
		close(fd);
	}
	return NULL;
}

static inline void listen_unix(struct collector *c, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	unlink(path);
	memcpy(address.sun_path, path, strlen(path));
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(c->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(c->listener, 8), 0);
}

/* On a free port of the address, which is returned. */
static inline uint16_t listen_tcp(struct collector *c, const char *host)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	bool is_v4 = inet_pton(AF_INET, host, &v4.sin_addr) == 1;
	struct sockaddr *address = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	socklen_t len = is_v4 ? sizeof(v4) : sizeof(v6);

	if (!is_v4)
		assert_int_equal(inet_pton(AF_INET6, host, &v6.sin6_addr), 1);
	c->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->listener < 0 || bind(c->listener, address, len))
		return 0;
	assert_int_equal(listen(c->listener, 8), 0);
	assert_int_equal(getsockname(c->listener, address, &len), 0);
	return ntohs(is_v4 ? v4.sin_port : v6.sin6_port);
}

static inline struct collector *collector_new(enum manner manner)
{
	struct collector *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->manner = manner;
	c->connection = -1;
	return c;
}

static inline void collector_start(struct collector *c)
{
	assert_int_equal(pthread_create(&c->thread, NULL, collect, c), 0);
}

static inline void collector_stop(struct collector *c)
{
	c->ending = true;
	shutdown(c->listener, SHUT_RDWR);
	if (c->connection >= 0)
		shutdown(c->connection, SHUT_RDWR);
	pthread_join(c->thread, NULL);
	close(c->listener);
}

#endif
