"""The chart's words, in English and Chinese: the languages are 0 and 1."""

TITLE = [
    ("What a message costs the server",
     "Processor time, user and system, beside Pier under the same load; and memory. Shorter is better."),
    ("服务端为一条消息付出多少", "同样负载下与 Pier 相比的处理器时间（用户态加内核态），以及内存。越短越好。"),
]

# In this order from left to right; two lines each.
HEADINGS = {
    "echo-64": [("echo", "64 clients"), ("回显", "64 个客户端")],
    "echo-1000": [("echo", "1 000 clients"), ("回显", "1 000 个客户端")],
    "churn": [("connection", "connect, echo, close"), ("连接", "建立、回显、关闭")],
    "udp": [("datagrams", "echo, 16 senders"), ("数据报", "回显，16 个发送方")],
    "idle": [("memory", "15 000 idle clients"), ("内存", "15 000 个空闲客户端")],
}

UNITS = {
    "ratio": ["times Pier's {:.1f} µs", "Pier 为 1，即 {:.1f} µs"],
    "bytes": ["bytes a client", "字节/客户端"],
}

SERVERS = {
    "pier": ["Pier", "Pier"],
    "straight-line": ["Pier, verb by verb", "Pier，逐条收发"],
    "floor": ["plain C (the floor)", "纯 C（下限）"],
    "go": ["Go net", "Go net"],
    "uvloop": ["Python uvloop", "Python uvloop"],
    "asyncio": ["Python asyncio", "Python asyncio"],
    "nio-handlers": ["SwiftNIO handlers", "SwiftNIO 处理器"],
    "nio-async": ["SwiftNIO async", "SwiftNIO async"],
    "flyingsocks": ["FlyingSocks", "FlyingSocks"],
}


def footer(results, source, language):
    rounds = max((int(row["round"]) for row in results.rows), default=0)
    head = results.head
    place = "; ".join(head[name] for name in ("processors", "kernel") if name in head)
    # A machine that had other work to do says so.
    busy = head.get("load average before", "?").partition(" ")[0]
    date = head.get("date", "").partition("T")[0]
    if language == 0:
        return [
            f"Median of {rounds} rounds; the thin line is from the least round to the most. {place}; {date}.",
            f"From {source}, load average {busy} before it; how it is measured: Benchmarks/README.md",
        ]
    place = place.replace(", in a virtual machine", "，虚拟机")
    return [
        f"取 {rounds} 轮的中位数；细线为各轮的最小值到最大值。{place}；{date}。",
        f"数据：{source}，测量前平均负载 {busy}；测量方法：Benchmarks/README.md",
    ]
