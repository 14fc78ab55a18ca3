internal import Sockets

extension ChildProcess.ExitStatus {
    /// How it ended, in words.
    private var words: String {
        switch self {
        case .exited(let code): text("with status \(code)", "，状态是 \(code)")
        case .signalled(let signal): text("by signal \(signal)", "，因为信号 \(signal)")
        case .unknown: text("in a way that is not known", "，不知道是怎样结束的")
        }
    }

    func said(of name: String) -> String { text("\(name): it ended \(words)", "\(name)：它结束了\(words)") }

    /// The same of a program that did not end by itself.
    func saidOfEnded(_ name: String, _ grace: Duration) -> String {
        text(
            "\(name): \(grace.inSeconds) s after its stream it was still there, and was ended \(words); give it longer with --grace",
            "\(name)：数据流结束 \(grace.inSeconds) 秒之后它还在，于是被结束\(words)；请用 --grace 多给一些时间")
    }
}
