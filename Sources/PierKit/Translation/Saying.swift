internal import SocketCore
internal import Sockets

// What the library says in English, in the language of the locale.

extension SocketError {
    var said: String { description }
}

extension Trace.Event {
    var said: String { description }
}
