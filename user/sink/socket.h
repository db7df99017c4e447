/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the stream sockets (unix, tcp, tls) have in common: connecting with a deadline on a socket
 * that never blocks, and one try of sending, receiving, looking whether the other end is still
 * there. socket_close is fit for a transport's close. Threads: the sender's.
 */
#ifndef SINK_SOCKET_H
#define SINK_SOCKET_H

#include <sys/socket.h>

#include "sink/transport.h"
#include "sink/wait.h"

/* A new nonblocking connected socket, or -errno. */
int socket_connect(const struct sockaddr *address, socklen_t len, struct wait *wait);

ssize_t socket_write(struct transport *t, const void *bytes, size_t len);
ssize_t socket_read(struct transport *t, void *bytes, size_t len);
int socket_check(struct transport *t);
int socket_hang_up(struct transport *t);
int socket_close(struct transport *t);

/* How a socket transport starts: not open, framed, watched for the other end's words and end. */
void socket_transport_init(struct transport *t, const struct transport_ops *ops);

#endif
