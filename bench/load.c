/* Sends prepared MQTT packets as fast as a server takes them, or at a pace, and notes when each was acknowledged.
 *
 *   load HOST PORT PACKETS TIMES RECEIPTS WINDOW RATE
 *
 * PACKETS, all numbers little-endian: u32 connections; then for each: u32 length and bytes of what it says first
 * (CONNECT, SUBSCRIBE), u32 packets that answer it, u32 messages, u32 length of each, and their bytes in a row.
 * WINDOW messages of a connection may be unacknowledged. RATE is in messages a second over all connections, in turn;
 * 0: no pace.
 *
 * Prints a line of JSON when all is acknowledged, goes on collecting what the server publishes (receipts) until its
 * standard input ends, then writes TIMES (i64 sent, i64 acknowledged of each message, ns of CLOCK_MONOTONIC) and
 * RECEIPTS (u32 connection, i64 time, u32 length, payload each). One thread; at full load a message costs well under
 * 1 us where many share a write. It trusts its input, which bench/load.py made, and ends at whatever is unexpected.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 18, EVENTS = 512, STDIN = 0xFFFFFFFF, TIMER = 0xFFFFFFFE };

typedef struct {
    int fd, blocked;
    uint32_t answers, count, may, sent, acked, held; /* may: how many are due by the pace */
    uint8_t *hello, *packets, *in;
    uint32_t hello_bytes;
    uint64_t *ends; /* where each message ends in `packets` */
    uint64_t at;    /* bytes written */
    int64_t *times;
} Lane;

static Lane *lanes;
static uint32_t lane_count;
static int polling;
static uint64_t total, acknowledged;
static FILE *receipts;

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

static uint32_t number(uint8_t **at) {
    uint32_t value;
    memcpy(&value, *at, 4);
    *at += 4;
    return value;
}

static void read_packets(const char *name) {
    struct stat about;
    int file = open(name, O_RDONLY);
    if (file < 0 || fstat(file, &about)) die(name);
    uint8_t *data = malloc(about.st_size), *at = data;
    for (off_t got = 0; got < about.st_size;) {
        ssize_t more = read(file, data + got, about.st_size - got);
        if (more <= 0) die("reading packets");
        got += more;
    }
    close(file);
    lane_count = number(&at);
    lanes = calloc(lane_count, sizeof(Lane));
    for (Lane *l = lanes; l < lanes + lane_count; l++) {
        l->hello_bytes = number(&at);
        l->hello = at;
        at += l->hello_bytes;
        l->answers = number(&at);
        l->count = number(&at);
        l->ends = malloc(8 * ((uint64_t)l->count + 1));
        l->times = calloc(2 * (uint64_t)l->count + 1, 8);
        uint64_t end = 0;
        for (uint32_t i = 0; i < l->count; i++) l->ends[i] = end += number(&at);
        l->packets = at;
        at += end;
        l->in = malloc(ROOM);
        total += l->count;
    }
}

static void watch(Lane *l, int operation, int writing) {
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.u64 = l - lanes};
    if (epoll_ctl(polling, operation, l->fd, &e)) die("epoll_ctl");
    l->blocked = writing;
}

