#include "check.h"

// Under other names, so that this machine's own functions stay what they are.
#define memcpy tested_memcpy
#define memmove tested_memmove
#define memset tested_memset
#define memcmp tested_memcmp
#include "runtime/memory.cpp"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp

namespace {

constexpr size_t kRoom = 96;
uint8_t source[kRoom], destination[kRoom], before[kRoom];

void fill() {
  for (size_t i = 0; i < kRoom; ++i) {
    source[i] = static_cast<uint8_t>(check::random32());
    before[i] = destination[i] = static_cast<uint8_t>(check::random32());
  }
}

void memcpy_copies_at_every_alignment() {
  for (size_t from = 0; from < 8; ++from) {
    for (size_t to = 0; to < 8; ++to) {
      for (size_t bytes = 0; bytes <= 70; ++bytes) {
        fill();
        CHECK(tested_memcpy(destination + to, source + from, bytes) == destination + to);
        for (size_t i = 0; i < kRoom; ++i) {
          const bool inside = i >= to && i < to + bytes;
          CHECK(destination[i] == (inside ? source[i - to + from] : before[i]));
        }
      }
    }
  }
}

void memmove_copes_with_every_overlap() {
  for (size_t from = 0; from < 40; from += 1) {
    for (size_t to = 0; to < 40; to += 3) {
      for (size_t bytes = 0; bytes <= 56; bytes += 7) {
        fill();
        tested_memmove(destination + to, destination + from, bytes);
        for (size_t i = 0; i < kRoom; ++i) {
          const bool inside = i >= to && i < to + bytes;
          CHECK(destination[i] == before[inside ? i - to + from : i]);
        }
      }
    }
  }
}

void memset_stays_inside() {
  for (size_t to = 0; to < 8; ++to) {
    for (size_t bytes = 0; bytes <= 40; ++bytes) {
      fill();
      CHECK(tested_memset(destination + to, 0x1a5, bytes) == destination + to);
      for (size_t i = 0; i < kRoom; ++i) {
        CHECK(destination[i] == (i >= to && i < to + bytes ? 0xa5 : before[i]));
      }
    }
  }
}

void memcmp_orders_by_unsigned_bytes() {
  fill();
  tested_memcpy(destination, source, kRoom);
  CHECK(tested_memcmp(destination, source, kRoom) == 0);
  source[50] = 0x7f;
  destination[50] = 0x80;
  CHECK(tested_memcmp(destination, source, kRoom) > 0);
  CHECK(tested_memcmp(source, destination, kRoom) < 0);
  CHECK(tested_memcmp(source, destination, 50) == 0);
}

}  // namespace

int main() {
  RUN(memcpy_copies_at_every_alignment);
  RUN(memmove_copes_with_every_overlap);
  RUN(memset_stays_inside);
  RUN(memcmp_orders_by_unsigned_bytes);
  check::finish();
}
