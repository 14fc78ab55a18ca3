// Several datagrams in one system call, with what comes beside their bytes: recvmmsg(2), sendmmsg(2) and the control
// messages of ip(7), ipv6(7) and socket(7), which Swift cannot walk through.
#ifndef CSOCKETS_DATAGRAMS_H
#define CSOCKETS_DATAGRAMS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/// One datagram: received, where its bytes lie in the thread's batch; to be sent, where the caller has them.
struct csockets_datagram {
    const void *bytes;
    size_t length;
    const struct sockaddr *peer;  // whose, or to whom; null on a connected socket
    socklen_t peer_length;
    int is_truncated;             // the room was too small, and the rest is gone
    int hops;                     // IP_TTL or IPV6_HOPLIMIT, or -1 where it is not told or not to be set
    int local_family;             // AF_INET or AF_INET6 where `local` is told or to be set, or 0
    uint64_t local[2];            // the bytes of this machine's address that it came to, and so the one to answer from
    uint32_t local_interface;     // by which that is reached, where the address alone does not say it, or 0
    int is_to_group;              // it was sent to a multicast group, where `local` is told
    int64_t overflows;            // SO_RXQ_OVFL: how many were dropped so far for want of room, or -1 where it is not told
};

/// At most this many in one call.
#define CSOCKETS_BATCH 32
/// The room of a thread's batch, shared evenly by the datagrams of one call.
#define CSOCKETS_BATCH_BYTES (2 << 20)

/// recvmmsg(2): up to `most` datagrams of up to `room` bytes each into the calling thread's batch; how many came. With no
/// room for control messages, descriptors that a Unix peer sends are closed by the kernel.
int csockets_receive_datagrams(int fd, int most, size_t room, int takes_control);

/// One of those that the thread's last call has received. Its bytes and its peer are there until the next.
void csockets_received_datagram(int index, struct csockets_datagram *datagram);

/// Datagrams that are to be sent together; null without memory. The calling thread's own is for a call at once.
struct csockets_batch *csockets_thread_batch(void);
struct csockets_batch *csockets_make_batch(void);
void csockets_free_batch(struct csockets_batch *batch);

/// Where the address of one of a batch goes, and how much room there is: written there, it need not be copied.
void *csockets_peer_place(struct csockets_batch *batch, int index, size_t *room);

/// Puts a datagram into a batch: its address is copied, its bytes must stay. 0, or -1 for what no batch has room for.
int csockets_put_datagram(struct csockets_batch *batch, int index, const struct csockets_datagram *datagram);

/// To whom one of a batch is to be sent.
const void *csockets_peer(struct csockets_batch *batch, int index, socklen_t *length);

/// sendmmsg(2) with MSG_NOSIGNAL: how many of `count` datagrams of a batch, from `first` on, were sent.
int csockets_send_datagrams(struct csockets_batch *batch, int fd, int first, int count);

/// Has a bound socket tell of each datagram which address of this machine it came to (IP_PKTINFO, IPV6_RECVPKTINFO).
int csockets_tell_destination(int fd, int family);

/// Has a socket tell of each datagram how many hops it had left (IP_RECVTTL, IPV6_RECVHOPLIMIT).
int csockets_tell_hops(int fd, int family);

/// MCAST_JOIN_GROUP or MCAST_LEAVE_GROUP of ip(7): a multicast group on an interface, 0 for the system's choice.
int csockets_join_group(int fd, int joins, const struct sockaddr *group, socklen_t length, uint32_t interface);

#endif