static void dial(Lane *l, const char *host, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) die(host);
    if ((l->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) die("socket");
    if (connect(l->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (send(l->fd, l->hello, l->hello_bytes, MSG_NOSIGNAL) != (ssize_t)l->hello_bytes) die("CONNECT");
    if (fcntl(l->fd, F_SETFL, O_NONBLOCK)) die("fcntl");
    watch(l, EPOLL_CTL_ADD, 0);
}

/* Write what window and pace allow. */
static void push(Lane *l, uint32_t window) {
    uint64_t limit = (uint64_t)l->acked + window;
    uint32_t to = limit < l->may ? limit : l->may;
    while (!l->blocked && to > l->sent) {
        int64_t at = now();
        ssize_t put = send(l->fd, l->packets + l->at, l->ends[to - 1] - l->at, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN) die("the server closed the connection while it was written to");
        if (put < 0) put = 0;
        l->at += put;
        while (l->sent < to && l->ends[l->sent] <= l->at) l->times[2 * l->sent++] = at;
        if (l->sent < to) watch(l, EPOLL_CTL_MOD, 1);
    }
}

static void receipt(Lane *l, const uint8_t *body, uint32_t bytes, int64_t at) {
    uint32_t head = 2 + (body[0] << 8 | body[1]), lane = l - lanes, payload = bytes - head;
    fwrite(&lane, 4, 1, receipts);
    fwrite(&at, 8, 1, receipts);
    fwrite(&payload, 4, 1, receipts);
    fwrite(body + head, 1, payload, receipts);
}

static void packet(Lane *l, const uint8_t *first, const uint8_t *body, uint32_t bytes, int64_t at) {
    uint32_t type = first[0] >> 4;
    if (type == 4) {
        uint32_t expected = l->acked % 65535 + 1;
        if ((uint32_t)(body[0] << 8 | body[1]) != expected) die("a PUBACK out of turn");
        l->times[2 * l->acked++ + 1] = at;
        acknowledged++;
    } else if (type == 3 && !(first[0] & 6)) { /* subscribed with QoS 0 */
        receipt(l, body, bytes, at);
    } else if (type == 2 || type == 9) {
        if (!l->answers || body[type == 2 ? 1 : 2] >= 0x80 || (type == 2 && body[1])) die("the server refused");
        l->answers--;
    } else {
        die("a packet that nobody asked for");
    }
}

static void take(Lane *l) {
    ssize_t got = recv(l->fd, l->in + l->held, ROOM - l->held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) die("the server closed the connection");
    int64_t at = now();
    uint8_t *pos = l->in, *end = l->in + l->held + got;
    while (end - pos >= 2) {
        uint32_t bytes = 0, shift = 0;
        uint8_t *body = pos + 1;
        while (body < end && *body & 0x80) bytes |= (*body++ & 0x7F) << shift, shift += 7;
        if (body >= end) break;
        bytes |= *body++ << shift;
        if (body + bytes > end) break;
        packet(l, pos, body, bytes, at);
        pos = body + bytes;
    }
    l->held = end - pos;
    if (l->held == ROOM) die("a packet larger than the buffer");
    memmove(l->in, pos, l->held);
}

static int greeted(void) {
    for (Lane *l = lanes; l < lanes + lane_count; l++)
        if (l->answers) return 0;
    return 1;
}

/* Let the messages go that are due, and set the timer to the next one. */
static void pace(int timer, int64_t began, double rate, uint32_t window, uint64_t *released) {
    int64_t at = now();
    while (*released < total && began + (int64_t)(*released * 1e9 / rate) <= at) {
        Lane *l = lanes + (*released)++ % lane_count;
        l->may++;
        push(l, window);
    }
    int64_t next = began + (int64_t)(*released * 1e9 / rate);
    struct itimerspec when = {.it_value = {next / 1000000000, next % 1000000000}};
    if (*released < total && timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL)) die("timerfd_settime");
}

static void write_times(const char *name) {
    FILE *out = fopen(name, "wb");
    if (!out) die(name);
    for (Lane *l = lanes; l < lanes + lane_count; l++) fwrite(l->times, 16, l->count, out);
    if (fclose(out)) die(name);
}

int main(int argc, char **argv) {
    if (argc != 8) die("HOST PORT PACKETS TIMES RECEIPTS WINDOW RATE");
    uint32_t window = atoi(argv[6]);
    double rate = atof(argv[7]);
    struct epoll_event found[EVENTS], input = {.events = EPOLLIN, .data.u64 = STDIN};
    uint64_t released = 0, ticks;
    int64_t began = 0;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), said = 0;
    struct epoll_event tick = {.events = EPOLLIN, .data.u64 = TIMER};
    struct rusage used;

    read_packets(argv[3]);
    if (!(receipts = fopen(argv[5], "wb"))) die(argv[5]);
    polling = epoll_create1(0);
    if (epoll_ctl(polling, EPOLL_CTL_ADD, 0, &input) || epoll_ctl(polling, EPOLL_CTL_ADD, timer, &tick)) die("epoll");
    for (Lane *l = lanes; l < lanes + lane_count; l++) dial(l, argv[1], atoi(argv[2]));
    for (;;) {
        if (!began && greeted()) {
            began = now();
            for (Lane *l = lanes; !rate && l < lanes + lane_count; l++) l->may = l->count, push(l, window);
            if (rate) pace(timer, began, rate, window, &released);
        }
        if (!said && acknowledged == total) {
            getrusage(RUSAGE_SELF, &used);
            double cpu_s = seconds(used.ru_utime) + seconds(used.ru_stime), ended = now() / 1e9;
            printf("{\"started\": %.9f, \"acked\": %.9f, \"cpu_s\": %.6f}\n", began / 1e9, ended, cpu_s);
            fflush(stdout);
            said = 1;
        }
        int count = epoll_wait(polling, found, EVENTS, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            uint64_t which = found[i].data.u64;
            if (which == STDIN) { /* the only news from there is its end */
                write_times(argv[4]);
                return fclose(receipts) ? 1 : 0;
            }
            if (which == TIMER) {
                if (read(timer, &ticks, 8) == 8) pace(timer, began, rate, window, &released);
                continue;
            }
            Lane *l = lanes + which;
            if (found[i].events & ~EPOLLOUT) take(l);
            if (found[i].events & EPOLLOUT) watch(l, EPOLL_CTL_MOD, 0);
            if (began) push(l, window);
        }
    }
}
