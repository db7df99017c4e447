/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The container that a process runs in, from the names of its control groups: Docker, containerd,
 * CRI-O and Podman put the container's id, 64 hexadecimal digits, into the last part or a part near
 * the end, alone (cgroupfs) or as name-ID.scope (systemd). In Kubernetes the first process of a pod
 * is that of its sandbox. Pure.
 */
#ifndef CAPTURE_CONTAINER_H
#define CAPTURE_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

enum { CONTAINER_DIGITS = 64, CONTAINER_SHORT_DIGITS = 12 };

/* cgroup: the text of /proc/PID/cgroup. False: none, then id is empty. */
bool container_of_cgroup(const char *cgroup, char id[static CONTAINER_DIGITS + 1]);

/* True when wanted is that id, or its first CONTAINER_SHORT_DIGITS or more. */
bool container_is(const char *wanted, const char *id);

#endif
