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

// One frame's content: kind, sequence number, then what is added.
class Message {
 public:
  void begin(uint8_t kind, uint8_t sequence) {
    body_[0] = kind;
    body_[1] = sequence;
    bytes_ = frame::kHeader;
  }
  void begin(Kind kind, uint8_t sequence) { begin(static_cast<uint8_t>(kind), sequence); }
  // A reply's first byte is its status, kOk until refuse() says otherwise.
  void begin_reply(uint8_t kind, uint8_t sequence) {
    begin(kind | kReply, sequence);
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
  uint8_t sequence() const { return body_[1]; }
  void send() {
    static uint8_t encoded[frame::kMaxFrame];
    link::write(encoded, frame::encode(body_, bytes_, encoded));
  }

 private:
  uint8_t body_[frame::kMaxBody];
  size_t bytes_;
};

frame::Decoder decoder;
bool in_session;
uint32_t session_id;
uint8_t expected;  // sequence number of the next request
Message last;      // reply to the request executed last, kept in case the host did not get it
Message aside;     // anything else that is said; these lie here rather than on the stack, which is the engine's
bool is_set_up;
uint8_t log_sequence;

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
  const measure::Inference inference = measure::invoke(request.data[0] & 1);
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

void greet(const Request& request, uint8_t sequence) {
  Message& greeting = aside;
  greeting.begin_reply(static_cast<uint8_t>(Kind::kHello), sequence);
  if (request.bytes != 4) {
    greeting.refuse(Refusal::kBadRequest);
    greeting.send();
    return;
  }
  // The same session's hello again means only that the greeting was lost.
  if (!in_session || request.word(0) != session_id) {
    in_session = true;
    session_id = request.word(0);
    expected = static_cast<uint8_t>(sequence + 1);
    is_set_up = false;
    decoder.forget_bad_frames();  // what a line carries while it is being opened says nothing of the session
    last.begin_reply(static_cast<uint8_t>(Kind::kHello), sequence);
  }
  greeting.add8(kProtocolVersion);
  greeting.add32(session_id);
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

void answer(uint8_t kind, uint8_t sequence, const Request& request) {
  if (kind == static_cast<uint8_t>(Kind::kHello)) {
    greet(request, sequence);
    return;
  }
  const uint8_t ahead = static_cast<uint8_t>(sequence - expected);
  if (!in_session || (ahead != 0 && ahead < 128)) {
    aside.begin(in_session ? Kind::kOutOfOrder : Kind::kNoSession, sequence);
    if (in_session) aside.add8(expected);
    aside.send();
  } else if (ahead == 0) {
    last.begin_reply(kind, sequence);
    const Refusal refusal = execute(kind, request, last);
    if (refusal == Refusal::kNone) {
      ++expected;
    } else {
      last.refuse(refusal);
    }
    last.send();
  } else if (sequence == last.sequence()) {
    last.send();
  } else {
    // Executed before the last one: only writes are sent without waiting, and their replies are all alike.
    aside.begin_reply(kind, sequence);
    aside.send();
  }
}

}  // namespace

void serve() {
  static uint8_t received[frame::kMaxFrame];
  for (;;) {
    const size_t bytes = link::read(received, sizeof(received));
    for (size_t i = 0; i < bytes; ++i) {
      terminal::hear(received[i]);
      if (decoder.push(received[i])) {
        answer(decoder.kind(), decoder.sequence(), {decoder.payload(), decoder.payload_bytes()});
      }
    }
  }
}

void send_log(const char* text, size_t bytes) {
  if (!in_session) return;
  aside.begin(Kind::kLog, log_sequence++);
  aside.add(text, bytes < frame::kMaxPayload ? bytes : frame::kMaxPayload);
  aside.send();
}

}  // namespace tinydeploy
