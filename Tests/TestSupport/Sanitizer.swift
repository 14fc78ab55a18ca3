#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Whether this is a build for the thread sanitizer. It keeps a shadow of all memory, so how much there is says nothing, and
/// it does not bear another library in front of the system's.
package let isSanitized = dlsym(nil, "__tsan_init") != nil
