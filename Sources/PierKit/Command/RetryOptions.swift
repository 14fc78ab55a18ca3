internal import ArgumentParser

/// How it goes on when nothing can be connected to: the flags of `connect` and of `relay`.
struct RetryOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            text(
                "How often to try again when nothing can be connected to: a number, or forever.",
                "连接不上时再试多少次：一个数字，或者 forever（一直试）。")))
    var retry = Retries(0)

    @Option(
        help: ArgumentHelp(
            text(
                "How long to wait before trying again: the shortest and the longest time; each wait is up to twice as long as the last, by chance.",
                "再试之前等多久：最短和最长的时间；每次等待最长是上一次的两倍，长短随机。")))
    var backoff = Backoff()

    var tries: Retrying { Retrying(retry, backoff) }
}
