import SocketCore

/// Whether a terminal shows the text as it is and does nothing else.
func isSafeForTerminal(_ text: String) -> Bool {
    !text.unicodeScalars.contains { $0.isUnsafeForTerminal }
}
