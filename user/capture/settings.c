/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/settings.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>

#include "base/flow.h"
#include "record.h"
#include "sample.h"

#include "capture.skel.h"

_Static_assert((int)LOADER_NETWORKS_MAX == (int)RECORD_NETWORKS_MAX, "the tries hold them all");
_Static_assert((int)LOADER_SAMPLE_KEY_WORDS == (int)SAMPLE_KEY_WORDS, "one key for both sides");

static struct bpf_program *pick_program(struct capture *skel, enum rings_kind kind, bool filtered)
{
	switch (kind) {
	case RINGS_BPF:
		return filtered ? skel->progs.filter_ring : skel->progs.capture_ring;
	case RINGS_PERF:
		return filtered ? skel->progs.filter_perf : skel->progs.capture_perf;
	default:
		return filtered ? skel->progs.filter_array : skel->progs.capture_array;
	}
}

struct bpf_program *settings_prepare(
	struct capture *skel, const struct loader_options *o, enum rings_kind kind)
{
	const struct loader_filter *f = &o->filter;
	struct bpf_program *each, *picked;

	skel->rodata->clamp = o->clamp;
	skel->rodata->filter_clients = f->client_count > 0;
	skel->rodata->filter_servers = f->server_count > 0;
	skel->rodata->filter_sample = f->sample > 1;
	for (int i = 0; i < SAMPLE_KEY_WORDS; i++)
		skel->rodata->sample_key[i] = f->sample_key[i];
	settings_set_ports(skel, o->ports, o->port_count);
	settings_set_sample(skel, f->sample);
	picked = pick_program(
		skel, kind, f->client_count > 0 || f->server_count > 0 || f->sample > 1);
	bpf_object__for_each_program(each, skel->obj)
		bpf_program__set_autoload(each, each == picked);
	return picked;
}

static int fill_trie(const struct bpf_map *map, const struct loader_network *networks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct record_network key = {
			.len = RECORD_NETWORK_FAMILY_BITS + networks[i].len,
			.ethertype = networks[i].family == FAMILY_IPV4 ? ETH_P_IP : ETH_P_IPV6,
		};
		uint8_t present = 1;

		memcpy(key.address, networks[i].address, sizeof(key.address));
		if (bpf_map_update_elem(bpf_map__fd(map), &key, &present, BPF_ANY))
			return -errno;
	}
	return 0;
}

int settings_fill(struct capture *skel, const struct loader_options *o)
{
	const struct loader_filter *f = &o->filter;
	int err = fill_trie(skel->maps.client_networks, f->clients, f->client_count);

	return err ? err : fill_trie(skel->maps.server_networks, f->servers, f->server_count);
}

/* Word by word, so that no packet on a port that stays meets a word without its bit. */
void settings_set_ports(struct capture *skel, const uint16_t *ports, size_t count)
{
	uint64_t words[RECORD_PORT_WORDS] = {0};

	for (size_t i = 0; i < count; i++)
		words[ports[i] / 64] |= 1ULL << (ports[i] % 64);
	for (size_t i = 0; i < RECORD_PORT_WORDS; i++)
		__atomic_store_n(
			&skel->data_settings->settings.watched[i], words[i], __ATOMIC_RELAXED);
}

void settings_set_sample(struct capture *skel, uint32_t sample)
{
	__atomic_store_n(&skel->data_settings->settings.sample, sample, __ATOMIC_RELAXED);
}

void settings_disable_networks(struct capture *skel)
{
	__atomic_store_n(&skel->data_settings->settings.networks_off, 1, __ATOMIC_RELAXED);
}

void settings_disable_clamp(struct capture *skel)
{
	__atomic_store_n(&skel->data_settings->settings.clamp_off, 1, __ATOMIC_RELAXED);
}
