#include "print.h"

#include <stddef.h>

#include "port/link.h"

namespace tinydeploy {

void print(const char* text) {
  size_t length = 0;
  while (text[length] != '\0') ++length;
  link::write(reinterpret_cast<const uint8_t*>(text), length);
}

void print(uint64_t number, uint32_t base, uint32_t digits) {
  char text[21];
  char* first = text + sizeof(text) - 1;
  const char* const last = first;
  *first = '\0';
  do *--first = "0123456789abcdef"[number % base];
  while ((number /= base) != 0 || static_cast<uint32_t>(last - first) < digits);
  print(first);
}

}  // namespace tinydeploy
