// What the C and C++ libraries ask of a system. There is none: no heap, no files, nothing to return to.
#include <stddef.h>

extern "C" {

// Static objects live as long as the firmware.
void* __dso_handle = nullptr;
int __aeabi_atexit(void*, void (*)(void*), void*) { return 0; }
int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }

[[noreturn]] void abort() { __builtin_trap(); }
[[noreturn]] void __cxa_pure_virtual() { abort(); }

}  // extern "C"

// The compiler names it in every class with a virtual destructor; nothing here is ever made by new.
void operator delete(void*) noexcept {}
void operator delete(void*, size_t) noexcept {}
