// The four functions that GCC may call in any freestanding program. Whole words are moved where both
// sides are aligned alike; nothing here makes an unaligned access, which the smallest cores refuse.
#include <stddef.h>
#include <stdint.h>

// Else GCC recognises the loops below and turns them into calls of the very functions they implement.
#pragma GCC optimize("no-tree-loop-distribute-patterns")

namespace {

// A word that may alias any other type.
using Word = uint32_t __attribute__((may_alias));
constexpr size_t kWord = sizeof(Word);

size_t misalignment(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % kWord; }

// From low to high addresses, for what overlaps too if `to` lies at least four words below `from`.
void copy_up(uint8_t* to, const uint8_t* from, size_t bytes) {
  if (misalignment(to) == misalignment(from)) {
    for (; bytes > 0 && misalignment(to) != 0; --bytes) *to++ = *from++;
    auto* to_words = reinterpret_cast<Word*>(to);
    auto* from_words = reinterpret_cast<const Word*>(from);
    for (; bytes >= 4 * kWord; bytes -= 4 * kWord) {
      const Word a = from_words[0], b = from_words[1], c = from_words[2], d = from_words[3];
      to_words[0] = a, to_words[1] = b, to_words[2] = c, to_words[3] = d;
      to_words += 4, from_words += 4;
    }
    for (; bytes >= kWord; bytes -= kWord) *to_words++ = *from_words++;
    to = reinterpret_cast<uint8_t*>(to_words);
    from = reinterpret_cast<const uint8_t*>(from_words);
  }
  for (; bytes > 0; --bytes) *to++ = *from++;
}

}  // namespace

extern "C" {

void* memcpy(void* destination, const void* source, size_t bytes) {
  copy_up(static_cast<uint8_t*>(destination), static_cast<const uint8_t*>(source), bytes);
  return destination;
}

void* memmove(void* destination, const void* source, size_t bytes) {
  auto* to = static_cast<uint8_t*>(destination);
  auto* from = static_cast<const uint8_t*>(source);
  const auto ahead = reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from);
  if (ahead >= bytes && -ahead >= 4 * kWord) {
    copy_up(to, from, bytes);
  } else if (to < from) {
    for (; bytes > 0; --bytes) *to++ = *from++;
  } else {
    while (bytes-- > 0) to[bytes] = from[bytes];
  }
  return destination;
}

void* memset(void* destination, int value, size_t bytes) {
  auto* to = static_cast<uint8_t*>(destination);
  const auto byte = static_cast<uint8_t>(value);
  for (; bytes > 0 && misalignment(to) != 0; --bytes) *to++ = byte;
  auto* to_words = reinterpret_cast<Word*>(to);
  const Word word = byte * 0x01010101u;
  for (; bytes >= kWord; bytes -= kWord) *to_words++ = word;
  to = reinterpret_cast<uint8_t*>(to_words);
  for (; bytes > 0; --bytes) *to++ = byte;
  return destination;
}

int memcmp(const void* left, const void* right, size_t bytes) {
  auto* a = static_cast<const uint8_t*>(left);
  auto* b = static_cast<const uint8_t*>(right);
  for (; bytes > 0; --bytes, ++a, ++b) {
    if (*a != *b) return *a < *b ? -1 : 1;
  }
  return 0;
}

}  // extern "C"
