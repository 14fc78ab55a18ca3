#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The language of the dialogue: Chinese where the locale's is, English elsewhere.
enum Language {
    case english, chinese

    /// From LC_ALL, LC_MESSAGES and LANG: the first that is set and not empty decides.
    static let current: Language = {
        for name in ["LC_ALL", "LC_MESSAGES", "LANG"] {
            guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { continue }
            return of(locale: value)
        }
        return .english
    }()

    static func of(locale: String) -> Language {
        let language = locale.prefix { $0.isLetter }
        return language == "zh" ? .chinese : .english
    }

    /// What a server says before a message.
    var received: String { self == .chinese ? "已收到信息-->" : "received-->" }
    /// What a client says before a reply.
    var reply: String { self == .chinese ? "已收到回应-->" : "reply-->" }
    /// What a client says to an empty line.
    var emptyMessage: String {
        self == .chinese
            ? "空行没有发送：流不能携带空消息，请输入文字"
            : "an empty line sends nothing: a stream cannot carry an empty message; write something"
    }
}

/// A text in the language of the locale: each stands beside the other, where it is used.
func text(_ english: String, _ chinese: String) -> String { Language.current == .chinese ? chinese : english }
