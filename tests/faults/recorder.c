/* Writes down what a process writes and syncs, in the order in which it happens: LD_PRELOAD for test_power_loss.py.

   RECORDED is the folder whose files count, RECORD the file to write to. One entry: a header of 24 bytes (kind, length
   of the name, 2 bytes nothing, length of the data, offset), the file's name, the data. Kinds: 'w' data at an offset,
   't' the file is cut to `offset` bytes, 's' the file is synced, 'u' the file is removed. A lock around each call and its entry makes the order
   of the entries the order of the calls, whatever thread they come from. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct header { uint8_t kind, name; uint8_t nothing[6]; uint64_t length, offset; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The name of a file that counts, or NULL. */
static const char *within(const char *path) {
    const char *folder = getenv("RECORDED");
    size_t prefix = folder ? strlen(folder) : 0;
    return prefix && !strncmp(path, folder, prefix) && path[prefix] == '/' ? path + prefix + 1 : NULL;
}

static const char *counts(int fd, char *buffer, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlink, link, buffer, size - 1);
    if (length <= 0) return NULL;
    buffer[length] = 0;
    return within(buffer);
}

static void note(char kind, const char *name, const void *data, uint64_t length, uint64_t offset) {
    static int record = -1;
    if (record < 0) record = syscall(SYS_openat, AT_FDCWD, getenv("RECORD"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct header header = {.kind = kind, .name = strlen(name), .length = length, .offset = offset};
    struct iovec parts[3] = {{&header, sizeof header}, {(void *)name, header.name}, {(void *)data, length}};
    if (syscall(SYS_writev, record, parts, 3) < 0) abort();
}

static ssize_t written(int fd, const void *data, size_t count, off64_t offset) {
    char buffer[4096];
    const char *name = counts(fd, buffer, sizeof buffer);
    if (!name) return offset < 0 ? syscall(SYS_write, fd, data, count) : syscall(SYS_pwrite64, fd, data, count, offset);
    pthread_mutex_lock(&lock);
    off64_t at = offset < 0 ? syscall(SYS_lseek, fd, 0, SEEK_CUR) : offset;
    ssize_t done = offset < 0 ? syscall(SYS_write, fd, data, count) : syscall(SYS_pwrite64, fd, data, count, offset);
    if (done > 0) note('w', name, data, done, at);
    pthread_mutex_unlock(&lock);
    return done;
}

static int synced(int fd, long call) {
    char buffer[4096];
    const char *name = counts(fd, buffer, sizeof buffer);
    if (!name) return syscall(call, fd);
    pthread_mutex_lock(&lock);
    note('s', name, NULL, 0, 0); /* the disk itself need not be waited for: the test decides what is on it */
    pthread_mutex_unlock(&lock);
    return 0;
}

static int cut(int fd, off64_t length) {
    char buffer[4096];
    const char *name = counts(fd, buffer, sizeof buffer);
    if (!name) return syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_ftruncate, fd, length);
    if (!done) note('t', name, NULL, 0, length);
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    const char *name = within(path);
    if (!name) return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!done) note('u', name, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *data, size_t count) { return written(fd, data, count, -1); }
ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) { return written(fd, data, count, offset); }
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset) { return written(fd, data, count, offset); }
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }
