/// What the parser says is wrong with the command's words, in the language of the locale: found by its own words, with
/// `%` for what it quotes.
func parserSentence(_ english: String) -> String {
    let sentences = (english.hasSuffix(".") ? english.dropLast() : english[...]).split(separator: ". ").map {
        $0.prefix(1).lowercased() + $0.dropFirst()
    }
    let plain = sentences.joined(separator: "; ")
    guard Language.current == .chinese else { return plain }
    // Between quotes stand the user's words. With a quote among them their ends cannot be told.
    let parts = plain.split(separator: "'", omittingEmptySubsequences: false).map(String.init)
    guard parts.count % 2 == 1 else { return plain }
    let quoted = stride(from: 1, to: parts.count, by: 2).map { "'\(parts[$0])'" }
    let words = stride(from: 0, to: parts.count, by: 2).map { parts[$0] }.joined(separator: "%")
    for (known, chinese) in parserSentences {
        // What is offered at the end is a list of any length.
        guard known == words || known.hasSuffix("…") && words.hasPrefix(known.dropLast()) else { continue }
        var left = quoted[...]
        return chinese.map { character in
            switch character {
            case "%": left.popFirst() ?? "%"
            case "…": left.joined(separator: "、")
            default: String(character)
            }
        }.joined()
    }
    // `2 unexpected arguments: 'a', 'b'`
    if words.contains("unexpected arguments: %") { return "多余的参数 \(quoted.joined(separator: "、"))" }
    return plain
}

private let parserSentences = [
    ("unknown option %", "未知的选项 %"),
    ("unknown option %; did you mean %?", "未知的选项 %；你是不是想写 %？"),
    ("missing expected argument %", "缺少参数 %"),
    ("missing value for %", "% 缺少值"),
    ("unexpected argument %", "多余的参数 %"),
    ("the value % is invalid for %", "% 不能作为 % 的值"),
    ("the value % is invalid for %; please provide one of %…", "% 不能作为 % 的值；请从 … 中选一个"),
    ("the option % does not take any value, but % was specified", "选项 % 不带值，却写了 %"),
    ("value to be set with flag % had already been set with flag %", "% 和 % 不能同时使用"),
]
