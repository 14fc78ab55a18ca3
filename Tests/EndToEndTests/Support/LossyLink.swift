import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A link between the two namespaces of a network that loses one packet in 30, doubles one in 50, changes a bit of one in
/// 100, and holds each for 1 to 20 ms, so that they overtake one another.
///
/// The kernel may have no netem (tc-netem(8)), so a program carries the packets from the one TUN device to the other. The
/// client's end is `t1` with 10.78.0.1, the server's is `t2` with 10.78.0.2. Chance is seeded; when packets come is not.
enum LossyLink {
    private static let carrier = """
        import ctypes, fcntl, heapq, os, random, select, struct, sys, time
        chance = random.Random(int(sys.argv[3]))
        libc = ctypes.CDLL(None, use_errno=True)
        def open_in(namespace, name):
            place = os.open('/run/netns/' + namespace, os.O_RDONLY)
            if libc.setns(place, 0x40000000): raise OSError(ctypes.get_errno(), 'setns')
            os.close(place)
            device = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(device, 0x400454ca, struct.pack('16sH22x', name, 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
            return device
        ends = [open_in(sys.argv[1], b't1'), open_in(sys.argv[2], b't2')]
        print('ready', file=sys.stderr)
        counts, under_way, number = dict(passed=0, lost=0, doubled=0, changed=0), [], 0
        while True:
            pause = max(0, under_way[0][0] - time.monotonic()) if under_way else None
            for end in select.select(ends, [], [], pause)[0]:
                packet = bytearray(os.read(end, 65536))
                copies = 1
                if chance.random() < 1 / 30: copies = 0; counts['lost'] += 1
                elif chance.random() < 1 / 50: copies = 2; counts['doubled'] += 1
                if chance.random() < 1 / 100:
                    packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8); counts['changed'] += 1
                for _ in range(copies):
                    number += 1
                    due = time.monotonic() + chance.uniform(0.001, 0.02)
                    heapq.heappush(under_way, (due, number, ends[1 - ends.index(end)], packet))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(under_way)
                try: os.write(end, packet)
                except OSError: pass  # what is no packet any more
                counts['passed'] += 1
                if counts['passed'] % 100 == 0: print(counts, file=sys.stderr)
        """

    /// Whether a device can be made here.
    static var isAvailable: Bool {
        Namespace.isAvailable && Place.has("python3") && access("/dev/net/tun", R_OK | W_OK) == 0
    }

    /// Runs `body` with the link, and the program that carries it, which tells what it has done.
    static func between<R>(
        _ network: Network, seed: Int, _ body: (Program) async throws -> R
    ) async throws -> R {
        let names = [network.client.name, network.server.name, "\(seed)"]
        return try await starting(["python3", "-c", carrier] + names, input: .file("/dev/null")) { link in
            try await link.errors.line(with: "ready")
            for (namespace, device, number) in [(network.client, "t1", 1), (network.server, "t2", 2)] {
                try namespace.ip("link", "set", device, "addrgenmode", "none")
                try namespace.ip("addr", "add", "10.78.0.\(number)/24", "dev", device)
                try namespace.ip("link", "set", device, "mtu", "1400", "up")
            }
            return try await body(link)
        }
    }
}
