import FuzzSupport
@testable import PierKit
import SocketCore

// What a peer sent, on its way to a terminal: nothing of it may be obeyed, whatever it is and wherever it is cut.

fuzz { data, count in
    // The first byte says where the rest is cut.
    let all = input(data, count)
    guard let first = all.first else { return 0 }
    let bytes = Array(all.dropFirst())
    let size = Int(first & 15) + 1
    let escaped = String(decoding: bytes, as: UTF8.self).escapedForTerminal()
    precondition(!escaped.unicodeScalars.contains { $0.isUnsafeForTerminal })
    for keepsLines in [false, true] {
        var whole = Display(.text, keepsLines: keepsLines)
        let uncut = (whole.text(for: bytes) ?? "") + (whole.rest() ?? "")
        check(uncut, keepsLines)
        check(Display(.text, keepsLines: keepsLines).text(forWhole: bytes), keepsLines)
        var cut = Display(.text, keepsLines: keepsLines)
        var pieces = ""
        for start in stride(from: 0, to: bytes.count, by: size) {
            pieces += cut.text(for: Array(bytes[start..<min(start + size, bytes.count)])) ?? ""
        }
        pieces += cut.rest() ?? ""
        check(pieces, keepsLines)
        // With lines kept nothing is dropped, so the cuts cannot be seen.
        if keepsLines { precondition(pieces == uncut, "it depends on where it was cut") }
    }
    return 0
}

private func check(_ text: String, _ keepsLines: Bool) {
    var previous: Unicode.Scalar?
    for scalar in text.unicodeScalars {
        let isLine = keepsLines && (scalar == "\n" || scalar == "\r")
        precondition(scalar == "\t" || isLine || !scalar.isUnsafeForTerminal, "a terminal would obey \(scalar.value)")
        if keepsLines, previous == "\r" { precondition(scalar == "\n", "it would overwrite the line") }
        previous = scalar
    }
}
