/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the bytes of a sink go: one small table of functions for each kind. A transport knows
 * neither frames nor lines nor deadlines of its own: open is given the wait, and write and read are
 * one try each that never blocks. Everything else stands in output.c and sender.c, once.
 *
 * Ownership: transport_new gives it to the caller, transport_free closes and frees it.
 * Threads: transport_new and transport_free from one thread, the rest from the sender's.
 */
#ifndef SINK_TRANSPORT_H
#define SINK_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sink/sink.h"
#include "sink/url.h"
#include "sink/wait.h"

struct transport;

struct transport_ops {
	/* Connects within its deadlines. 0 or -errno, t->why may say more. */
	int (*open)(struct transport *t, struct wait *wait);
	/* Bytes taken, or -errno; -EAGAIN: wait for t->wants. */
	ssize_t (*write)(struct transport *t, const void *bytes, size_t len);
	/* Bytes got, 0 at the end, or -errno. NULL: nothing ever comes back (files). */
	ssize_t (*read)(struct transport *t, void *bytes, size_t len);
	/* 0, or why the connection is over: -EPIPE closed, -EPROTO the other end spoke, ... */
	int (*check)(struct transport *t);
	/* Takes the last len bytes back. NULL: what was written cannot be undone. */
	int (*cut)(struct transport *t, size_t len);
	/*
	 * True when what is open is to be finished and the next to be opened; looked at before
	 * each batch and at t->due. reopen: the user asks for it; empty: no frame is in it yet.
	 * NULL: never.
	 */
	bool (*due)(struct transport *t, bool reopen, bool empty);
	/* No byte follows: the other end sees the end once it has all. NULL: close does. */
	int (*hang_up)(struct transport *t);
	/* After news_fd became readable: the other end may have come. NULL: no news. */
	bool (*news)(struct transport *t);
	/* Ends the connection; -errno when what was written may be lost. May be called twice. */
	int (*close)(struct transport *t);
	/* Frees what the kind added and t itself; closed before. */
	void (*destroy)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
	int fd;       /* -1: not open */
	short wants;  /* poll events to wait for after -EAGAIN */
	short watch;  /* poll events that tell, while idle, that it is over (errors always do) */
	bool framed;  /* Frame Streams; else lines */
	bool remote;  /* has another end that comes and goes */
	bool patient; /* a person or a pipe may pause as long as it likes: no write deadline */
	bool unidirectional; /* remote, and nothing is ever asked or answered */
	uint64_t due;        /* monotonic ns when to ask ops->due; 0: never */
	const char *name;    /* of what is open, one of many; NULL: it is the only one */
	int news_fd;         /* to be watched while not open; -1: none */
	const char *why;     /* constant text for the last error; NULL: strerror */
	const char *note;    /* constant text to go with "connected"; NULL: none */
};

#define UNIX_NO_SOCKET "it exists and is not a Unix socket"

/* 0 or -errno; error then holds one line. Nothing of the options is kept but own_socket and files.
 */
int transport_new(const struct sink_url *url, const struct sink_options *options,
	struct transport **ret, char *error, size_t error_size);
void transport_free(struct transport *t);

/* The kinds, each in its own file: 0 or -errno, then hint may hold why, more than strerror does. */
int unix_transport_new(
	const struct sink_url *url, const struct sink_options *options, struct transport **ret);
int tcp_transport_new(
	const struct sink_url *url, const struct sink_options *options, struct transport **ret);
int tls_transport_new(const struct sink_url *url, const struct sink_options *options,
	struct transport **ret, char *hint, size_t hint_size);
int file_transport_new(const struct sink_url *url, const struct sink_options *options,
	struct transport **ret, char *hint, size_t hint_size);
int stdout_transport_new(const struct sink_options *options, struct transport **ret);

static inline const struct sink_files *sink_files(const struct sink_options *options)
{
	return options->files ? options->files : &files_plain;
}

#endif
