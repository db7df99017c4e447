/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A dnstap collector that only counts: frames, bytes, and how long each message was on its way,
 * from its own time (query_time of a query, response_time of a response) to the moment at which
 * read(2) gave its last byte to this program.
 *
 *	collector PATH
 *
 * listens on that Unix path until SIGTERM or the end of standard input. For each line there it
 * prints one line of JSON about what came since the last one. Times are kept in a histogram of 32
 * steps an octave (3 % wide), in us. One thread; at most CONNECTIONS_MAX connections.
 */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 16,
	BUFFER_BYTES = 1 << 20,
	STEPS = 32,      /* of the histogram, an octave */
	OCTAVES = 40,    /* 2^40 us is twelve days */
	CONTROL_ACCEPT = 1,
	CONTROL_START = 2,
	CONTROL_STOP = 3,
	CONTROL_READY = 4,
	CONTROL_FINISH = 5,
};

static const char content_type[] = "protobuf:dnstap.Dnstap";

struct connection {
	int fd; /* -1: free */
	size_t have;
	uint8_t *bytes;
};

static struct {
	uint64_t frames, bytes, queries, untimed, most;
	uint64_t histogram[OCTAVES * STEPS];
} seen;

static uint64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The histogram's place of a time: octave and, linear in it, step. */
static size_t place_of(uint64_t us)
{
	unsigned int octave;

	if (us < STEPS)
		return us;
	octave = 63 - (unsigned int)__builtin_clzll(us);
	if (octave >= OCTAVES)
		return OCTAVES * STEPS - 1;
	return octave * STEPS + ((us >> (octave - 5)) & (STEPS - 1));
}

static double us_of(size_t place)
{
	unsigned int octave = (unsigned int)(place / STEPS);

	if (place < STEPS)
		return (double)place;
	return (double)(1ull << octave) * (1.0 + (double)(place % STEPS) / STEPS);
}

static double percentile(double share)
{
	uint64_t total = 0, below = 0;
	size_t i;

	for (i = 0; i < OCTAVES * STEPS; i++)
		total += seen.histogram[i];
	for (i = 0; i < OCTAVES * STEPS - 1; i++) {
		below += seen.histogram[i];
		if ((double)below > share * (double)total)
			break;
	}
	return total ? us_of(i) : -1;
}

static void print_seen(void)
{
	printf("{\"frames\": %llu, \"bytes\": %llu, \"queries\": %llu, \"untimed\": %llu, "
		"\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"most\": %.1f}\n",
		(unsigned long long)seen.frames, (unsigned long long)seen.bytes,
		(unsigned long long)seen.queries, (unsigned long long)seen.untimed,
		percentile(0.5), percentile(0.9), percentile(0.99), (double)seen.most);
	fflush(stdout);
	memset(&seen, 0, sizeof(seen));
}

static const uint8_t *varint(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
	unsigned int shift = 0;

	*ret = 0;
	while (p < end && shift < 64) {
		*ret |= (uint64_t)(*p & 0x7f) << shift;
		shift += 7;
		if (!(*p++ & 0x80))
			return p;
	}
	return NULL;
}

/* One field of a protobuf message: its value, or for bytes its length and place. NULL: broken. */
static const uint8_t *field(const uint8_t *p, const uint8_t *end, uint64_t *key, uint64_t *value,
	const uint8_t **bytes)
{
	uint32_t fixed;

	p = varint(p, end, key);
	if (!p)
		return NULL;
	switch (*key & 7) {
	case 0:
		return varint(p, end, value);
	case 2:
		p = varint(p, end, value);
		if (!p || *value > (uint64_t)(end - p))
			return NULL;
		*bytes = p;
		return p + *value;
	case 5:
		if (end - p < 4)
			return NULL;
		memcpy(&fixed, p, 4);
		*value = fixed;
		return p + 4;
	}
	return NULL;
}

static void take_message(const uint8_t *p, const uint8_t *end, uint64_t now)
{
	uint64_t key, value = 0, type = 0, times[4] = {0}, at;
	const uint8_t *bytes = NULL;
	bool query;

	while (p && p < end) {
		p = field(p, end, &key, &value, &bytes);
		if (!p)
			return;
		key >>= 3;
		if (key == 1)
			type = value;
		else if (key == 8 || key == 9)
			times[key - 8] = value;
		else if (key == 12 || key == 13)
			times[key - 10] = value;
	}
	query = type & 1;
	seen.queries += query;
	at = times[query ? 0 : 2] * 1000000000 + times[query ? 1 : 3];
	if (!at) {
		seen.untimed++;
		return;
	}
	at = now > at ? (now - at) / 1000 : 0;
	seen.most = at > seen.most ? at : seen.most;
	seen.histogram[place_of(at)]++;
}

