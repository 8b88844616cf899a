/*
 * Reads files through several mounts in turn, in C so that what is measured is the kernel's part:
 *
 *     storage-reader [--cold] CASE ROUNDS PATH...
 *
 * CASE is one of
 *     tree    walks a folder and reads each file in it
 *     open    opens and closes each file of a folder, by its path from there
 *     stat    walks a folder and stats each name in it
 *     file    reads one file
 *     random  reads 4 KiB at a time at random places of one file that stays open
 * After one round that is not counted, each round takes every path in turn and prints a line for it: its place among the
 * paths from 0, bytes read, names met, nanoseconds by the clock, nanoseconds of processor time. With --cold there is no
 * such first round, and the kernel's caches are dropped before each path.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char buffer[128 << 10];
static uint64_t bytes, names;

static void read_all(int fd, const char *name) {
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) != 0; bytes += (uint64_t)got)
    if (got < 0) err(1, "read %s", name);
}

static int open_in(int folder, const char *name, int flags) {
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) err(1, "open %s", name);
  return fd;
}

/* Calls what is given for each name below a folder, which it takes over: a file's with its path from the top. */
static void walk(int folder, const char *path, void (*visit)(int, const struct dirent *, const char *)) {
  DIR *entries = fdopendir(folder);
  if (!entries) err(1, "%s", path);
  for (struct dirent *entry; (entry = readdir(entries));) {
    const char *name = entry->d_name;
    if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
    char full[8192];
    snprintf(full, sizeof full, "%s%s%s", path, *path ? "/" : "", name);
    visit(folder, entry, full);
    if (entry->d_type == DT_DIR) walk(open_in(folder, name, O_DIRECTORY), full, visit);
  }
  closedir(entries);
}

static void visit_read(int folder, const struct dirent *entry, const char *path) {
  if (entry->d_type != DT_REG) return;
  int fd = open_in(folder, entry->d_name, 0);
  read_all(fd, path);
  close(fd);
  names++;
}

static void visit_stat(int folder, const struct dirent *entry, const char *path) {
  struct stat found;
  if (fstatat(folder, entry->d_name, &found, AT_SYMLINK_NOFOLLOW)) err(1, "stat %s", path);
  names++;
}

static char **list;
static size_t listed, room;

static void visit_list(int folder, const struct dirent *entry, const char *path) {
  (void)folder;
  if (entry->d_type != DT_REG) return;
  if (listed == room) list = realloc(list, (room = room ? room * 2 : 1024) * sizeof *list);
  if (!list || !(list[listed++] = strdup(path))) err(1, "list");
}

static void run(const char *kind, const char *path) {
  if (!strcmp(kind, "tree")) {
    walk(open_in(AT_FDCWD, path, O_DIRECTORY), "", visit_read);
  } else if (!strcmp(kind, "stat")) {
    walk(open_in(AT_FDCWD, path, O_DIRECTORY), "", visit_stat);
  } else if (!strcmp(kind, "open")) {
    int folder = open_in(AT_FDCWD, path, O_DIRECTORY);
    for (size_t at = 0; at < listed; at++) close(open_in(folder, list[at], 0));
    names += listed;
    close(folder);
  } else if (!strcmp(kind, "file")) {
    int fd = open_in(AT_FDCWD, path, 0);
    read_all(fd, path);
    close(fd);
    names++;
  } else if (!strcmp(kind, "random")) {
    int fd = open_in(AT_FDCWD, path, 0);
    uint64_t blocks = (uint64_t)lseek(fd, 0, SEEK_END) / 4096, seed = 1;
    for (uint64_t done = 0; done < blocks; done++) {
      /* Numbers that are the same in every round; multiplier of Knuth's MMIX. */
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      ssize_t got = pread(fd, buffer, 4096, (off_t)((seed >> 33) % blocks * 4096));
      if (got < 0) err(1, "read %s", path);
      bytes += (uint64_t)got;
    }
    close(fd);
    names++;
  } else {
    errx(2, "no case is called \"%s\"", kind);
  }
}

static void drop_caches(void) {
  sync();
  int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
  if (fd < 0 || write(fd, "3", 1) != 1) err(1, "/proc/sys/vm/drop_caches");
  close(fd);
}

static uint64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int count, char **words) {
  bool cold = count > 1 && !strcmp(words[1], "--cold");
  words += cold ? 2 : 1;
  count -= cold ? 2 : 1;
  if (count < 3) errx(2, "storage-reader [--cold] CASE ROUNDS PATH...");
  const char *kind = words[0];
  long rounds = atol(words[1]);
  char **paths = words + 2;
  if (!strcmp(kind, "open")) walk(open_in(AT_FDCWD, paths[0], O_DIRECTORY), "", visit_list);
  for (int at = 0; at < count - 2 && !cold; at++) run(kind, paths[at]);
  for (long round = 0; round < rounds; round++) {
    for (int at = 0; at < count - 2; at++) {
      if (cold) drop_caches();
      bytes = names = 0;
      uint64_t wall = now(CLOCK_MONOTONIC), used = now(CLOCK_THREAD_CPUTIME_ID);
      run(kind, paths[at]);
      wall = now(CLOCK_MONOTONIC) - wall;
      used = now(CLOCK_THREAD_CPUTIME_ID) - used;
      printf("%d %llu %llu %llu %llu\n", at, (unsigned long long)bytes, (unsigned long long)names,
             (unsigned long long)wall, (unsigned long long)used);
    }
  }
}
