/* A world that misbehaves, for one process that is started with this in LD_PRELOAD: its clock of the day jumps, its
   disk is slow, full or read-only. What happens now stands in the file named by SEALTRAIL_WORLD, which the test maps
   too and changes at any moment. Only files below SEALTRAIL_WORLD_DATA misbehave; the monotonic clock never jumps. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct world { int64_t clock_s; int32_t sync_ms; int32_t write_errno; };
static volatile struct world *world;
static const char *data = "";

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void open_world(void)
{
    const char *path = getenv("SEALTRAIL_WORLD");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *world, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) { fprintf(stderr, "shim: SEALTRAIL_WORLD cannot be mapped\n"); abort(); }
    close(fd);
    world = at;
    data = getenv("SEALTRAIL_WORLD_DATA");
}

static int below(const char *path) { return data && *data && !strncmp(path, data, strlen(data)); }

static int touched(int fd)
{
    char link[64], path[4096];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (n < 0) return 0;
    path[n] = 0;
    return below(path);
}

/* The error that a write to this file meets now; 0 for none. */
static int refused(int fd) { int e = world ? world->write_errno : 0; return e && touched(fd) ? e : 0; }

static int sync_after(int fd, int (*real)(int))
{
    int wait = world ? world->sync_ms : 0, e = refused(fd);
    if (wait && touched(fd)) {
        struct timespec t = {wait / 1000, (wait % 1000) * 1000000L};
        nanosleep(&t, NULL);
    }
    if (e == EIO) { errno = e; return -1; }
    return real(fd);
}

int fsync(int fd) { REAL(int, fsync, int); return sync_after(fd, real); }
int fdatasync(int fd) { REAL(int, fdatasync, int); return sync_after(fd, real); }

#define WRITE(name, args, types, ...) \
    ssize_t name args { int e = refused(fd); if (e) { errno = e; return -1; } REAL(ssize_t, name, types); return real(__VA_ARGS__); }
#define T(...) __VA_ARGS__
WRITE(write, (int fd, const void *b, size_t n), T(int, const void *, size_t), fd, b, n)
WRITE(writev, (int fd, const struct iovec *v, int n), T(int, const struct iovec *, int), fd, v, n)
WRITE(pwrite, (int fd, const void *b, size_t n, off_t o), T(int, const void *, size_t, off_t), fd, b, n, o)
WRITE(pwrite64, (int fd, const void *b, size_t n, off64_t o), T(int, const void *, size_t, off64_t), fd, b, n, o)

/* A full disk lets a file shrink; a read-only one does not. */
#define TRUNCATE(name, type) \
    int name(int fd, type size) { \
        struct stat s; int e = refused(fd); \
        if (e && (e != ENOSPC || (!fstat(fd, &s) && size > s.st_size))) { errno = e; return -1; } \
        REAL(int, name, int, type); return real(fd, size); }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

/* A full disk makes no new file; a read-only one opens none for writing. */
static int opened(const char *path, int flags)
{
    int e = world ? world->write_errno : 0;
    if (!e || !below(path)) return 0;
    if (flags & O_CREAT && access(path, F_OK)) return e;
    return e == EROFS && flags & (O_WRONLY | O_RDWR) ? e : 0;
}
#define MAKES(flags) (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
#define MODE mode_t mode = 0; if (MAKES(flags)) { va_list l; va_start(l, flags); mode = va_arg(l, mode_t); va_end(l); }
#define OPEN(name) int name(const char *path, int flags, ...) { MODE int e = opened(path, flags); \
    if (e) { errno = e; return -1; } REAL(int, name, const char *, int, mode_t); return real(path, flags, mode); }
#define OPENAT(name) int name(int dir, const char *path, int flags, ...) { MODE int e = opened(path, flags); \
    if (e) { errno = e; return -1; } REAL(int, name, int, const char *, int, mode_t); return real(dir, path, flags, mode); }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int clock_gettime(clockid_t id, struct timespec *t)
{
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int done = real(id, t);
    if (!done && world && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += world->clock_s;
    return done;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
