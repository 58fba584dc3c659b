#include "measure.h"

#include "board.h"
#include "port/counter.h"

namespace tinydeploy {
namespace measure {
namespace {

using Invoke = Status (*)();

uint32_t counts[TINYDEPLOY_OPS > 0 ? TINYDEPLOY_OPS : 1];
uint64_t sum;
counter::Reading op_began;
uint64_t inference_overhead;
uint64_t first_op_overhead;  // with the way into the engine
uint64_t op_overhead;
uint64_t hook_overhead;  // of the next call

uint64_t less(uint64_t count, uint64_t overhead) { return count > overhead ? count - overhead : 0; }

void count_op(void*, uint32_t op) {
  const counter::Reading now = counter::read();
  const uint64_t count = less(counter::between(op_began, now), hook_overhead);
  hook_overhead = op_overhead;
  sum += count;
  if (op < ops()) {
    const uint64_t total = counts[op] + count;
    counts[op] = total > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(total);
  }
  op_began = counter::read();
}

// Compiled as one function whatever is timed, so that it costs the same whatever is timed.
[[gnu::noipa, gnu::noinline, gnu::noclone]] Inference timed(Invoke invoke) {
  counter::on();
  const counter::Reading begin = counter::read();
  op_began = begin;
  const Status status = invoke();
  const counter::Reading end = counter::read();
  counter::off();
  return {status, less(counter::between(begin, end), inference_overhead)};
}

// An engine does not know what its hook is.
inline void hide(OpHook& hook, void*& context) { asm("" : "+r"(hook), "+r"(context)); }

// Engines whose ops, if any, do nothing: what they count is the measurement itself.
[[gnu::noipa]] Status no_op() { return Status::kOk; }
[[gnu::noipa]] Status two_empty_ops() {
  OpHook hook = count_op;
  void* context = nullptr;
  hide(hook, context);
  if (hook != nullptr) hook(context, 0);
  if (hook != nullptr) hook(context, 1);
  return Status::kOk;
}

}  // namespace

void open() {
  counter::open();
  inference_overhead = timed(no_op).count;
  for (int pass = 0; pass < 2; ++pass) {  // what the first one finds is in no cache yet
    sum = op_overhead = hook_overhead = 0;
    timed(two_empty_ops);
    const uint64_t both = sum;
    sum = 0;
    hook_overhead = UINT64_MAX;  // the second one's alone
    timed(two_empty_ops);
    op_overhead = sum;
    first_op_overhead = both - op_overhead;
  }
}

Inference invoke(bool profile) {
  engine::set_hook(profile ? count_op : nullptr);
  if (!profile) return timed(engine::invoke);
  sum = 0;
  hook_overhead = first_op_overhead;
  for (uint32_t& count : counts) count = 0;
  const Status status = timed(engine::invoke).status;
  return {status, sum};
}

uint32_t op(uint32_t index) { return counts[index]; }

uint32_t ops() { return engine::kDescription.ops < TINYDEPLOY_OPS ? engine::kDescription.ops : TINYDEPLOY_OPS; }

}  // namespace measure
}  // namespace tinydeploy
