internal import Loops
internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Turns names into addresses, never on a loop's thread and never on the caller's: `getaddrinfo(3)` blocks as long as it
/// likes and cannot be told to stop.
///
/// Threads are started as they are needed, up to a limit, and end when no name is left to look up. A caller that gives up
/// leaves a look-up that has begun to end by itself.
enum Resolver {
    private static let mostThreads = 8

    private struct State {
        var waiting: [Lookup] = []
        var threads = 0
    }
    private static let state = Lock(State())

    /// One name on its way to its addresses.
    final class Lookup: Sendable {
        let name: String
        let port: UInt16
        let family: AddressFamily?
        let bell = Bell()
        let result = Lock<Result<AddressList, SocketError>?>(nil)

        init(name: String, port: UInt16, family: AddressFamily?) {
            self.name = name
            self.port = port
            self.family = family
        }

        fileprivate func run() { finish(lookUp(name, port, family)) }

        fileprivate func finish(_ found: Result<AddressList, SocketError>) {
            result.withLock { $0 = found }
            bell.ring()
        }
    }

    /// The addresses of a name, all or those of one family, in the order to try them in.
    ///
    /// Waits until they are found, the deadline passes or the task is cancelled. Both families are asked for in one call, so
    /// that the answer of one is not used before the other's has come (RFC 8305, 3, would allow it).
    static func addresses(
        of name: String, port: UInt16, family: AddressFamily?, until deadline: Deadline
    ) async throws(SocketError) -> AddressList {
        let lookup = try start(name, port, family)
        do throws(SocketError) {
            _ = try await lookup.bell.wait(until: deadline, .resolve)
        } catch {
            abandon(lookup)
            throw SocketError(.resolve, error.cause, target: name)
        }
        return try finish(lookup)
    }

    /// The same, blocking the thread.
    static func addressesBlocking(
        of name: String, port: UInt16, family: AddressFamily?, until deadline: Deadline
    ) throws(SocketError) -> AddressList {
        let lookup = try start(name, port, family)
        do throws(Errno) {
            _ = try lookup.bell.waitBlocking(until: deadline)
        } catch {
            abandon(lookup)
            throw SocketError(.resolve, .system(error), target: name)
        }
        return try finish(lookup)
    }

    private static func finish(_ lookup: Lookup) throws(SocketError) -> AddressList {
        guard let result = lookup.result.withLock({ $0 }) else {
            abandon(lookup)
            throw SocketError(.resolve, .timedOut, target: lookup.name)
        }
        return try result.get()
    }

    private static func start(
        _ name: String, _ port: UInt16, _ family: AddressFamily?
    ) throws(SocketError) -> Lookup {
        let lookup = Lookup(name: name, port: port, family: family)
        let needsThread = state.withLock { state in
            state.waiting.append(lookup)
            guard state.threads < mostThreads else { return false }
            state.threads += 1
            return true
        }
        guard needsThread else { return lookup }
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { _ in
                Resolver.work(); return nil
            }, nil)
        if code == 0 {
            pthread_detach(thread)
        } else {
            // With no thread at all nobody would ever come to those who wait.
            let stranded = state.withLock { state -> [Lookup] in
                state.threads -= 1
                guard state.threads == 0 else { return [] }
                defer { state.waiting = [] }
                return state.waiting
            }
            for lookup in stranded {
                lookup.finish(.failure(SocketError(.resolve, .system(Errno(rawValue: code)), target: lookup.name)))
            }
        }
        return lookup
    }

    /// Nobody waits for it any more: if no thread has taken it up yet, none shall.
    private static func abandon(_ lookup: Lookup) {
        state.withLock { state in state.waiting.removeAll { $0 === lookup } }
    }

    /// What a thread does: one look-up after another, until there is none.
    private static func work() {
        while true {
            let next: Lookup? = state.withLock { state in
                if state.waiting.isEmpty {
                    state.threads -= 1
                    return nil
                }
                return state.waiting.removeFirst()
            }
            guard let next else { return }
            next.run()
        }
    }

    private static func lookUp(
        _ name: String, _ port: UInt16, _ family: AddressFamily?
    ) -> Result<AddressList, SocketError> {
        do throws(LookupFailed) {
            return .success(try ask(name, port, family))
        } catch {
            // Not every resolver tells a name without an address of the family from no name at all.
            guard let family, (try? ask(name, port, family.other)) != nil else {
                return .failure(failure(name, error.code))
            }
            let reason = "it has no \(family) address, only \(family.other) ones"
            return .failure(SocketError(.resolve, .resolution(name: name, reason: reason)))
        }
    }

    /// What getaddrinfo(3) says instead of addresses.
    private struct LookupFailed: Error { let code: CInt }

    private static func ask(
        _ name: String, _ port: UInt16, _ family: AddressFamily?
    ) throws(LookupFailed) -> AddressList {
        var hints = addrinfo()
        hints.ai_family = family.map { $0 == .ipv4 ? AF_INET : AF_INET6 } ?? AF_UNSPEC
        hints.ai_socktype = System.kindStream
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard code == 0 else { throw LookupFailed(code: code) }
        var found: [SocketAddress] = []
        var entry = list
        while let info = entry?.pointee {
            let bytes = UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen))
            if let address = SocketAddress(kernel: bytes)?.with(port: port), !found.contains(address) {
                found.append(address)
            }
            entry = info.ai_next
        }
        guard let addresses = AddressList(interleaving: found) else { throw LookupFailed(code: EAI_NONAME) }
        return addresses
    }

    private static func failure(_ name: String, _ code: CInt) -> SocketError {
        let reason =
            switch code {
            case EAI_NONAME: "no such name; check its spelling, or write an address"
            case EAI_AGAIN: "no name server answered; try again later, or write an address"
            default: String(cString: gai_strerror(code))
            }
        return SocketError(.resolve, .resolution(name: name, reason: reason))
    }
}
