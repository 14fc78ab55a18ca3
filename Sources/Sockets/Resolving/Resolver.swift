internal import Loops
internal import SocketCore
internal import SystemPackage

/// Turns names into addresses, never on a loop's thread and never on the caller's: `getaddrinfo(3)` blocks as long as it
/// likes and cannot be told to stop.
///
/// Threads are started as they are needed, up to a limit, and end when no name is left to look up. A caller that gives up
/// leaves a look-up that has begun to end by itself: until then it holds its thread. The limit is therefore far above what
/// is looked up at a time, so that names without an answer do not hold up the others.
enum Resolver {
    private static let mostThreads = 256
    /// More than other threads have: the resolver runs modules that others wrote (`nsswitch.conf(5)`).
    private static let stack = 1 << 20

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
        /// The one of the caller: a thread looks up names for several callers.
        let interposer = Interposer.current
        let result = Lock<Result<AddressList, SocketError>?>(nil)

        init(name: String, port: UInt16, family: AddressFamily?) {
            self.name = name
            self.port = port
            self.family = family
        }

        fileprivate func run() {
            finish(Interposer.$current.withValue(interposer) { lookUp(name, port, family) })
        }

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
        do throws(Errno) {
            try Threads.start("resolver", stack: stack) { work() }
        } catch {
            // The other threads may be stuck for long, and without any thread all that wait would wait for ever.
            let stranded = state.withLock { state -> [Lookup] in
                state.threads -= 1
                let left = state.waiting.filter { $0 === lookup || state.threads == 0 }
                state.waiting.removeAll { $0 === lookup || state.threads == 0 }
                return left
            }
            for lookup in stranded {
                lookup.finish(.failure(SocketError(.resolve, .system(error), target: lookup.name)))
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
        do throws(System.LookupFailure) {
            return .success(try ask(name, port, family))
        } catch {
            // Not every resolver tells a name without an address of the family from no name at all.
            guard let family, (try? ask(name, port, family.other)) != nil else {
                return .failure(Self.error(name, error))
            }
            let reason = "it has no \(family) address, only \(family.other) ones"
            return .failure(SocketError(.resolve, .resolution(name: name, reason: reason)))
        }
    }

    private static func ask(
        _ name: String, _ port: UInt16, _ family: AddressFamily?
    ) throws(System.LookupFailure) -> AddressList {
        let found = try System.addresses(of: name, port: port, family: family)
        guard let addresses = AddressList(interleaving: found) else { throw .noSuchName }
        return addresses
    }

    private static func error(_ name: String, _ failure: System.LookupFailure) -> SocketError {
        let reason: String
        switch failure {
        case .noSuchName: reason = "no such name; check its spelling, or write an address"
        case .noAnswer: reason = "no name server answered; try again later, or write an address"
        case .system(let errno): return SocketError(.resolve, .system(errno), target: name)
        case .other(let words): reason = words
        }
        return SocketError(.resolve, .resolution(name: name, reason: reason))
    }
}
