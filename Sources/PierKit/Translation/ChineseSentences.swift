/// The library's sentences in Chinese, by their English words. A `%` stands for a value; the order of values is the same.
let chineseSentences: [String: String] = [
    // Endpoints.
    "it is empty; write HOST:PORT, :PORT or a path such as /run/a.sock":
        "它是空的；请写成 HOST:PORT、:PORT，或者 /run/a.sock 这样的路径",
    "it is empty; write ADDRESS:PORT or a path such as /run/a.sock": "它是空的；请写成 ADDRESS:PORT，或者 /run/a.sock 这样的路径",
    "a port alone is no address; write an address before the colon": "只有端口不算地址；请在冒号前写上地址",
    "% is a name, and an address is needed here": "% 是名字，这里需要地址",
    "standard input and output have no address": "标准输入和标准输出没有地址",
    "a % endpoint cannot have this place": "% 端点不能有这个位置",
    "a path after %:// starts with /; for a relative path write %:PATH, for an abstract name %://@NAME":
        "%:// 后面的路径要以 / 开头；相对路径写作 %:PATH，抽象名字写作 %://@NAME",
    "schemes are written in lower case: %": "方案要用小写：%",
    "unknown scheme \"%\"; did you mean \"%\"?": "未知的方案 \"%\"；你是不是想写 \"%\"？",
    "// is missing after the scheme; write %://%": "方案后面缺少 //；请写成 %://%",
    "unknown scheme \"%\"; there are %": "未知的方案 \"%\"；可用的有 %",
    "a name is missing behind the @": "@ 后面缺少名字",
    "a path is missing": "缺少路径",
    "% bytes are too long: a Unix socket's path or name has at most %": "% 字节太长：Unix 套接字的路径或名字最多 % 字节",
    "it is no path of a Unix socket": "它不是 Unix 套接字的路径",
    "a % is followed by two hexadecimal digits; write a % itself as %25": "% 后面要跟两个十六进制数字；% 本身写作 %25",
    "a zero byte cannot be part of it": "其中不能有零字节",
    "an abstract name is written unix://@NAME": "抽象名字写作 unix://@NAME",
    "a port alone is written with a colon before it; a Unix path needs a / in it": "只写端口时前面要有冒号；Unix 路径里要有 /",
    "a port is missing; write HOST:PORT, or a path with a / in front": "缺少端口；请写成 HOST:PORT，或者以 / 开头的路径",
    "an IPv6 address stands in brackets, before its port: [%]:PORT": "IPv6 地址要放在方括号里，后面跟端口：[%]:PORT",
    "a second colon; an IPv6 address stands in brackets: [ADDRESS]:PORT": "第二个冒号；IPv6 地址要放在方括号里：[ADDRESS]:PORT",
    "the bracket is not closed; write [ADDRESS]:PORT": "方括号没有闭合；请写成 [ADDRESS]:PORT",
    "\"%\" is no IPv6 address": "\"%\" 不是 IPv6 地址",
    "a port is missing; write [ADDRESS]:PORT": "缺少端口；请写成 [ADDRESS]:PORT",
    "an interface's name or number is missing behind the %": "% 后面缺少网络接口的名字或编号",
    "this machine has no interface \"%\"": "这台机器没有网络接口 \"%\"",
    "a port is missing; write a number from 0 to 65535": "缺少端口；请写 0 到 65535 之间的数字",
    "\"%\" is no port; write a number from 0 to 65535, without a sign or leading zeros":
        "\"%\" 不是端口；请写 0 到 65535 之间的数字，不带符号，前面不加零",
    "port % is too large; the largest is 65535": "端口 % 太大；最大是 65535",
    "a name in other letters is written in its ASCII form, xn--…": "其他文字的名字要写成 ASCII 形式，xn--…",
    "a host's name has letters, digits, hyphens and dots only": "主机名只能有字母、数字、连字符和点",
    "an IPv4 address is four numbers from 0 to 255, without leading zeros, joined by dots":
        "IPv4 地址是四个 0 到 255 之间的数字，前面不加零，用点连接",
    "it is too long: a name has at most 253 characters, 63 between dots": "太长了：名字最多 253 个字符，两点之间最多 63 个",
    "there is nothing between two dots of the name": "名字的两个点之间没有内容",
    "unknown key \"%\"; did you mean \"%\"?": "未知的键 \"%\"；你是不是想写 \"%\"？",
    "unknown key \"%\"; there are %": "未知的键 \"%\"；可用的有 %",
    "unknown key \"%\"; there are none here": "未知的键 \"%\"；这里没有可用的键",
    "a command is missing; write exec:PROGRAM ARGUMENTS, such as exec:cat": "缺少命令；请写成 exec:程序 参数，例如 exec:cat",
    "the name of a program is missing": "缺少程序的名字",
    "a control character cannot be part of a command; put it into a script, and run that":
        "命令里不能有控制字符；请把它写进脚本，再运行脚本",
    "there is nothing behind the backslash; write a backslash itself as \\\\": "反斜杠后面没有内容；反斜杠本身写作 \\\\",
    "the quote is not closed; write a quote itself as \\'": "引号没有闭合；引号本身写作 \\'",
    "the quote is not closed; write a quote itself as \\\"": "引号没有闭合；引号本身写作 \\\"",
    "a path after file:// starts with /; for a relative path write file:PATH": "file:// 后面的路径要以 / 开头；相对路径写作 file:PATH",
    "% bytes are too long: a file's path has at most %": "% 字节太长：文件的路径最多 % 字节",
    "a descriptor's number is missing; write fd:N with a decimal number, such as fd:3, without a sign or leading zeros":
        "缺少描述符的编号；请写成 fd:N，例如 fd:3，用十进制数字，不带符号，前面不加零",
    "% characters are too long: a socket's name has at most %": "% 个字符太长：套接字的名字最多 % 个字符",
    "a socket's name has the characters of ASCII, without colons": "套接字的名字只能用 ASCII 字符，不能有冒号",
    "a value is missing; write %=VALUE": "缺少值；请写成 %=VALUE",
    "% is given twice": "% 写了两次",

    // Endpoints that do not fit the verb.
    "a stream is needed here: tcp or unix, not %": "这里需要流：tcp 或 unix，不能是 %",
    "% is a name, and a listener needs an address of this machine, such as 127.0.0.1, or localhost":
        "% 是名字，监听需要本机的地址，例如 127.0.0.1 或 localhost",
    "datagrams are needed here: udp or unix-dgram, not %": "这里需要数据报：udp 或 unix-dgram，不能是 %",
    "% is a name, and a bound socket needs an address of this machine, such as 127.0.0.1, or localhost":
        "% 是名字，绑定需要本机的地址，例如 127.0.0.1 或 localhost",
    "it is an % address, and only % is asked for; write an % address or a name":
        "它是 % 地址，而要求的只有 %；请写 % 地址或者名字",
    "it is an % address, and the source % an % one; both are to be of one family":
        "它是 % 地址，而源地址 % 是 % 的；两者要属于同一个地址族",
    "a Unix socket has no IP address; leave the source % out, or write an % address":
        "Unix 套接字没有 IP 地址；请去掉源地址 %，或者写 % 地址",
    "a Unix socket has no IP address; leave the family out, or write an % address":
        "Unix 套接字没有 IP 地址；请去掉地址族，或者写 % 地址",
    "a socket's address is needed here: tcp or unix, not %": "这里需要套接字的地址：tcp 或 unix，不能是 %",
    "standard input and output cannot be listened on": "不能在标准输入和标准输出上监听",
    "standard input and output cannot be connected to": "不能连接标准输入和标准输出",
    "port 0 cannot be connected to; it means \"any free port\" to a listener": "不能连接端口 0；它对监听者来说是“任意一个空闲端口”",
    "broadcast is true or false": "broadcast 是 true 或 false",
    "the address names another interface": "地址里写的是另一个网络接口",
    "an interface is for a multicast group, or for an address of one link": "网络接口用于组播组，或者链路本地地址",
    "duplex is one of %": "duplex 是其中之一：%",
    "mode is one of %": "mode 是其中之一：%",
    "it is a listening socket, and a connected one is needed here": "它是监听套接字，这里需要已连接的套接字",
    "it is connected to nobody, and a connected socket is needed here": "它没有连接到任何人，这里需要已连接的套接字",
    "it is a datagram socket, and a stream is needed here": "它是数据报套接字，这里需要字节流",
    "it is connected to nobody; a target is a connected socket": "它没有连接到任何人；目标要是已连接的套接字",
    "some of its sockets are streams and some are not; give them names of their own (FileDescriptorName=)":
        "叫这个名字的套接字有的是字节流，有的不是；请给它们各自的名字（FileDescriptorName=）",
    "% sockets have this name, and one is needed here": "有 % 个套接字叫这个名字，这里需要一个",
    "the service manager has passed on no sockets to this process (LISTEN_FDS, LISTEN_PID)":
        "服务管理器没有把套接字交给这个进程（LISTEN_FDS、LISTEN_PID）",
    "no socket of this name was passed on; there are %": "没有交来叫这个名字的套接字；可用的有 %",
    "backlog is a number above 0, such as 128": "backlog 是大于 0 的数字，例如 128",

    // Names.
    "no such name; check its spelling, or write an address": "没有这个名字；请检查拼写，或者直接写地址",
    "no name server answered; try again later, or write an address": "没有域名服务器应答；请稍后再试，或者直接写地址",

    "it has no IPv4 address, only IPv6 ones": "它没有 IPv4 地址，只有 IPv6 地址",
    "it has no IPv6 address, only IPv4 ones": "它没有 IPv6 地址，只有 IPv4 地址",

    // Misuse.
    "a blocking call on an event loop's thread would stop all of its clients; use the form with await":
        "在事件循环的线程上阻塞会停住它的所有客户端；请使用带 await 的形式",
    "it was taken over before; a descriptor can be used once": "它已经被接管过了；一个描述符只能用一次",
    "it is no listening socket; a connected one can only be the target": "它不是监听套接字；已连接的套接字只能作为目标",
    "every target is there for one client, and has it": "每个目标都只供一个客户端使用，已经有了",
    "this socket is being served already": "这个套接字已经在服务了",
    "they came faster than they were taken, so the kernel dropped them": "它们来得比处理得快，所以内核丢弃了它们",
    "nothing can be written to it": "不能往它那里写",
    "the datagram had no hop left": "数据报的跳数用完了",
    "a datagram with a line's end in it is no line": "含有行尾的数据报不能作为一行",
    "an empty datagram is nothing in a stream without framing": "没有分界的字节流里，空的数据报等于没有",
    "another wait is under way in this direction": "这个方向上已经有一个等待在进行",
    "this connection is for sending only": "这个连接只用来发送",
    "this connection is for receiving only": "这个连接只用来接收",
]
