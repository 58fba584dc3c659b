#include "session.h"

#include <stdint.h>

#include "arena.h"
#include "board.h"
#include "build_id.h"
#include "engine.h"
#include "frame.h"
#include "measure.h"
#include "port/counter.h"
#include "port/link.h"
#include "port/stack.h"
#include "port/trigger.h"
#include "protocol.h"
#include "terminal.h"

namespace tinydeploy {
namespace {

using engine::kDescription;

constexpr uint32_t kMaxTensors = (frame::kMaxPayload - 1) / 4;  // SETUP's reply holds the size of each
constexpr size_t kMaxEngineName = 32;

struct Request {
  const uint8_t* data;
  size_t bytes;
  uint32_t word(size_t at) const { return frame::load32(data + at); }
};

// One frame's content: kind, number, then what is added.
class Message {
 public:
  void begin(uint8_t kind, uint64_t number) {
    body_[0] = kind;
    number_ = number;
    bytes_ = frame::kHeader;
  }
  void begin(Kind kind, uint64_t number) { begin(static_cast<uint8_t>(kind), number); }
  // A reply's first byte is its status, kOk until refuse() says otherwise.
  void begin_reply(uint8_t kind, uint64_t number) {
    begin(kind | kReply, number);
    add8(static_cast<uint8_t>(Status::kOk));
  }
  void set_status(Status status) { body_[frame::kHeader] = static_cast<uint8_t>(status); }
  void refuse(Refusal refusal) {
    body_[frame::kHeader] = static_cast<uint8_t>(refusal);
    bytes_ = frame::kHeader + 1;
  }
  void add8(uint8_t value) { body_[bytes_++] = value; }
  void add32(uint32_t value) {
    frame::store32(body_ + bytes_, value);
    bytes_ += 4;
  }
  void add64(uint64_t value) {
    add32(static_cast<uint32_t>(value));
    add32(static_cast<uint32_t>(value >> 32));
  }
  void add(const void* data, size_t bytes) {
    __builtin_memcpy(body_ + bytes_, data, bytes);
    bytes_ += bytes;
  }
  uint64_t number() const { return number_; }
  void send() {
    static uint8_t encoded[frame::kMaxFrame];
    link::write(encoded, frame::encode(body_, bytes_, number_, encoded));
  }

