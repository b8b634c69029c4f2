/* A device of the small kind: MQTT 3.1.1 by hand-built packets over one blocking socket, no heap, no library.
 * usage: embedded_client PORT SOURCE PASSWORD COUNT
 * Publishes COUNT numbered events with QoS 1, keeping at most WINDOW unacknowledged, checks that every PUBACK
 * comes in order, pings, waits for one receipt, prints it, and disconnects. Exit status 0 only if all of it held. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { WINDOW = 8, LARGEST = 256 };

static int sock;

static void die(const char *what) {
    fprintf(stderr, "embedded_client: %s\n", what);
    exit(1);
}

static void send_all(const uint8_t *bytes, size_t count) {
    while (count) {
        ssize_t sent = send(sock, bytes, count, 0);
        if (sent <= 0) die("send failed");
        bytes += sent;
        count -= (size_t)sent;
    }
}

static void receive_all(uint8_t *bytes, size_t count) {
    while (count) {
        ssize_t got = recv(sock, bytes, count, 0);
        if (got <= 0) die("the gateway closed or was silent too long");
        bytes += got;
        count -= (size_t)got;
    }
}

/* One whole packet; its body goes to `body`, the first byte is returned. Lengths of two bytes at most. */
static uint8_t receive_packet(uint8_t *body, size_t *length) {
    uint8_t first, byte;
    receive_all(&first, 1);
    receive_all(&byte, 1);
    *length = byte & 0x7F;
    if (byte & 0x80) {
        receive_all(&byte, 1);
        *length |= (size_t)byte << 7;
    }
    if (*length > LARGEST) die("packet too large");
    receive_all(body, *length);
    return first;
}

static size_t put_string(uint8_t *at, const char *text) {
    size_t length = strlen(text);
    at[0] = (uint8_t)(length >> 8);
    at[1] = (uint8_t)length;
    memcpy(at + 2, text, length);
    return length + 2;
}

/* `packet` has room for the header before `body`; bodies stay under 128 bytes, so the length is one byte. */
static void send_packet(uint8_t first, uint8_t *packet, size_t body_length) {
    if (body_length > 127) die("body too long");
    packet[0] = first;
    packet[1] = (uint8_t)body_length;
    send_all(packet, body_length + 2);
}

static void log_in(const char *source, const char *password) {
    uint8_t packet[LARGEST], *body = packet + 2;
    size_t n = put_string(body, "MQTT"), length;
    body[n++] = 4;    /* level 3.1.1 */
    body[n++] = 0xC2; /* user name, password, clean session */
    body[n++] = 0;
    body[n++] = 30; /* keep alive, seconds */
    n += put_string(body + n, source);
    n += put_string(body + n, source);
    n += put_string(body + n, password);
    send_packet(0x10, packet, n);
    if (receive_packet(body, &length) != 0x20 || length != 2 || body[1] != 0) die("CONNACK refuses");
}

static void subscribe(const char *topic) {
    uint8_t packet[LARGEST], *body = packet + 2;
    size_t n = 2, length;
    body[0] = 0xFF, body[1] = 0xFE;
    n += put_string(body + n, topic);
    body[n++] = 0;
    send_packet(0x82, packet, n);
    if (receive_packet(body, &length) != 0x90 || length != 3 || body[0] != 0xFF || body[2] != 0) die("SUBACK refuses");
}

static void publish(const char *topic, unsigned number) {
    uint8_t packet[LARGEST], *body = packet + 2;
    char text[16];
    size_t n = put_string(body, topic);
    body[n++] = (uint8_t)(number >> 8);
    body[n++] = (uint8_t)number;
    int digits = snprintf(text, sizeof text, "event %u", number);
    memcpy(body + n, text, (size_t)digits);
    send_packet(0x32, packet, n + (size_t)digits);
}

static void expect_puback(unsigned number) {
    uint8_t body[LARGEST];
    size_t length;
    if (receive_packet(body, &length) != 0x40 || length != 2) die("expected PUBACK");
    if ((unsigned)(body[0] << 8 | body[1]) != number) die("PUBACK out of order");
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage: embedded_client PORT SOURCE PASSWORD COUNT");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    struct timeval patience = {.tv_sec = 10};
    char topic[64];
    uint8_t body[LARGEST], ping[2];
    unsigned count = (unsigned)atoi(argv[4]), acked = 0;
    size_t length;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sock = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(sock, (struct sockaddr *)&address, sizeof address)) die("cannot connect");
    log_in(argv[2], argv[3]);
    snprintf(topic, sizeof topic, "st/1/%s/events", argv[2]);
    for (unsigned number = 1; number <= count; number++) {
        publish(topic, number);
        if (number - acked >= WINDOW) expect_puback(++acked);
    }
    while (acked < count) expect_puback(++acked);
    send_packet(0xC0, ping, 0);
    if (receive_packet(body, &length) != 0xD0) die("expected PINGRESP");
    snprintf(topic, sizeof topic, "st/1/%s/receipts", argv[2]);
    subscribe(topic);
    if (receive_packet(body, &length) != 0x30) die("expected a receipt");
    size_t skip = 2 + (size_t)(body[0] << 8 | body[1]);
    printf("%.*s\n", (int)(length - skip), (const char *)body + skip);
    send_packet(0xE0, ping, 0);
    close(sock);
    return 0;
}
