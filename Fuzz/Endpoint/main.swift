import FuzzSupport
import SocketCore

// What a person writes, and a peer's name as it is printed and read again: it parses to something that prints so that it
// parses back, or to an error that points into the text.

fuzz { data, count in
    let text = String(decoding: input(data, count), as: UTF8.self)
    for keys in [Endpoint.keys, ["show", "idle-timeout", "duplex"]] {
        do throws(EndpointError) {
            let endpoint = try Endpoint(text, keys: keys)
            let printed = endpoint.description
            precondition(!printed.unicodeScalars.contains { $0.isUnsafeForTerminal }, "it prints what a terminal obeys")
            let again = try? Endpoint(printed, keys: keys)
            precondition(again == endpoint, "\(printed) is another endpoint")
        } catch {
            precondition(error.text == text && (0...text.utf8.count).contains(error.position), "it points nowhere")
            let sentence = error.description
            precondition(!sentence.isEmpty && !sentence.unicodeScalars.contains { $0.isUnsafeForTerminal })
        }
    }
    return 0
}
