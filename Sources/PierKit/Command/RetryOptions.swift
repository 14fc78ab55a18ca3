internal import ArgumentParser

/// How it goes on when nothing can be connected to: the flags of `connect` and of `relay`.
struct RetryOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            text(
                "How often to try again when addresses cannot be connected to: a number, or forever.",
                "地址连接不上时再试多少次：一个数字，或者 forever（一直试）。")))
    var retry = Retries(0)

    @Option(
        help: ArgumentHelp(
            text(
                "How long to wait before trying again, at the least and at the most: the time doubles with each try, and is up to half less by chance.",
                "再试之前最少和最多等多久：每次的时间加倍，再随机减去至多一半。")))
    var backoff = Backoff()

    var tries: Retrying { Retrying(retry, backoff) }
}
