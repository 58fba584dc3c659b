#include "mlperf_tiny.h"

#include "board.h"
#include "build_id.h"

#if TINYDEPLOY_MLPERF_TINY

#include <stddef.h>

#include "arena.h"
#include "engine.h"
#if TINYDEPLOY_MLPERF_STREAM
#include "log_mel_tables.h"
#include "mlperf_stream.h"
#endif
#include "mlperf_tiny_model.h"
#include "port/counter.h"
#include "port/link.h"
#include "port/trigger.h"
#include "print.h"

namespace tinydeploy {
namespace mlperf_tiny {
namespace {

constexpr uint32_t kSentBytes = kInputs * sizeof(Sent);
#if TINYDEPLOY_MLPERF_STREAM
constexpr bool kStreams = true;
constexpr size_t kLongest = 1028;  // bytes of a command
constexpr uint32_t kFrameBytes = log_mel::kStride * sizeof(int16_t);
#else
constexpr bool kStreams = false;
constexpr size_t kLongest = 80;
constexpr uint32_t kFrameBytes = 0;
#endif
constexpr uint32_t kBufferBytes = kSentBytes > kFrameBytes ? kSentBytes : kFrameBytes;
constexpr uint32_t kMicro = 1000000;

bool same(const char* a, const char* b) {
  for (; *a == *b; ++a, ++b) {
    if (*a == '\0') return true;
  }
  return false;
}

// The words of a command, one after the other, each ended by a zero in the command's own memory.
class Words {
 public:
  explicit Words(char* text) : at_(text) {}
  // nullptr if there is none left
  const char* next() {
    while (*at_ == ' ') ++at_;
    if (*at_ == '\0') return nullptr;
    const char* word = at_;
    while (*at_ != ' ' && *at_ != '\0') ++at_;
    if (*at_ == ' ') *at_++ = '\0';
    return word;
  }

