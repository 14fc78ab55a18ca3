internal import Sockets

extension ChildProcess.ExitStatus {
    /// How it ended: `with status 1`, `by signal 15`.
    var said: String {
        switch self {
        case .exited(let code): text("with status \(code)", "退出码 \(code)")
        case .signalled(let signal): text("by signal \(signal)", "信号 \(signal)")
        case .unknown: text("in a way that is not known", "未知状态")
        }
    }

    func said(of name: String) -> String { text("\(name): it ended \(said)", "\(name)：它结束了（\(said)）") }

    /// The same of a program that did not end by itself.
    func saidOfEnded(_ name: String, _ grace: Duration) -> String {
        text(
            "\(name): \(grace.inSeconds) s after its stream it was still there, and was ended \(said); give it longer with --grace",
            "\(name)：数据流结束 \(grace.inSeconds) 秒之后它还在，于是被结束（\(said)）；请用 --grace 多给一些时间")
    }
}
