#include "log.h"

#include <stdarg.h>
#include <stddef.h>

#include "session.h"

namespace tinydeploy {
namespace {

struct Line {
  char text[160];
  size_t length;

  void add(char character) {
    if (length < sizeof(text)) text[length++] = character;
  }
  void add(const char* string) {
    while (*string != '\0') add(*string++);
  }
  void add(unsigned value, unsigned base) {
    char digits[10];
    size_t count = 0;
    do digits[count++] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    while (count > 0) add(digits[--count]);
  }
  void add(int value) {
    if (value < 0) add('-');
    add(value < 0 ? 0u - static_cast<unsigned>(value) : static_cast<unsigned>(value), 10);
  }
};

bool is_modifier(char character) {
  return character == 'l' || character == 'z' || character == '.' || character == '-' ||
         (character >= '0' && character <= '9');
}

}  // namespace

void log(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vlog(format, arguments);
  va_end(arguments);
}

void vlog(const char* format, va_list arguments) {
  Line line;
  line.length = 0;
  for (; *format != '\0'; ++format) {
    if (*format != '%' || format[1] == '\0') {
      line.add(*format);
      continue;
    }
    do ++format;
    while (is_modifier(*format));
    switch (*format) {
      case '\0': --format; break;
      case 'i':
      case 'd': line.add(va_arg(arguments, int)); break;
      case 'u': line.add(va_arg(arguments, unsigned), 10); break;
      case 'x': line.add(va_arg(arguments, unsigned), 16); break;
      case 'c': line.add(static_cast<char>(va_arg(arguments, int))); break;
      case 's': line.add(va_arg(arguments, const char*)); break;
      case 'f':
      case 'g': va_arg(arguments, double), line.add('?'); break;
      default: line.add(*format);
    }
  }
  send_log(line.text, line.length);
}

}  // namespace tinydeploy