 private:
  char* at_;
};

// A decimal number of at most nine digits; false if the word is none.
bool number_of(const char* word, uint32_t& number) {
  number = 0;
  const char* digit = word;
  for (; *digit >= '0' && *digit <= '9'; ++digit) number = number * 10 + static_cast<uint32_t>(*digit - '0');
  return digit != word && *digit == '\0' && digit - word <= 9;
}

// Of a hexadecimal digit; negative if it is none.
int value_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

void error(const char* what, const char* of = "") {
  print("e-[");
  print(what);
  print(of);
  print("]\r\n");
}

void say(const char* what, uint64_t number, const char* end = "\r\n") {
  print(what);
  print(number);
  print(end);
}

// What has been counted since the clock was started. Some counters may not run for seconds without being asked.
uint64_t counted() {
  static uint64_t count;
  static counter::Reading last = counter::read();
  const counter::Reading now = counter::read();
  count += counter::between(last, now);
  last = now;
  return count;
}

// Where instructions are counted, in an emulator, each is taken for one cycle of the board's clock.
uint64_t microseconds() {
  const uint64_t count = counted();
  const uint32_t hz = counter::hz() != 0 ? counter::hz() : board::kClockHz;
  return count / hz * kMicro + count % hz * kMicro / hz;
}

// For whoever measures energy: the idle pin is high, and falls for two microseconds.
void mark() {
  trigger::fall();
  for (const uint64_t begin = microseconds(); microseconds() < begin + 2;) continue;
  trigger::rise();
}

// Now, where it is time that is measured: in words. In energy mode no word is said meanwhile.
void timestamp() {
  if (kIsEnergy) return mark();
  say("m-lap-us-", microseconds());
}

// What `db` has brought, which stays for any number of inferences: an engine may overwrite its input.
struct Sample {
  alignas(Sent) uint8_t bytes[kBufferBytes];
  uint32_t expected;  // bytes of the load that was announced; 0 if none was
  uint32_t count;     // of them, how many have come
};
Sample sample;
bool has_result;

Sent sent(uint32_t index) {
  Sent value;
  __builtin_memcpy(&value, sample.bytes + index * sizeof(Sent), sizeof(Sent));
  return value;
}

// To the nearest integer, halves away from zero, within the type.
Input quantized(float value) {
  constexpr int32_t kLeast = Input(-1) < 0 ? -128 : 0;
  const float scaled = value / kInputScale + kInputZeroPoint;
  if (!(scaled > kLeast)) return static_cast<Input>(kLeast);
  if (scaled >= kLeast + 255) return static_cast<Input>(kLeast + 255);
  return static_cast<Input>(static_cast<int32_t>(scaled - kLeast + 0.5f) + kLeast);
}

void load_tensor() {
  auto* input = reinterpret_cast<Input*>(engine::input(0).data);
  for (uint32_t i = 0; i < kInputs; ++i) {
    input[i] = kIsReal ? quantized(static_cast<float>(sent(i))) : static_cast<Input>(static_cast<int32_t>(sent(i)) + kOffset);
  }
}

float output(uint32_t index) {
  const auto* outputs = reinterpret_cast<const Output*>(engine::output(0).data);
  return static_cast<float>(outputs[index] - kOutputZeroPoint) * kOutputScale;
}

// Three digits after the point.
void print_real(float value) {
  constexpr float kMost = 4e6f;
  if (value < 0) print("-");
  const float size = value < 0 ? -value : value;
  const auto thousandths = static_cast<uint32_t>((size < kMost ? size : kMost) * 1000 + 0.5f);
  print(thousandths / 1000);
  print(".");
  print(thousandths % 1000, 10, 3);
}

void results() {
  if (!has_result) return error("There is no result yet");
  print("m-results-[");
  if (kIsReal) {  // the mean square of what the model has made of its input
    float sum = 0;
    for (uint32_t i = 0; i < kOutputs; ++i) {
      const float difference = output(i) - static_cast<float>(sent(i));
      sum += difference * difference;
    }
    print_real(sum / kOutputs);
  } else {
    for (uint32_t i = 0; i < kOutputs; ++i) {
      if (i > 0) print(",");
      print_real(output(i));
    }
  }
  print("]\r\n");
}

// Of `count` inferences of the sample; false if one has failed.
bool invoke(uint32_t count) {
  for (; count > 0; --count) {
    load_tensor();
    if (engine::invoke() != Status::kOk) return false;
    counted();
  }
  return true;
}

void infer(Words words) {
  uint32_t count = 1, warmups = 10;
  const char* word = words.next();
  if (word != nullptr && (!number_of(word, count) || count == 0)) return error("Inference iterations must be >0");
  if (word != nullptr) word = words.next();
  if (word != nullptr && !number_of(word, warmups)) return error("Inference warmup must be >=0");
  if (sample.count != kSentBytes) return error("The input is not loaded");
  engine::reset();
  say("m-warmup-start-", warmups);
  has_result = invoke(warmups);
  print("m-warmup-done\r\n");
  say("m-infer-start-", count);
  if (kIsEnergy) mark();
  const uint64_t begin = microseconds();
  has_result = has_result && invoke(count);
  const uint64_t end = microseconds();
  if (kIsEnergy) {
    mark();
  } else {
    say("m-lap-us-", begin);
    say("m-lap-us-", end);
  }
  if (!has_result) return error("The inference failed");
  print("m-infer-done\r\n");
  results();
}

void expect(const char* word) {
  uint32_t bytes;
  if (word == nullptr) return error("Command 'db load' requires the # of bytes");
  if (!number_of(word, bytes) || bytes == 0) return error("Command 'db load' must be >0 bytes");
  if (bytes > kBufferBytes) return error("The buffer is smaller than ", word);
  sample.expected = bytes;
  sample.count = 0;
  say("m-[Expecting ", bytes, " bytes]\r\n");
}

void print_buffer(Words words) {
  constexpr uint32_t kLine = 8;
  uint32_t count = 16, offset = 0;
  const char* word = words.next();
  const char* second = word == nullptr ? nullptr : words.next();
  if ((word != nullptr && !number_of(word, count)) || (second != nullptr && !number_of(second, offset)) ||
      offset > kBufferBytes || count > kBufferBytes - offset) {
    return error("The buffer does not have these bytes");
  }
  for (uint32_t i = 0; i < count; ++i) {
    print(i % kLine == 0 ? "m-buffer-" : "-");
    print(sample.bytes[offset + i], 16, 2);
    if (i % kLine == kLine - 1 || i == count - 1) print("\r\n");
  }
}

// The next bytes of the sample. A word that is not all hexadecimal brings none.
void add(const char* digits) {
  uint32_t count = 0;
  while (digits[count] != '\0') {
    if (value_of(digits[count++]) < 0) return error("Invalid hex digits ", digits);
  }
  if (count % 2 != 0) return error("Insufficent number of hex digits");
  if (sample.count == sample.expected) return error("Command 'db load' comes first");
  for (; *digits != '\0' && sample.count < sample.expected; digits += 2) {
    sample.bytes[sample.count++] = static_cast<uint8_t>(value_of(digits[0]) << 4 | value_of(digits[1]));
  }
  if (sample.count == sample.expected) {
    print("m-load-done\r\n");
  } else if (kStreams) {
    say("", sample.count, " bytes received\r\n");
  }
}

void buffer(Words words) {
  const char* word = words.next();
  if (word == nullptr) return error("Command 'db' requires a subcommand");
  if (same(word, "load")) return expect(words.next());
  if (same(word, "print")) return print_buffer(words);
  add(word);
}

#if TINYDEPLOY_MLPERF_STREAM

void start() {
  mlperf_stream::begin();
  if (kIsEnergy) mark();
  print("m-[Listening]\r\n");
}

void stop() {
  if (kIsEnergy) mark();
  print("m-[Streaming stopped]\r\n");
}

void print_signed(int32_t number) {
  if (number < 0) print("-");
  print(static_cast<uint64_t>(number < 0 ? -number : number));
}

void print_all(const char* what, int32_t (*value)(uint32_t), uint32_t count) {
  print(what);
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) print(",");
    print_signed(value(i));
  }
  print("]\r\n");
}

// What is loaded is the stream's next frame; a shorter one, the last, ends in silence. The times are of all that is
// done with it.
void extract_uart_stream() {
  if (sample.count == 0 || sample.count != sample.expected || sample.count > kFrameBytes) {
    return error("The frame is not loaded");
  }
  for (uint32_t i = sample.count; i < kFrameBytes; ++i) sample.bytes[i] = 0;
  const uint64_t begin = microseconds();
  const bool heard = mlperf_stream::hear(sample.bytes);
  const uint64_t end = microseconds();
  if (!heard) return error("The inference failed");
  if (!kIsEnergy) {
    say("m-lap-us-", begin);
    say("m-lap-us-", end);
  }
  print_all("m-features-[", mlperf_stream::feature, log_mel::kBands);
  print_all("m-activations-[", mlperf_stream::score, kOutputs);
  if (mlperf_stream::is_detection()) print("m-detected\r\n");
}

// What the runner's program that streams sound over the UART wants to hear first.
void echo(const char* line) {
  print("Received command: ");
  print(line);
  print("\r\n");
}

#endif

void help() {
  print(
      "tinydeploy: the device protocol of MLPerf Tiny. A command ends with %.\r\n"
      "name         : The name of the device\r\n"
      "profile      : The profile, and the model of the benchmark\r\n"
      "timestamp    : The time in microseconds\r\n"
      "db load N    : Expect N bytes of a sample\r\n"
      "db HH[HH]*   : The next of them, in hexadecimal\r\n"
      "db print [N=16] [offset=0]\r\n"
      "infer N [W=10] : N inferences of the sample, after W that are not timed\r\n"
      "results      : What the last inference gave\r\n");
  if (kStreams) {
    print(
        "start, stop  : A stream of sound begins, ends\r\n"
        "extract_uart_stream : The loaded bytes are its next frame\r\n");
  }
}

void name() {
  print("m-name-dut-[tinydeploy-");
  print(kBuildId, 16, 16);
  print("]\r\n");
}

void profile() {
  print("m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\nm-model-[");
  print(kModel);
  print("]\r\n");
}

void execute(char* line) {
#if TINYDEPLOY_MLPERF_STREAM
  echo(line);
#endif
  Words words(line);
  const char* command = words.next();
  if (command == nullptr) return error("Empty command");
  if (same(command, "name")) return name();
  if (same(command, "profile")) return profile();
  if (same(command, "timestamp")) return timestamp();
  if (same(command, "help")) return help();
  if (same(command, "db")) return buffer(words);
  if (same(command, "infer")) return infer(words);
  if (same(command, "results")) return results();
#if TINYDEPLOY_MLPERF_STREAM
  if (same(command, "start")) return start();
  if (same(command, "stop")) return stop();
  if (same(command, "extract_uart_stream")) return extract_uart_stream();
#endif
  error("Unknown command: ", command);
}

// Takes bytes as they come, and executes each command as it ends.
class Listener {
 public:
  void hear(char byte) {
    if (byte == '\r' || byte == '\n') return;  // from a terminal
    if (byte != '%') {
      if (length_ <= kLongest) line_[length_++] = byte >= ' ' && byte <= '~' ? byte : '?';
      return;
    }
    const bool fits = length_ <= kLongest;
    line_[fits ? length_ : 0] = '\0';
    length_ = 0;
    if (fits) {
      execute(line_);
    } else {
      say("e-[The command is longer than ", kLongest, " bytes]\r\n");
    }
    print("m-ready\r\n");
  }

 private:
  char line_[kLongest + 1];
  size_t length_ = 0;
};

}  // namespace

void run() {
  counter::on();  // and never off: it is the clock
  trigger::open();
  trigger::rise();
  print(kIsEnergy ? "m-timestamp-mode-energy\r\n" : "m-timestamp-mode-performance\r\n");
  timestamp();
  // An arena that is not planned has all RAM that is left.
  arena::paint(arena::capacity());
  const Status status = engine::setup(arena::begin(), arena::capacity());
  if (status != Status::kOk) {
    error("The model cannot be set up");
    for (;;) asm volatile("");
  }
#if TINYDEPLOY_MLPERF_STREAM
  mlperf_stream::begin();
#endif
  print("m-init-done\r\nm-ready\r\n");
  static Listener listener;
  for (;;) {
    uint8_t bytes[16];
    const size_t count = link::read(bytes, sizeof(bytes));
    for (size_t i = 0; i < count; ++i) listener.hear(static_cast<char>(bytes[i]));
  }
}

void report_fault(uint32_t pc) {
  print("\r\ne-[Fault at 0x");
  print(pc, 16);
  print("]\r\n");
  for (;;) asm volatile("");
}

}  // namespace mlperf_tiny
}  // namespace tinydeploy

#endif
