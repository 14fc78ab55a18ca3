internal import SocketCore
internal import Sockets

/// The common ones of the kernel's errors in Chinese.
let chineseErrors: [Errno: String] = [
    .notPermitted: "不允许这样做", .noSuchFileOrDirectory: "没有那个文件或目录", .ioError: "输入输出错误",
    .badFileDescriptor: "文件描述符已失效", .noMemory: "内存不足", .permissionDenied: "权限不足", .fileExists: "文件已存在",
    .notDirectory: "不是目录", .isDirectory: "是目录", .invalidArgument: "参数无效", .tooManyOpenFilesInSystem: "系统打开的文件过多",
    .tooManyOpenFiles: "打开的文件过多", .fileTooLarge: "文件过大", .noSpace: "设备上没有空间", .readOnlyFileSystem: "文件系统只读",
    .brokenPipe: "管道已断开", .fileNameTooLong: "文件名过长", .tooManySymbolicLinkLevels: "符号链接层数过多",
    .resourceTemporarilyUnavailable: "资源暂时不可用", .notSocket: "不是套接字", .messageTooLong: "消息过长",
    .protocolNotAvailable: "协议选项不可用", .protocolNotSupported: "不支持该协议", .socketTypeNotSupported: "不支持该套接字类型",
    .notSupportedOnSocket: "套接字不支持这个操作", .addressFamilyNotSupported: "不支持该地址族", .addressInUse: "地址已被占用",
    .addressNotAvailable: "无法使用该地址", .networkDown: "网络已断开", .networkUnreachable: "网络不可达", .networkReset: "网络重置了连接",
    .connectionAbort: "连接被中止", .connectionReset: "连接被对方重置", .noBufferSpace: "缓冲区空间不足",
    .socketIsConnected: "套接字已经连接", .socketNotConnected: "套接字没有连接", .socketShutdown: "套接字已经关闭",
    .timedOut: "连接超时", .connectionRefused: "连接被拒绝", .hostIsDown: "主机已关闭", .noRouteToHost: "没有到主机的路由",
    .diskQuotaExceeded: "超出磁盘配额",
]
