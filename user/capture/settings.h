/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of the operator's filters the BPF program does early (bpf/filter.bpf.h), and which of its
 * variants is needed for that. Before loading: which variant, and the constants. After it: the
 * tries, by bpf(), once. What may change later lies in memory that is mapped: settings_* below, at
 * any time, also without any capability. The tries cannot change, only be switched off.
 *
 * For loader.c alone. One thread.
 */
#ifndef CAPTURE_SETTINGS_H
#define CAPTURE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/loader.h"

struct capture;
struct bpf_program;

/* Between open and load: returns the one program that is to be loaded, and sets its constants. */
struct bpf_program *settings_prepare(
	struct capture *skel, const struct loader_options *options, enum rings_kind kind);
/* After load: fills the tries. 0 or -errno. */
int settings_fill(struct capture *skel, const struct loader_options *options);

/* Ports that stay are watched without a gap. */
void settings_set_ports(struct capture *skel, const uint16_t *ports, size_t count);
void settings_set_sample(struct capture *skel, uint32_t sample);
void settings_disable_networks(struct capture *skel);
void settings_disable_clamp(struct capture *skel);

#endif
