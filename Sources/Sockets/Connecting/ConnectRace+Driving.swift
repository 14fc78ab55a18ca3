package import Loops
package import SocketCore
internal import SystemPackage

// The two drivers of a race: they wait for all of its sockets at once, and notice what ends all of its attempts, which is
// the deadline, a cancellation, and the end of the loop.

extension Connection {
    /// Connects to the first of several addresses that answers, waiting as a task.
    package convenience init(
        racing addresses: AddressList, from source: SocketAddress? = nil, until deadline: Deadline = .never,
        duplex: Duplex = .full, trace: Trace? = nil
    ) async throws(SocketError) {
        var race = ConnectRace(addresses, from: source, deadline: deadline, trace: trace)
        self.init(try await race.run(), duplex: duplex)
    }

    /// The same, blocking the thread.
    @available(*, noasync)
    package convenience init(
        racing addresses: AddressList, from source: SocketAddress? = nil, until deadline: Deadline = .never,
        duplex: Duplex = .full, trace: Trace? = nil
    ) throws(SocketError) {
        var race = ConnectRace(addresses, from: source, deadline: deadline, trace: trace)
        self.init(try race.runBlocking(), duplex: duplex)
    }
}

extension ConnectRace {
    /// Races until there is a winner, suspending the task meanwhile.
    mutating func run() async throws(SocketError) -> ConnectingSocket {
        if Task.isCancelled { throw end(.cancelled) }
        while true {
            switch try step() {
            case .won(let socket): return socket
            case .wait(let moment):
                do throws(SocketError) {
                    try await Waitable.wait(forAnyOf: sockets, .send, until: moment, .connect)
                } catch {
                    throw end(error.cause)
                }
            }
        }
    }

    /// Races until there is a winner, blocking the thread meanwhile.
    mutating func runBlocking() throws(SocketError) -> ConnectingSocket {
        while true {
            switch try step() {
            case .won(let socket): return socket
            case .wait(let moment):
                do throws(Errno) {
                    try Waitable.waitBlocking(forAnyOf: sockets, .send, until: moment)
                } catch {
                    throw end(.system(error))
                }
            }
        }
    }
}
