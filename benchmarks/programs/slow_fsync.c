/* A disk whose every fsync takes longer: cc -shared -fPIC slow_fsync.c -o slow_fsync.so -ldl
   SLOW_FSYNC_US=2000 LD_PRELOAD=./slow_fsync.so program */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_for_the_disk(void) {
    const char *microseconds = getenv("SLOW_FSYNC_US");
    if (microseconds != NULL) usleep((useconds_t)atoi(microseconds));
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_for_the_disk();
    return real(fd);
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_for_the_disk();
    return real(fd);
}