 private:
  uint8_t body_[frame::kMaxBody];
  size_t bytes_;
  uint64_t number_;
};

frame::Decoder decoder;
uint64_t begun;  // number of the hello that began the session; 0 if there is none
uint64_t due;    // number of the request that is executed next, one after the other
Message last;    // reply to the request executed last, kept in case the host did not get it
Message aside;   // anything else that is said; these lie here rather than on the stack, which is the engine's
bool is_set_up;

// Each request's execution adds what it found out to the reply, or changes nothing and says why.

Refusal setup(const Request& request, Message& reply) {
  if (request.bytes != 4 || request.word(0) > arena::capacity()) return Refusal::kBadRequest;
  is_set_up = false;
  Status status = Status::kUnsupported;
  if (kDescription.inputs + kDescription.outputs <= kMaxTensors) {
    const uint32_t bytes = request.word(0);
    arena::paint(bytes);
    status = engine::setup(arena::begin(), bytes);
  }
  reply.set_status(status);
  if (status != Status::kOk) return Refusal::kNone;
  is_set_up = true;
  for (uint32_t i = 0; i < kDescription.inputs; ++i) reply.add32(engine::input(i).bytes);
  for (uint32_t i = 0; i < kDescription.outputs; ++i) reply.add32(engine::output(i).bytes);
  return Refusal::kNone;
}

// The part [offset, offset + bytes) of a tensor; null if there is no such part.
uint8_t* part(Span tensor, uint32_t offset, size_t bytes) {
  return offset <= tensor.bytes && bytes <= tensor.bytes - offset ? tensor.data + offset : nullptr;
}

Refusal write(const Request& request, Message&) {
  constexpr size_t kHead = 5;  // index, offset
  if (!is_set_up) return Refusal::kNotSetUp;
  if (request.bytes < kHead || request.data[0] >= kDescription.inputs) return Refusal::kBadRequest;
  uint8_t* to = part(engine::input(request.data[0]), request.word(1), request.bytes - kHead);
  if (to == nullptr) return Refusal::kBadRequest;
  __builtin_memcpy(to, request.data + kHead, request.bytes - kHead);
  return Refusal::kNone;
}

Refusal invoke(const Request& request, Message& reply) {
  if (!is_set_up) return Refusal::kNotSetUp;
  if (request.bytes != 1) return Refusal::kBadRequest;
  const bool counts_ops = request.data[0] & 1, triggers = request.data[0] & 2;
  if (triggers) trigger::rise();
  const measure::Inference inference = measure::invoke(counts_ops);
  if (triggers) trigger::fall();
  reply.set_status(inference.status);
  reply.add64(inference.count);
  return Refusal::kNone;
}

Refusal read(const Request& request, Message& reply) {
  if (!is_set_up) return Refusal::kNotSetUp;
  if (request.bytes != 6 || request.data[0] >= kDescription.outputs) return Refusal::kBadRequest;
  const uint8_t bytes = request.data[5];
  if (bytes > frame::kMaxPayload - 1) return Refusal::kBadRequest;
  const uint8_t* from = part(engine::output(request.data[0]), request.word(1), bytes);
  if (from == nullptr) return Refusal::kBadRequest;
  reply.add(from, bytes);
  return Refusal::kNone;
}

Refusal ops(const Request& request, Message& reply) {
  if (request.bytes != 5) return Refusal::kBadRequest;
  const uint32_t first = request.word(0);
  const uint8_t count = request.data[4];
  if (first > measure::ops() || count > measure::ops() - first || count > (frame::kMaxPayload - 1) / 4) {
    return Refusal::kBadRequest;
  }
  for (uint32_t i = 0; i < count; ++i) reply.add32(measure::op(first + i));
  return Refusal::kNone;
}

Refusal stats(const Request&, Message& reply) {
  const arena::Usage usage = arena::usage();
  reply.add32(stack::high_water_bytes());
  reply.add32(usage.touched_bytes);
  reply.add32(usage.high_water_bytes);
  reply.add8(usage.overrun ? 1 : 0);
  reply.add32(decoder.bad_frames());
  return Refusal::kNone;
}

Refusal reset(const Request&, Message&) {
  if (!is_set_up) return Refusal::kNotSetUp;
  engine::reset();
  return Refusal::kNone;
}

Refusal execute(uint8_t kind, const Request& request, Message& reply) {
  switch (static_cast<Kind>(kind)) {
    case Kind::kSetup: return setup(request, reply);
    case Kind::kWrite: return write(request, reply);
    case Kind::kInvoke: return invoke(request, reply);
    case Kind::kRead: return read(request, reply);
    case Kind::kOps: return ops(request, reply);
    case Kind::kStats: return stats(request, reply);
    case Kind::kReset: return reset(request, reply);
    default: return Refusal::kBadRequest;
  }
}

void greet(const Request& request, uint64_t number) {
  Message& greeting = aside;
  greeting.begin_reply(static_cast<uint8_t>(Kind::kHello), number);
  if (request.bytes != 0 || number == 0) {
    greeting.refuse(Refusal::kBadRequest);
    greeting.send();
    return;
  }
  // The same session's hello again means only that the greeting was lost.
  if (number != begun) {
    begun = number;
    due = number + 1;
    is_set_up = false;
    decoder.forget_bad_frames();  // what a line carries while it is being opened says nothing of the session
    last.begin_reply(static_cast<uint8_t>(Kind::kHello), number);
  }
  greeting.add8(kProtocolVersion);
  greeting.add8(link::kWindow);
  greeting.add8(TINYDEPLOY_COUNTS_INSTRUCTIONS ? 0 : 1);
  greeting.add32(counter::hz());
  greeting.add32(arena::capacity());
  greeting.add32(kDescription.inputs);
  greeting.add32(kDescription.outputs);
  greeting.add32(measure::ops());
  greeting.add(kDescription.model_sha256, sizeof(kDescription.model_sha256));
  greeting.add64(kBuildId);
  for (size_t i = 0; i < kMaxEngineName && kDescription.engine[i] != '\0'; ++i) {
    greeting.add8(static_cast<uint8_t>(kDescription.engine[i]));
  }
  greeting.send();
}

void answer(uint8_t kind, uint64_t number, const Request& request) {
  constexpr uint64_t kNear = 256;  // more than any window: what is further ahead is of another session
  if (kind == static_cast<uint8_t>(Kind::kHello)) {
    greet(request, number);
  } else if (begun == 0 || number <= begun || number >= due + kNear) {
    aside.begin(Kind::kNoSession, number);
    aside.send();
  } else if (number > due) {
    aside.begin(Kind::kOutOfOrder, number);
    aside.add64(due);
    aside.send();
  } else if (number == due) {
    last.begin_reply(kind, number);
    const Refusal refusal = execute(kind, request, last);
    if (refusal == Refusal::kNone) {
      ++due;
    } else {
      last.refuse(refusal);
    }
    last.send();
  } else if (number == last.number()) {
    last.send();
  } else {
    // Executed before the last one: only writes are sent without waiting, and their replies are all alike.
    aside.begin_reply(kind, number);
    aside.send();
  }
}

}  // namespace

void serve() {
  trigger::open();
  static uint8_t received[frame::kMaxFrame];
  for (;;) {
    const size_t bytes = link::read(received, sizeof(received));
    for (size_t i = 0; i < bytes; ++i) {
      terminal::hear(received[i]);
      if (decoder.push(received[i])) {
        answer(decoder.kind(), decoder.number(), {decoder.payload(), decoder.payload_bytes()});
      }
    }
  }
}

uint64_t request_due() { return due; }

void send_log(const char* text, size_t bytes) {
  if (begun == 0) return;
  aside.begin(Kind::kLog, due);
  aside.add(text, bytes < frame::kMaxPayload ? bytes : frame::kMaxPayload);
  aside.send();
}

}  // namespace tinydeploy
