#define _GNU_SOURCE
#include "Datagrams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Room for a destination, the hops and the overflow count of one datagram, and for what a user of the descriptor asks for.
#define CONTROL 256

struct csockets_batch {
    struct mmsghdr headers[CSOCKETS_BATCH];
    struct iovec parts[CSOCKETS_BATCH];
    struct sockaddr_storage names[CSOCKETS_BATCH];
    _Alignas(struct cmsghdr) unsigned char control[CSOCKETS_BATCH][CONTROL];
};

struct batches {
    struct csockets_batch in, out;
    char *bytes;  // of those received; mapped lazily by the system: only what datagrams have filled is resident
    // The places of `in` from `filled` up to `ready` are as a call with this room needs them: most calls fill few.
    size_t room;
    int takes_control, ready, filled;
};

// A thread's own: what one call receives is copied out before the next.
static _Thread_local struct batches *mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_batches(void *value) {
    struct batches *batches = value;
    mine = 0;
    free(batches->bytes);
    free(batches);
}

static void make_key(void) { pthread_key_create(&key, free_batches); }

static struct batches *thread_batches(void) {
    if (mine) return mine;
    struct batches *batches = calloc(1, sizeof *batches);
    if (batches && !(batches->bytes = malloc(CSOCKETS_BATCH_BYTES))) {
        free(batches);
        batches = 0;
    }
    if (!batches) {
        errno = ENOMEM;
        return 0;
    }
    pthread_once(&once, make_key);
    pthread_setspecific(key, batches);
    return mine = batches;
}

static void make_place(struct batches *batches, int i) {
    struct csockets_batch *batch = &batches->in;
    batch->parts[i] = (struct iovec){batches->bytes + (size_t)i * batches->room, batches->room};
    batch->headers[i].msg_hdr = (struct msghdr){
        .msg_name = &batch->names[i], .msg_namelen = sizeof batch->names[i],
        .msg_iov = &batch->parts[i], .msg_iovlen = 1,
        .msg_control = batches->takes_control ? batch->control[i] : 0,
        .msg_controllen = batches->takes_control ? CONTROL : 0,
    };
}

int csockets_receive_datagrams(int fd, int most, size_t room, int takes_control) {
    struct batches *batches = thread_batches();
    if (!batches) return -1;
    if (room > CSOCKETS_BATCH_BYTES) room = CSOCKETS_BATCH_BYTES;
    size_t slots = CSOCKETS_BATCH_BYTES / (room ? room : 1);
    if (most > CSOCKETS_BATCH) most = CSOCKETS_BATCH;
    if ((size_t)most > slots) most = (int)slots;
    if (room != batches->room || takes_control != batches->takes_control) {
        batches->room = room;
        batches->takes_control = takes_control;
        batches->ready = batches->filled = 0;
    }
    for (int i = 0; i < batches->filled; i++) make_place(batches, i);
    for (; batches->ready < most; batches->ready++) make_place(batches, batches->ready);
    int count = recvmmsg(fd, batches->in.headers, (unsigned)most, 0, 0);
    // Those that the kernel has not filled it leaves as they are.
    batches->filled = count < 0 ? 0 : count;
    return count;
}

static void read_control(struct msghdr *header, struct csockets_datagram *out) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        int number;
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            uint32_t count;
            memcpy(&count, CMSG_DATA(c), sizeof count);
            out->overflows = count;
        } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
            memcpy(&number, CMSG_DATA(c), sizeof number);
            out->hops = number;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            out->is_to_group = IN_MULTICAST(ntohl(info.ipi_addr.s_addr));
            // What to answer from, which for a broadcast or a group is not what was sent to. An IPv6 socket takes it mapped.
            if (out->peer->sa_family == AF_INET6) {
                static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
                out->local_family = AF_INET6;
                memcpy(out->local, prefix, sizeof prefix);
                memcpy((char *)out->local + sizeof prefix, &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
            } else {
                out->local_family = AF_INET;
                memcpy(out->local, &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
            }
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) {
                out->is_to_group = 1;
                continue;  // nothing can be sent from a group's address
            }
            if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr)) continue;  // IPv4's own message tells it better
            out->local_family = AF_INET6;
            memcpy(out->local, &info.ipi6_addr, sizeof info.ipi6_addr);
            // Such an address is one only together with its interface, also towards a peer whose own is not of the link.
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) out->local_interface = info.ipi6_ifindex;
        }
    }
}

