/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/replay.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd, COOKED_OUTGOING = 4 };

/* Reads the link layer: leaves the cursor behind it, and in ret what it says of the packet. */
typedef void link_fn(struct cursor *c, struct captured *ret);

struct replay {
	FILE *file; /* until libpcap has it */
	pcap_t *pcap;
	link_fn *link;
	const char *path;
	int pipe_fd; /* -1: a regular file, which never makes one wait */
};

static void ethernet(struct cursor *c, struct captured *ret)
{
	cursor_take(c, 12);
	ret->source.ethertype = cursor_be16(c);
}

static void cooked_v1(struct cursor *c, struct captured *ret)
{
	ret->outgoing = cursor_be16(c) == COOKED_OUTGOING;
	cursor_take(c, 12);
	ret->source.ethertype = cursor_be16(c);
}

static void cooked_v2(struct cursor *c, struct captured *ret)
{
	ret->source.ethertype = cursor_be16(c);
	cursor_take(c, 2);
	ret->ifindex = cursor_be32(c);
	cursor_take(c, 2);
	ret->outgoing = cursor_u8(c) == COOKED_OUTGOING;
	cursor_take(c, 9);
}

static void raw_ip(struct cursor *c, struct captured *ret)
{
	uint8_t version = cursor_left(c) ? *c->at >> 4 : 0;

	ret->source.ethertype = version == 4 ? ETHERTYPE_IPV4 : version == 6 ? ETHERTYPE_IPV6 : 0;
}

/* The address family in the byte order of the host that captured, whose AF_INET6 we must guess. */
static void bsd_loopback(struct cursor *c, struct captured *ret)
{
	cursor_take(c, 4);
	raw_ip(c, ret);
}

static link_fn *link_of(int type)
{
	switch (type) {
	case DLT_EN10MB:
		return ethernet;
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
		return raw_ip;
	case DLT_LINUX_SLL:
		return cooked_v1;
	case DLT_LINUX_SLL2:
		return cooked_v2;
	case DLT_NULL:
	case DLT_LOOP:
		return bsd_loopback;
	default:
		return NULL;
	}
}

/* NULL with errno. */
static FILE *open_input(const char *path)
{
	FILE *from;
	int fd, error;

	if (strcmp(path, "-"))
		return fopen(path, "re");
	fd = dup(STDIN_FILENO);
	if (fd < 0)
		return NULL;
	from = fdopen(fd, "r");
	if (!from) {
		error = errno;
		close(fd);
		errno = error;
	}
	return from;
}

/* A pipe is read without a buffer, so that its descriptor tells whether there is more. */
static int open_file(struct replay *r)
{
	struct stat status;

	r->file = open_input(r->path);
	if (!r->file || fstat(fileno(r->file), &status))
		return -errno;
	if (!S_ISREG(status.st_mode)) {
		setvbuf(r->file, NULL, _IONBF, 0);
		r->pipe_fd = fileno(r->file);
	}
	return 0;
}

static int refuse(const struct replay *r, const char *why, char *error)
{
	/* libpcap names the path in some of its messages and not in others. */
	const char *prefix = strstr(why, r->path) ? "" : r->path;

	snprintf(error, REPLAY_ERROR_MAX, "cannot read capture file %s%s%s", prefix,
		*prefix ? ": " : "", why);
	return -EIO;
}

/* libpcap's words say what it tried, not what to do. */
static const char *explain(const struct replay *r, const char *why)
{
	struct stat status;

	if (!fstat(fileno(r->file), &status) && S_ISREG(status.st_mode) && !status.st_size)
		return "it is empty";
	if (!strcmp(why, "unknown file format"))
		return "it is neither pcap nor pcapng (if it is compressed: zcat FILE | dnstap-bpf "
		       "-r - SINK)";
	return why;
}

int replay_open(const char *path, struct replay **ret, char error[static REPLAY_ERROR_MAX])
{
	struct replay *r = calloc(1, sizeof(*r));
	int err;

	if (!r) {
		snprintf(error, REPLAY_ERROR_MAX, "cannot read %s: out of memory", path);
		return -ENOMEM;
	}
	r->path = path;
	r->pipe_fd = -1;
	err = open_file(r);
	if (err) {
		refuse(r, strerror(-err), error);
		replay_close(r);
		return err;
	}
	*ret = r;
	return 0;
}

int replay_begin(struct replay *r, char error[static REPLAY_ERROR_MAX])
{
	char why[PCAP_ERRBUF_SIZE] = "";
	const char *name;
	int type;

	r->pcap =
		pcap_fopen_offline_with_tstamp_precision(r->file, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!r->pcap)
		return refuse(r, explain(r, why), error);
	r->file = NULL; /* libpcap closes it from now on */
	type = pcap_datalink(r->pcap);
	r->link = link_of(type);
	if (r->link)
		return 0;
	name = pcap_datalink_val_to_name(type);
	snprintf(error, REPLAY_ERROR_MAX,
		"cannot read %s: link type %d (%s) is not Ethernet, raw IP, Linux cooked or BSD "
		"loopback",
		r->path, type, name ? name : "unknown");
	return -ENOTSUP;
}

void replay_close(struct replay *r)
{
	if (!r)
		return;
	if (r->pcap)
		pcap_close(r->pcap);
	if (r->file)
		fclose(r->file);
	free(r);
}

static void describe(
	struct replay *r, const struct pcap_pkthdr *h, const uint8_t *bytes, struct captured *ret)
{
	struct cursor c = cursor_over(bytes, h->caplen);
	uint32_t taken;

	/* With this precision libpcap's tv_usec holds nanoseconds. */
	*ret = (struct captured){
		.time = (uint64_t)h->ts.tv_sec * NS_PER_SECOND + (uint64_t)h->ts.tv_usec,
	};
	r->link(&c, ret);
	taken = (uint32_t)(c.at - bytes);
	ret->bytes = c.at;
	if (c.failed || h->len < h->caplen)
		return;
	ret->source.have = h->caplen - taken;
	ret->source.wire = h->len - taken;
}

int replay_pipe_fd(const struct replay *r)
{
	return r->pipe_fd;
}

bool replay_copies_possible(const struct replay *r)
{
	return r->link == cooked_v1 || r->link == cooked_v2;
}

int replay_next(struct replay *r, struct captured *ret, char error[static REPLAY_ERROR_MAX])
{
	struct pcap_pkthdr *header;
	const uint8_t *bytes;

	switch (pcap_next_ex(r->pcap, &header, &bytes)) {
	case 1:
		describe(r, header, bytes, ret);
		return 1;
	case PCAP_ERROR_BREAK:
		return 0;
	default:
		snprintf(error, REPLAY_ERROR_MAX, "cannot read on in %s: %s", r->path,
			pcap_geterr(r->pcap));
		return -EIO;
	}
}
