// The walkie-talkie's rule: on a half-duplex connection a send waits while a receive is under way, and the reverse.
import Sockets

func talk() async throws {
    let (here, there) = try Connection.pair(duplex: .half)

    // An immediate task runs at once until it has to wait. So `here` is listening when the next line is reached.
    let listening = Task.immediate { try await here.receive(upTo: 64) }
    print("here:  listening")
    let speaking = Task.immediate { try await here.send("hello from here, over") }
    print("here:  wants to speak too, and must wait until it has heard something")

    there.receiveDeadline = .after(.milliseconds(100))
    do {
        _ = try await there.receive(upTo: 64)
    } catch {
        print("there: heard nothing for 100 ms (\(error))")
    }

    there.receiveDeadline = .never
    try await there.send("hello from there, over")
    print("here:  heard", text(try await listening.value))
    try await speaking.value
    print("there: heard", text(try await there.receive(upTo: 64)))
}

func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }

try await talk()