void csockets_received_datagram(int index, struct csockets_datagram *out) {
    memset(out, 0, sizeof *out);
    out->hops = -1;
    out->overflows = -1;
    if (!mine || index < 0 || index >= CSOCKETS_BATCH) return;
    struct mmsghdr *header = &mine->in.headers[index];
    size_t room = mine->in.parts[index].iov_len;
    out->bytes = mine->in.parts[index].iov_base;
    out->length = header->msg_len < room ? header->msg_len : room;
    out->peer = (struct sockaddr *)&mine->in.names[index];
    out->peer_length = header->msg_hdr.msg_namelen;
    out->is_truncated = (header->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    if (header->msg_hdr.msg_controllen) read_control(&header->msg_hdr, out);
}

static void put_control(struct msghdr *header, struct cmsghdr **next, int level, int type, const void *data, size_t size) {
    header->msg_controllen += CMSG_SPACE(size);
    struct cmsghdr *c = *next ? *next : CMSG_FIRSTHDR(header);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), data, size);
    *next = (struct cmsghdr *)((unsigned char *)c + CMSG_SPACE(size));
}

// A mapped address on an IPv6 socket is sent by IPv4, whose hops are set by IPv4's message.
static int goes_by_ipv4(const struct csockets_datagram *d) {
    if (!d->peer || d->peer->sa_family != AF_INET6) return 1;
    return IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)d->peer)->sin6_addr);
}

struct csockets_batch *csockets_thread_batch(void) {
    struct batches *batches = thread_batches();
    return batches ? &batches->out : 0;
}

struct csockets_batch *csockets_make_batch(void) { return calloc(1, sizeof(struct csockets_batch)); }
void csockets_free_batch(struct csockets_batch *batch) { free(batch); }

void *csockets_peer_place(struct csockets_batch *batch, int index, size_t *room) {
    *room = sizeof batch->names[0];
    return index < 0 || index >= CSOCKETS_BATCH ? 0 : &batch->names[index];
}

int csockets_put_datagram(struct csockets_batch *batch, int index, const struct csockets_datagram *d) {
    if (index < 0 || index >= CSOCKETS_BATCH || d->peer_length > sizeof batch->names[index]) {
        errno = EINVAL;
        return -1;
    }
    batch->parts[index] = (struct iovec){(void *)d->bytes, d->length};
    batch->headers[index].msg_len = 0;
    struct msghdr *header = &batch->headers[index].msg_hdr;
    *header = (struct msghdr){.msg_iov = &batch->parts[index], .msg_iovlen = 1};
    if (d->peer) {
        if ((const void *)d->peer != &batch->names[index]) memcpy(&batch->names[index], d->peer, d->peer_length);
        header->msg_name = &batch->names[index];
        header->msg_namelen = d->peer_length;
    }
    if (d->hops < 0 && !d->local_family) return 0;
    header->msg_control = batch->control[index];
    struct cmsghdr *next = 0;
    if (d->hops >= 0) {
        int is4 = goes_by_ipv4(d);
        put_control(header, &next, is4 ? IPPROTO_IP : IPPROTO_IPV6, is4 ? IP_TTL : IPV6_HOPLIMIT, &d->hops, sizeof d->hops);
    }
    if (d->local_family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, d->local, sizeof info.ipi_spec_dst);
        put_control(header, &next, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (d->local_family == AF_INET6) {
        struct in6_pktinfo info = {0};
        memcpy(&info.ipi6_addr, d->local, sizeof info.ipi6_addr);
        info.ipi6_ifindex = d->local_interface;
        put_control(header, &next, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    return 0;
}

const void *csockets_peer(struct csockets_batch *batch, int index, socklen_t *length) {
    *length = 0;
    if (index < 0 || index >= CSOCKETS_BATCH) return 0;
    *length = batch->headers[index].msg_hdr.msg_namelen;
    return batch->headers[index].msg_hdr.msg_name;
}

int csockets_send_datagrams(struct csockets_batch *batch, int fd, int first, int count) {
    if (first < 0 || count < 0 || first > CSOCKETS_BATCH || count > CSOCKETS_BATCH - first) {
        errno = EINVAL;
        return -1;
    }
    return sendmmsg(fd, batch->headers + first, (unsigned)count, MSG_NOSIGNAL);
}

static int turn_on(int fd, int level, int option) {
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on);
}

int csockets_tell_destination(int fd, int family) {
    // An IPv6 socket that takes IPv4 too tells of those datagrams by IPv4's option.
    if (family == AF_INET6 && turn_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) < 0) return -1;
    return turn_on(fd, IPPROTO_IP, IP_PKTINFO);
}

int csockets_tell_hops(int fd, int family) {
    // An IPv6 socket that takes IPv4 too tells the hops of those datagrams by IPv4's option.
    if (family == AF_INET6 && turn_on(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT) < 0) return -1;
    return turn_on(fd, IPPROTO_IP, IP_RECVTTL);
}

int csockets_join_group(int fd, int joins, const struct sockaddr *group, socklen_t length, uint32_t interface) {
    struct group_req request;
    memset(&request, 0, sizeof request);
    if (length > sizeof request.gr_group) {
        errno = EINVAL;
        return -1;
    }
    request.gr_interface = interface;
    memcpy(&request.gr_group, group, length);
    int level = group->sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    return setsockopt(fd, level, joins ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &request, sizeof request);
}
