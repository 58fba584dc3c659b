#include "arena.h"

#include "board.h"

namespace tinydeploy {
namespace arena {
namespace {

constexpr uint32_t kWord = 4;
constexpr uint32_t kGuardWords = 8;  // on either side

#if TINYDEPLOY_ARENA_BYTES > 0

constexpr uint32_t kWords = (TINYDEPLOY_ARENA_BYTES + kWord - 1) / kWord;
struct Memory {
  alignas(16) uint32_t before[kGuardWords];
  alignas(16) uint32_t words[kWords];
  uint32_t after[kGuardWords];
};
#if TINYDEPLOY_ARENA_IN_PSRAM

// Taken once, and kept. A module without PSRAM has none to give: then there is no arena.
Memory* memory() {
  static Memory* taken = nullptr;
  if (taken == nullptr) {
    taken = static_cast<Memory*>(from_psram(sizeof(Memory), alignof(Memory)));
  }
  return taken;
}
uint32_t* words() { return memory() == nullptr ? nullptr : memory()->words; }
uint32_t capacity_bytes() { return memory() == nullptr ? 0 : TINYDEPLOY_ARENA_BYTES; }

#else

Memory memory;
uint32_t* words() { return memory.words; }
uint32_t capacity_bytes() { return TINYDEPLOY_ARENA_BYTES; }

#endif

#else

extern "C" uint32_t __free_start[], __free_end[];  // defined by the linker script
uint32_t* words() { return __free_start + kGuardWords; }
uint32_t capacity_bytes() {
  const auto free = static_cast<uint32_t>(__free_end - __free_start);
  return free > 2 * kGuardWords ? (free - 2 * kGuardWords) * kWord / 16 * 16 : 0;
}

#endif

uint32_t arena_bytes;

// Indices count from the arena's first word; the guard before it has negative ones.
uint32_t paint_of(int32_t index) { return static_cast<uint32_t>(index) * 0x9e3779b1u ^ 0xa5c3965au; }
int32_t end_of_all() { return static_cast<int32_t>(capacity_bytes() / kWord + kGuardWords); }

bool painted(int32_t begin, int32_t end) {
  for (int32_t i = begin; i < end; ++i) {
    if (words()[i] != paint_of(i)) return false;
  }
  return true;
}

}  // namespace

uint8_t* begin() { return reinterpret_cast<uint8_t*>(words()); }

uint32_t capacity() { return capacity_bytes(); }

void paint(uint32_t bytes) {
  arena_bytes = bytes;
  if (capacity_bytes() == 0) return;
  for (int32_t i = -static_cast<int32_t>(kGuardWords); i < end_of_all(); ++i) words()[i] = paint_of(i);
}

Usage usage() {
  Usage usage = {0, 0, false};
  if (capacity_bytes() == 0) return usage;
  const auto end = static_cast<int32_t>((arena_bytes + kWord - 1) / kWord);
  for (int32_t i = 0; i < end; ++i) {
    if (words()[i] == paint_of(i)) continue;
    usage.touched_bytes += kWord;
    usage.high_water_bytes = static_cast<uint32_t>(i + 1) * kWord;
  }
  if (usage.touched_bytes > arena_bytes) usage.touched_bytes = arena_bytes;
  if (usage.high_water_bytes > arena_bytes) usage.high_water_bytes = arena_bytes;
  usage.overrun = !painted(-static_cast<int32_t>(kGuardWords), 0) || !painted(end, end_of_all());
  return usage;
}

}  // namespace arena
}  // namespace tinydeploy
