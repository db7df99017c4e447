/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/container.h"

enum {
	PATH_MAX_HERE = 320, /* a folder of ours and a file's name */
	CGROUP_MAX = 16384,  /* of a process's cgroup file */
	PID_DIGITS = 7,      /* the kernel's limit is 2^22 */
};

static const char *const folders[] = {"/run/netns", "/var/run/docker/netns"};

struct found {
	struct netns_entry entry;
	char path[PATH_MAX_HERE];
	bool wanted;
	bool seen; /* by the listing under way */
};

struct netns {
	const char *const *wanted;
	size_t wanted_count;
	bool *met;       /* beside wanted: something was found for it */
	int own_fd;      /* of our own namespace, to come back */
	struct stat own; /* of the same */
	struct found *found;
	size_t count, room; /* in the order in which they were seen first */
	bool no_memory;     /* for one that the listing under way came to */
	char cgroup[CGROUP_MAX];
};

int netns_new(const char *const *wanted, size_t count, struct netns **ret)
{
	struct netns *n = calloc(1, sizeof(*n));
	int err = 0;

	if (!n)
		return -ENOMEM;
	n->wanted = wanted;
	n->wanted_count = count;
	n->met = calloc(count + 1, sizeof(*n->met));
	n->own_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (!n->met || n->own_fd < 0 || fstat(n->own_fd, &n->own))
		err = -errno;
	if (err && count) {
		netns_free(n);
		return err;
	}
	*ret = n;
	return 0;
}

void netns_free(struct netns *n)
{
	if (!n)
		return;
	if (n->own_fd >= 0)
		close(n->own_fd);
	free(n->met);
	free(n->found);
	free(n);
}

static struct found *find(struct netns *n, uint64_t id)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->found[i].entry.id == id)
			return &n->found[i];
	return NULL;
}

static struct found *add(struct netns *n)
{
	if (n->count == n->room) {
		size_t room = n->room ? 2 * n->room : 32;
		struct found *more = realloc(n->found, room * sizeof(*more));

		if (!more)
			return NULL;
		n->found = more;
		n->room = room;
	}
	return &n->found[n->count++];
}

/* NULL: our own, or without memory. One of an earlier listing keeps its place and nothing else. */
static struct found *find_or_add(struct netns *n, uint64_t id, const char *path)
{
	struct found *f = find(n, id);

	if (id == n->own.st_ino || (f && f->seen))
		return f;
	if (!f)
		f = add(n);
	if (!f) {
		n->no_memory = true;
		return NULL;
	}
	*f = (struct found){.entry.id = id, .seen = true};
	snprintf(f->path, sizeof(f->path), "%s", path);
	return f;
}

static bool same_text(const char *wanted, const char *name)
{
	return !strcmp(wanted, name);
}

/* Whether any that is wanted stands for this name, container or process. */
static bool is_wanted(
	struct netns *n, const char *name, bool (*stands_for)(const char *wanted, const char *name))
{
	bool found = false;

	for (size_t i = 0; i < n->wanted_count; i++) {
		if (strcmp(n->wanted[i], "all") && !stands_for(n->wanted[i], name))
			continue;
		n->met[i] = found = true;
	}
	return found;
}

/* A file that no namespace is mounted on lies in another file system. */
static bool stat_namespace(const struct netns *n, const char *path, struct stat *ret)
{
	return !stat(path, ret) && ret->st_dev == n->own.st_dev;
}

static void take_name(struct netns *n, const char *folder, const char *name)
{
	char path[PATH_MAX_HERE];
	struct found *f;
	struct stat file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (!stat_namespace(n, path, &file))
		return;
	f = find_or_add(n, file.st_ino, path);
	if (!f)
		return;
	if (!*f->entry.name)
		snprintf(f->entry.name, sizeof(f->entry.name), "%s", name);
	f->wanted |= is_wanted(n, name, same_text);
}