static void take_frame(const uint8_t *p, size_t len, uint64_t now)
{
	const uint8_t *end = p + len, *bytes = NULL;
	uint64_t key, value = 0;

	seen.frames++;
	seen.bytes += len;
	while (p && p < end) {
		p = field(p, end, &key, &value, &bytes);
		if (p && key >> 3 == 14)
			take_message(bytes, p, now);
	}
}

static bool answer(int fd, uint32_t kind)
{
	size_t type_len = kind == CONTROL_ACCEPT ? sizeof(content_type) - 1 : 0;
	uint32_t head[5] = {0, htonl((uint32_t)(4 + (type_len ? 8 + type_len : 0))), htonl(kind),
		htonl(1), htonl((uint32_t)type_len)};
	char frame[64];
	size_t len = type_len ? sizeof(head) : 12;

	memcpy(frame, head, len);
	memcpy(frame + len, content_type, type_len);
	len += type_len;
	return write(fd, frame, len) == (ssize_t)len;
}

static bool take_control(struct connection *c, const uint8_t *p)
{
	uint32_t kind;

	memcpy(&kind, p, 4);
	kind = ntohl(kind);
	if (kind == CONTROL_READY)
		return answer(c->fd, CONTROL_ACCEPT);
	if (kind == CONTROL_STOP)
		return answer(c->fd, CONTROL_FINISH);
	return kind == CONTROL_START;
}

/* All whole frames in the buffer; what is left moves to its beginning. */
static bool take_all(struct connection *c, uint64_t now)
{
	const uint8_t *p = c->bytes, *end = c->bytes + c->have;
	bool ok = true;
	uint32_t len;

	while (ok && end - p >= 4) {
		bool control;

		memcpy(&len, p, 4);
		control = !len;
		if (control && end - p >= 8)
			memcpy(&len, p + 4, 4);
		len = ntohl(len);
		if ((size_t)(end - p) < (control ? 8u : 4u) + len)
			break;
		p += control ? 8 : 4;
		if (control)
			ok = len >= 4 && take_control(c, p);
		else
			take_frame(p, len, now);
		p += len;
	}
	c->have = (size_t)(end - p);
	memmove(c->bytes, p, c->have);
	return ok && c->have < BUFFER_BYTES;
}

static void take_bytes(struct connection *c)
{
	ssize_t got = read(c->fd, c->bytes + c->have, BUFFER_BYTES - c->have);

	if (got > 0) {
		c->have += (size_t)got;
		if (take_all(c, wall_ns()))
			return;
	}
	close(c->fd);
	free(c->bytes);
	c->fd = -1;
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		errx(1, "%s: too long", path);
	strcpy(address.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 8))
		err(1, "%s", path);
	return fd;
}

static void accept_one(int listener, struct connection *all)
{
	int fd = accept(listener, NULL, NULL);

	for (size_t i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
		if (all[i].fd >= 0)
			continue;
		all[i] = (struct connection){.fd = fd, .bytes = malloc(BUFFER_BYTES)};
		if (!all[i].bytes)
			err(1, "malloc");
		return;
	}
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct connection all[CONNECTIONS_MAX];
	struct pollfd waits[CONNECTIONS_MAX + 2];
	char line[64];
	int listener;

	if (argc != 2)
		errx(2, "usage: collector PATH");
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		all[i].fd = -1;
	listener = listen_on(argv[1]);
	for (;;) {
		waits[0] = (struct pollfd){.fd = 0, .events = POLLIN};
		waits[1] = (struct pollfd){.fd = listener, .events = POLLIN};
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			waits[i + 2] = (struct pollfd){.fd = all[i].fd, .events = POLLIN};
		if (poll(waits, CONNECTIONS_MAX + 2, -1) < 0)
			err(1, "poll");
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			if (waits[i + 2].revents)
				take_bytes(&all[i]);
		if (waits[1].revents)
			accept_one(listener, all);
		if (waits[0].revents) {
			if (read(0, line, sizeof(line)) <= 0)
				break;
			print_seen();
		}
	}
	unlink(argv[1]);
	return 0;
}
