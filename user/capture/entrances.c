/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/entrances.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

struct entrances {
	int map; /* holds the capture program; jumps go through it */
	size_t count;
	int programs[]; /* of slot 1 and so on */
};

static int make_map(int program_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	uint32_t key = 0, value = (uint32_t)program_fd;
	int map = bpf_map_create(
		BPF_MAP_TYPE_PROG_ARRAY, "entrances", sizeof(key), sizeof(value), 1, &options);
	int err;

	if (map < 0)
		return -errno;
	if (!bpf_map_update_elem(map, &key, &value, BPF_ANY))
		return map;
	err = -errno;
	close(map);
	return err;
}

/* skb->cb[0] = slot; go on at the program in the map; where that fails, leave the packet alone. */
static int make_program(int map, uint16_t slot)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = slot},
		{.code = BPF_STX | BPF_MEM | BPF_W,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_REG_2,
			.off = offsetof(struct __sk_buff, cb)},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
			.dst_reg = BPF_REG_2,
			.src_reg = BPF_PSEUDO_MAP_FD,
			.imm = map},
		{0}, /* the upper half of the number before */
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "entrance", "Dual BSD/GPL", code,
		sizeof(code) / sizeof(code[0]), &options);

	return fd < 0 ? -errno : fd;
}

int entrances_new(int program_fd, size_t count, struct entrances **ret)
{
	struct entrances *e = calloc(1, sizeof(*e) + count * sizeof(e->programs[0]));
	int err = 0;

	if (!e)
		return -ENOMEM;
	e->map = make_map(program_fd);
	if (e->map < 0)
		err = e->map;
	while (!err && e->count < count) {
		int fd = make_program(e->map, (uint16_t)(e->count + 1));

		if (fd < 0)
			err = fd;
		else
			e->programs[e->count++] = fd;
	}
	if (err) {
		entrances_free(e);
		return err;
	}
	*ret = e;
	return 0;
}

void entrances_free(struct entrances *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->count; i++)
		close(e->programs[i]);
	if (e->map >= 0)
		close(e->map);
	free(e);
}

int entrances_program(const struct entrances *e, uint16_t slot)
{
	return e && slot && slot <= e->count ? e->programs[slot - 1] : -EINVAL;
}