static void scan_folder(struct netns *n, const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir)
		return; /* nobody has named one yet */
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			take_name(n, folder, entry->d_name);
	closedir(dir);
}

static bool is_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits && digits <= PID_DIGITS && !text[digits];
}

static void read_container(struct netns *n, const char *pid, struct netns_entry *entry)
{
	char path[PATH_MAX_HERE];
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/cgroup", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, n->cgroup, sizeof(n->cgroup) - 1);
		close(fd);
	}
	if (len < 0)
		return;
	n->cgroup[len] = '\0';
	container_of_cgroup(n->cgroup, entry->container);
}

static void take_process(struct netns *n, const char *pid)
{
	char path[PATH_MAX_HERE];
	struct found *f;
	struct stat file;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	if (!stat_namespace(n, path, &file))
		return;
	f = find_or_add(n, file.st_ino, path);
	if (!f)
		return;
	if (!f->entry.pid) {
		f->entry.pid = (int32_t)strtol(pid, NULL, 10);
		read_container(n, pid, &f->entry);
		f->wanted |= is_wanted(n, f->entry.container, container_is);
	}
	f->wanted |= is_wanted(n, pid, same_text);
}

static int scan_processes(struct netns *n)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (is_number(entry->d_name))
			take_process(n, entry->d_name);
	closedir(dir);
	return 0;
}

static int scan(struct netns *n)
{
	int err;

	n->no_memory = false;
	for (size_t i = 0; i < n->count; i++)
		n->found[i].seen = false;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		scan_folder(n, folders[i]);
	err = scan_processes(n);
	return !err && n->no_memory ? -ENOMEM : err;
}

static void forget_unseen(struct netns *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->count; i++)
		if (n->found[i].seen)
			n->found[kept++] = n->found[i];
	n->count = kept;
}

int netns_list(struct netns *n, struct netns_entry *ret, size_t max)
{
	size_t count = 0;
	int err = scan(n);

	if (err)
		return err;
	forget_unseen(n);
	for (size_t i = 0; i < n->count && count < max; i++) {
		struct netns_entry *entry = &n->found[i].entry;

		if (!n->found[i].wanted)
			continue;
		if (!*entry->name)
			snprintf(entry->name, sizeof(entry->name), "net:[%" PRIu64 "]", entry->id);
		ret[count++] = *entry;
	}
	return (int)count;
}

bool netns_met(const struct netns *n, size_t wanted)
{
	return n->met[wanted];
}

bool netns_has_others(void)
{
	static const char *const all[] = {"all"};
	struct netns_entry entry;
	struct netns *n;
	bool found;

	if (netns_new(all, 1, &n))
		return false;
	found = netns_list(n, &entry, 1) > 0;
	netns_free(n);
	return found;
}

static int make_socket(enum netns_socket kind)
{
	int fd;

	switch (kind) {
	case NETNS_PACKET:
		fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		break;
	case NETNS_ROUTE:
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
		break;
	case NETNS_DIAG:
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		break;
	default:
		return -EINVAL;
	}
	return fd < 0 ? -errno : fd;
}

/* Staying in another namespace would keep it alive and make each later socket a wrong one. */
static int make_socket_in(const struct netns *n, int namespace_fd, enum netns_socket kind)
{
	int fd;

	if (setns(namespace_fd, CLONE_NEWNET))
		return -errno;
	fd = make_socket(kind);
	if (setns(n->own_fd, CLONE_NEWNET))
		abort();
	return fd;
}

int netns_socket(struct netns *n, uint64_t id, enum netns_socket kind)
{
	struct found *f = id ? find(n, id) : NULL;
	struct stat file;
	int fd, made;

	if (!id)
		return make_socket(kind);
	if (!f || !f->wanted)
		return -ENOENT;
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ESRCH ? -ENOENT : -errno;
	if (fstat(fd, &file) || file.st_dev != n->own.st_dev || file.st_ino != id)
		made = -ENOENT;
	else
		made = make_socket_in(n, fd, kind);
	close(fd);
	return made;
}
